"""At which fault points which daemon is killed, in which scenario."""

from collections.abc import Iterator
from dataclasses import dataclass

# Where the victim is, in lanes.py: the source of moves, their target; or the engine of the source.
SOURCE, TARGET, CONTROLLER, ENGINE = "agent", "target's agent", "controller", "engine"
AMD64, ARM64, BACK = "amd64", "arm64", "from arm64"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `words` say what must be at hand; `way` is the architecture of a move's target, or of its source."""

    scenario: str
    victim: str
    point: str
    words: str = ""
    way: str = AMD64

    @property
    def fault(self) -> str:
        """As the daemon is told; an engine is killed while its agent is held still."""
        return " ".join(one for one in (self.point, self.words, "hold" if self.victim == ENGINE else "") if one)

    @property
    def may_lose_its_note(self) -> bool:
        """An attempt is noted a moment after it began; a container that is found without a note ends its epoch."""
        points = ("agent.container.created", "agent.journal.writing")
        return self.scenario == "start" and self.victim == SOURCE and self.point in points

    @property
    def name(self) -> str:
        """As pytest and the page name it."""
        way = "" if self.way == AMD64 else f" {self.way}"
        return " ".join(f"{self.scenario}{way}: {self.victim} at {self.point} {self.words}".split())


def cases() -> Iterator[Case]:
    """All of them; those of one lane after one another."""
    for scenario, victims in _TABLE.items():
        for victim, faults in victims.items():
            for fault in faults:
                yield Case(scenario, victim, *fault.partition(" ")[::2])
    for way, scenario, victim, fault in _ACROSS:
        yield Case(scenario, victim, *fault.partition(" ")[::2], way)


_TABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "start": {
        SOURCE: (
            "agent.folders.made",
            "agent.container.created",
            "agent.journal.writing AttemptState.STARTING",
            "agent.journal.written AttemptState.STARTING",
            "agent.container.started",
            "agent.journal.written AttemptState.RUNNING",
            "agent.chunks.sent outputs",
            "agent.manifest.sent outputs",
            "agent.collected",
            "agent.container.removed",
            "agent.folders.removed",
            "agent.journal.written Forget",
        ),
        CONTROLLER: (
            "controller.store.writing JobState.STARTING",
            "controller.store.written JobState.STARTING",
            "controller.sent JobState.STARTING",
            "controller.store.written JobState.RUNNING",
            "controller.log.added",
            "controller.log.counted",
            "controller.manifest.chunked",
            "disk.aside manifests",
            "controller.manifest.put",
            "controller.store.writing JobState.SUCCEEDED",
            "controller.store.written JobState.SUCCEEDED",
            "controller.sent JobState.SUCCEEDED",
        ),
        ENGINE: (
            "agent.container.created",
            "agent.journal.written AttemptState.STARTING",
            "agent.container.started",
            "agent.container.removed",
        ),
    },
    "checkpoint": {
        SOURCE: (
            "agent.chunks.sent",
            "agent.manifest.sent",
            "agent.journal.written Checkpoint",
        ),
        CONTROLLER: (
            "disk.aside chunks",
            "controller.chunk.put",
            "controller.manifest.put",
            "controller.store.writing Checkpoint",
            "controller.store.written Checkpoint",
        ),
        ENGINE: ("agent.chunks.sent", "agent.journal.written Checkpoint"),
    },
    "move": {
        SOURCE: (
            "agent.journal.writing AttemptState.STOPPING",
            "agent.journal.written AttemptState.STOPPING",
            "agent.stop.laid",
            "agent.stop.asked",
            "agent.journal.written AttemptState.SAVING",
            "agent.collected",
            "agent.journal.writing AttemptState.EXITED",
            "agent.journal.written AttemptState.EXITED",
            "agent.container.removed",
            "agent.journal.written Forget",
        ),
        TARGET: (
            "disk.aside",
            "agent.prefetched",
            "agent.journal.written AttemptState.PREPARING",
            "agent.folders.made",
            "agent.restore.fetched",
            "agent.restore.laid",
            "agent.container.created",
            "agent.journal.writing AttemptState.STARTING",
            "agent.journal.written AttemptState.STARTING",
            "agent.container.started",
            "agent.journal.written AttemptState.RUNNING",
        ),
        CONTROLLER: (
            "controller.store.writing MigrationState.PREFETCHING",
            "controller.store.written MigrationState.PREFETCHING",
            "controller.sent MigrationState.PREFETCHING",
            "controller.store.written MigrationState.FREEZING",
            "controller.manifest.put",
            "controller.store.writing MigrationState.STARTING",
            "controller.store.written MigrationState.STARTING",
            "controller.sent MigrationState.STARTING",
            "controller.store.written MigrationState.SUCCEEDED",
        ),
        ENGINE: ("agent.stop.laid", "agent.journal.written AttemptState.SAVING"),
    },
    "drain": {
        SOURCE: ("agent.stop.asked", "agent.journal.written AttemptState.EXITED", "agent.folders.removed"),
        TARGET: ("agent.restore.fetched", "agent.container.started"),
        CONTROLLER: (
            "controller.store.writing Drain.DRAINING",
            "controller.store.written Drain.DRAINING",
            "controller.store.written MigrationState.FREEZING",
            "controller.store.written MigrationState.STARTING",
            "controller.store.written Drain.DRAINED",
        ),
    },
    "cancel": {
        SOURCE: (
            "agent.journal.written AttemptState.STOPPING",
            "agent.stop.laid",
            "agent.stop.asked",
            "agent.stop.forced",
            "agent.container.removed",
            "agent.journal.written Forget",
        ),
        CONTROLLER: (
            "controller.store.writing JobState.CANCELLING",
            "controller.store.written JobState.CANCELLING",
            "controller.sent JobState.CANCELLING",
            "controller.store.written JobState.CANCELLED",
        ),
        ENGINE: ("agent.stop.asked",),
    },
}

_ACROSS = (
    (ARM64, "move", SOURCE, "agent.stop.asked"),
    (ARM64, "move", TARGET, "agent.restore.fetched"),
    (ARM64, "move", TARGET, "agent.journal.written AttemptState.STARTING"),
    (ARM64, "move", CONTROLLER, "controller.store.written MigrationState.STARTING"),
    (BACK, "move", SOURCE, "agent.collected"),
    (BACK, "move", TARGET, "agent.container.started"),
)
