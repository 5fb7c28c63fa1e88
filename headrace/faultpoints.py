"""Fault points: named places in the shells at which a test has a program killed, or held still; else they do nothing.

A daemon is told of one by HEADRACE_FAULT_POINT, which its `main` reads: the point's name, and after it any of
`hold` (SIGSTOP to itself, in the place of SIGKILL), `times=2` (not before the second time), and words that what is at
hand there must have, as Python writes it: `agent.journal.written AttemptState.STARTING`.
"""

import logging
import os
import re
import signal
from dataclasses import dataclass

from headrace.refusals import Code, Refusal

VARIABLE = "HEADRACE_FAULT_POINT"

# What has happened by then, and what has not.
POINTS = {
    "agent.journal.writing": "notes are handed to the journal, and not committed",
    "agent.journal.written": "notes are committed, and nothing is done about them yet",
    "agent.folders.made": "an attempt has its folders, and nothing else",
    "agent.container.created": "there is a container, and the core does not know",
    "agent.container.started": "a container runs, and the core does not know",
    "agent.stop.laid": "the stop file is there, the signal is not sent",
    "agent.stop.asked": "a job was sent SIGTERM",
    "agent.stop.forced": "a job was sent SIGKILL, as its grace was over",
    "agent.collected": "what a job left is in the store, and the core does not know",
    "agent.container.removed": "a container is gone, its folders are there",
    "agent.folders.removed": "container and folders are gone, the note of them is not",
    "agent.chunks.sent": "chunks are in the store, their manifest is not",
    "agent.manifest.sent": "a manifest is in the store, and no record names it",
    "agent.restore.fetched": "all chunks are placed, the folder has not its name yet",
    "agent.restore.laid": "a checkpoint is laid down, and the core does not know",
    "agent.prefetched": "a checkpoint is in the cache, and the core does not know",
    "agent.standby.folders.made": "there are folders for an attempt that may come, and nothing else of it",
    "agent.standby.created": "a container that is to stand by is there, and not started",
    "agent.standby.started": "a container stands by, and nobody was told",
    "agent.standby.worded": "its word is laid ready, and it has not its attempt's name yet",
    "agent.standby.taken": "what stood by has its attempt's name, and the core does not know",
    "agent.standby.told": "its word is given, and the core does not know",
    "agent.standby.returned": "what was taken over by an agent before has the name of a standby again, to be removed",
    "agent.standby.removed": "a container that stood by is gone, its folders are there",
    "controller.store.writing": "records are handed to the database, and not committed",
    "controller.store.written": "records are committed, and nobody was told",
    "controller.sent": "records are committed; callers are answered, assignments are on their way",
    "controller.chunk.put": "a chunk is in the store",
    "controller.manifest.chunked": "a manifest's chunks are all there, the manifest is not",
    "controller.manifest.put": "a manifest is there, and its sender does not know",
    "controller.log.added": "a log's bytes are written, and do not count yet",
    "controller.log.counted": "a log's bytes count, and their sender does not know",
    "disk.aside": "a file is written under another name, and not renamed",
}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Fault:
    """What is to happen at a point."""

    point: str
    words: tuple[str, ...] = ()
    times: int = 1
    hold: bool = False

    def meets(self, point: str, at_hand: tuple[object, ...]) -> bool:
        """Whether this is the point and the time."""
        if point != self.point or not any(self._says_all(one) for one in at_hand or ("",)):
            return False
        self.times -= 1
        return self.times == 0

    def _says_all(self, one: object) -> bool:
        said = repr(one)
        return all(re.search(rf"\b{re.escape(word)}\b", said) for word in self.words)


_armed: list[Fault] = []


def arm(written: str) -> None:
    """Takes on what the variable says; nothing for an empty text. Refusal: SETTINGS_INVALID."""
    _armed[:] = [fault_of(written)] if written else []
    for fault in _armed:
        _log.warning("%s: this program ends, or is held still, at %s", VARIABLE, fault.point)


def fault_of(written: str) -> Fault:
    """The fault that a text describes. Refusal: SETTINGS_INVALID."""
    point, *others = written.split()
    if point not in POINTS:
        message = f"{VARIABLE}: there is no point {point}; headrace/faultpoints.py lists them"
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message)
    fault = Fault(point, tuple(one for one in others if one != "hold" and not one.startswith("times=")))
    for one in others:
        if one.startswith("times="):
            fault.times = int(one.removeprefix("times="))
    fault.hold = "hold" in others
    return fault


def reached(point: str, *at_hand: object) -> None:
    """Says that the program is at a point. `at_hand` are the things that the words of a fault may be of."""
    for fault in _armed:
        if fault.meets(point, at_hand):
            os.kill(os.getpid(), signal.SIGSTOP if fault.hold else signal.SIGKILL)
