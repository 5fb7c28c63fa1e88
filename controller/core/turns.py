"""What is kept for jobs whose turn it is, until they have it: of no consequence for what is written down."""

from dataclasses import dataclass

from controller.core.backfill import Kept


@dataclass(frozen=True, slots=True)
class Claim:
    """Room that others leave for a job: on `nodes`; kept for it until `until_ms`, by the clock of ticks."""

    nodes: tuple[str, ...]
    until_ms: int


class Turns:
    """Forgotten when the controller starts anew: then it is found again who comes first."""

    def __init__(self) -> None:
        # Room for the first job that found none, whether those that are looked at now come after it, and when that room
        # was looked for among all nodes; until when it is not looked for again for jobs for which there will be none.
        self.kept: Kept | None = None
        self.is_past = False
        self.sought_ms = 0
        self.hopeless_until_ms: dict[str, int] = {}
        # By job: what others were asked to leave for it.
        self.claims: dict[str, Claim] = {}
        # Jobs for which others may have to leave, in their order, and until when which of them look no more.
        self.asking: dict[str, None] = {}
        self.rests_until_ms: dict[str, int] = {}

    def forget(self, job: str) -> None:
        """The job waits no more."""
        self.claims.pop(job, None)
        self.asking.pop(job, None)
        self.rests_until_ms.pop(job, None)
        self.hopeless_until_ms.pop(job, None)
        if self.kept is not None and self.kept.job == job:
            self.kept, self.is_past = None, False
