"""When an agent's next report is due: of what matters at once, of the rest together."""

from dataclasses import dataclass

from headrace.attempts import Attempt, AttemptState

# Most of the steps between are over by then.
SOON_MS = 200
# On a busy node a job that has begun is told of with whatever else happens within so long.
TOGETHER_MS = 100

# A place is free.
_AT_ONCE = (AttemptState.EXITED, AttemptState.REFUSED)


@dataclass(slots=True)
class Pace:
    """Of the agent's own clock, in milliseconds. The first report is due as soon as it can be sent."""

    due_ms: int = 0
    sent_ms: int | None = None

    def at_once(self) -> None:
        """Something happened that the controller acts on."""
        self.due_ms = 0

    def soon(self, now_ms: int) -> None:
        """Something happened that it should know."""
        self.due_ms = min(self.due_ms, now_ms + SOON_MS)

    def within(self, heartbeat_ms: int) -> None:
        """The next one is due no later than so long after the last one."""
        if self.sent_ms is not None:
            self.due_ms = min(self.due_ms, self.sent_ms + heartbeat_ms)

    def noted(self, attempt: Attempt, now_ms: int) -> None:
        """An attempt is in another state."""
        if attempt.state in _AT_ONCE:
            self.at_once()
        elif attempt.state is not AttemptState.RUNNING:
            self.soon(now_ms)
        elif attempt.epoch > 1 or self.sent_ms is None:
            # A job that was elsewhere before: a move may wait for this.
            self.at_once()
        else:
            self.due_ms = min(self.due_ms, max(now_ms, self.sent_ms + TOGETHER_MS))

    def is_due(self, now_ms: int) -> bool:
        """Whether to send one now."""
        return now_ms >= self.due_ms

    def sent(self, now_ms: int, *, heartbeat_ms: int) -> None:
        """One left."""
        self.sent_ms = now_ms
        self.due_ms = now_ms + heartbeat_ms
