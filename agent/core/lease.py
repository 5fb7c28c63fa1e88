"""The agent's side of a session's lease."""

from dataclasses import dataclass, field

from headrace.sessions import Assignment

FIRST_MS, LONGEST_MS = 1_000, 8_000


def unanswered_ms(before: int) -> int:
    """How long a node that has no lease yet waits after a report, if so many before it were not answered.

    Twice as long with each: a controller to which thousands come at one time is not to be asked by all each second.
    """
    return min(FIRST_MS << min(before, 16), LONGEST_MS)


@dataclass(slots=True)
class Lease:
    """How long this node may go on alone. All times are of the agent's own monotonic clock, in milliseconds.

    The lease runs from when the acknowledged report left (`sent`), not from when its answer came: an answer that was
    long on the way must not keep alive a node that the controller has given up.
    """

    until_ms: int | None = None
    # Whether this process has had a lease: one that never had cannot know since when it is without.
    had: bool = False
    length_ms: int | None = None
    sent: dict[int, int] = field(default_factory=dict)

    def report_sent(self, sequence: int, now_ms: int) -> None:
        """Notes when a report left."""
        self.sent[sequence] = now_ms

    def renewed_by(self, assignment: Assignment) -> None:
        """Takes the acknowledgement in an assignment of the present session."""
        self.length_ms = assignment.lease_millis
        sent_ms = self.sent.get(assignment.acked_sequence)
        if sent_ms is not None:
            until_ms = sent_ms + assignment.lease_millis
            self.had = True
            self.until_ms = until_ms if self.until_ms is None else max(until_ms, self.until_ms)
        for sequence in [number for number in self.sent if number < assignment.acked_sequence]:
            del self.sent[sequence]

    def session_changed(self) -> None:
        """Reports of an older session are not acknowledged any more; what was promised stays promised."""
        self.sent.clear()

    def valid(self, now_ms: int) -> bool:
        """Whether the node may start something, and what runs may go on."""
        return self.until_ms is not None and now_ms < self.until_ms

    def lapsed(self, now_ms: int) -> bool:
        """Whether the lease that this process had is over."""
        return self.had and not self.valid(now_ms)

    def heartbeat_ms(self) -> int:
        """How long to wait between two reports that say nothing new."""
        return unanswered_ms(len(self.sent)) if self.length_ms is None else self.length_ms // 3
