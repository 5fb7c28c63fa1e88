"""The moments at which invariants look at a world."""

from enum import Enum, auto


class Occurrence(Enum):
    """What has just happened, or is about to."""

    # A container's program begins, for the first time.
    CONTAINER_STARTED = auto()
    # It begins to run: started, or no longer paused.
    CONTAINER_RUNS = auto()
    # An agent asks its engine to remove an attempt's container.
    CONTAINER_REMOVED = auto()
    # An agent writes down how far an attempt is.
    ATTEMPT_NOTED = auto()
    # A node's agent and engine have been up for long enough to have its containers in hand.
    NODE_IN_HAND = auto()
    # The checkpoint store took a manifest.
    MANIFEST_PUT = auto()
    # The checkpoint store was swept.
    SWEPT = auto()
    # The controller's core has decided on a job; that is not saved yet.
    JOB_DECIDED = auto()
    # The controller has made a record of a job, of a node durable.
    JOB_SAVED = auto()
    NODE_SAVED = auto()
