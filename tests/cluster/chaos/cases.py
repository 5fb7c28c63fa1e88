"""At which fault points which daemon is killed, in which scenario."""

from collections.abc import Iterator
from dataclasses import dataclass

# Where the victim is, in lanes.py: the source of moves, their target; or the engine of one of them.
SOURCE, TARGET, CONTROLLER, ENGINE, TARGET_ENGINE = "agent", "target's agent", "controller", "engine", "target's engine"
ENGINES = (ENGINE, TARGET_ENGINE)
AMD64, ARM64, BACK = "amd64", "arm64", "from arm64"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `words` say what must be at hand; `way` is the architecture of a move's target, or of its source.

    `ahead`: containers of moves are started ahead. `before`: where the victim was killed once already.
    """

    scenario: str
    victim: str
    point: str
    words: str = ""
    way: str = AMD64
    ahead: bool = False
    before: str = ""

    @property
    def faults(self) -> list[str]:
        """As the daemon is told, each time it starts; an engine is killed while its agent is held still."""
        last = " ".join(one for one in (self.point, self.words, "hold" if self.victim in ENGINES else "") if one)
        return [one for one in (self.before, last) if one]

    @property
    def may_lose_its_note(self) -> bool:
        """An attempt is noted a moment after it began; a container that is found without a note ends its epoch."""
        points = ("agent.container.created", "agent.journal.writing")
        return self.scenario == "start" and self.victim == SOURCE and self.point in points

    @property
    def may_be_given_up(self) -> bool:
        """Before the commit, a node whose agent is away for too long is given up, and the move asked for anew.

        On a busy machine the target's agent may need that long to find a controller that has started again, too.
        """
        if self.victim == CONTROLLER:
            return self.scenario == "move" and self.words == "MigrationState.PREFETCHING"
        return self.victim == TARGET and self.point in _BEFORE_THE_COMMIT

    @property
    def name(self) -> str:
        """As pytest and the page name it."""
        way = "" if self.way == AMD64 else f" {self.way}"
        ahead = " ahead" if self.ahead else ""
        return " ".join(f"{self.scenario}{way}{ahead}: {self.victim} at {self.point} {self.words}".split())


_BEFORE_THE_COMMIT = (
    "disk.aside",
    "agent.prefetched",
    "agent.standby.folders.made",
    "agent.standby.created",
    "agent.standby.started",
)


def cases() -> Iterator[Case]:
    """All of them."""
    for ahead, table, across in ((False, _TABLE, _ACROSS), (True, _AHEAD, _AHEAD_ACROSS)):
        for scenario, victims in table.items():
            for victim, faults in victims.items():
                for fault in faults:
                    yield _case(scenario, victim, fault, AMD64, ahead=ahead)
        for way, scenario, victim, fault in across:
            yield _case(scenario, victim, fault, way, ahead=ahead)


def _case(scenario: str, victim: str, fault: str, way: str, *, ahead: bool) -> Case:
    before, _, last = fault.rpartition(", then ")
    return Case(scenario, victim, *last.partition(" ")[::2], way, ahead, before)


_Table = dict[str, dict[str, tuple[str, ...]]]
_Across = tuple[tuple[str, str, str, str], ...]

_TABLE: _Table = {
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

_ACROSS: _Across = (
    (ARM64, "move", SOURCE, "agent.stop.asked"),
    (ARM64, "move", TARGET, "agent.restore.fetched"),
    (ARM64, "move", TARGET, "agent.journal.written AttemptState.STARTING"),
    (ARM64, "move", CONTROLLER, "controller.store.written MigrationState.STARTING"),
    (BACK, "move", SOURCE, "agent.collected"),
    (BACK, "move", TARGET, "agent.container.started"),
)

# Moves of which the target starts the container ahead.
_AHEAD: _Table = {
    "move": {
        SOURCE: ("agent.stop.asked", "agent.journal.written AttemptState.EXITED"),
        TARGET: (
            "agent.prefetched",
            "agent.standby.folders.made",
            "agent.standby.created",
            "agent.standby.started",
            "agent.restore.fetched",
            "agent.restore.laid",
            "agent.standby.worded",
            "agent.standby.taken",
            "agent.standby.taken, then agent.standby.returned",
            "agent.container.created",
            "agent.journal.writing AttemptState.STARTING",
            "agent.journal.written AttemptState.STARTING",
            "agent.standby.told",
            "agent.container.started",
            "agent.journal.written AttemptState.RUNNING",
        ),
        CONTROLLER: (
            "controller.sent MigrationState.PREFETCHING",
            "controller.store.written MigrationState.FREEZING",
            "controller.store.writing MigrationState.STARTING",
            "controller.store.written MigrationState.STARTING",
            "controller.sent MigrationState.STARTING",
            "controller.store.written MigrationState.SUCCEEDED",
        ),
        ENGINE: ("agent.stop.laid",),
        TARGET_ENGINE: (
            "agent.standby.created",
            "agent.standby.started",
            "agent.standby.worded",
            "agent.standby.taken",
            "agent.journal.written AttemptState.STARTING",
            "agent.standby.told",
        ),
    },
    "drain": {
        SOURCE: ("agent.journal.written AttemptState.EXITED",),
        TARGET: ("agent.standby.started", "agent.standby.taken"),
        CONTROLLER: ("controller.store.written MigrationState.STARTING",),
    },
    "cancel of a move": {
        SOURCE: ("agent.journal.written AttemptState.STOPPING", "agent.stop.forced"),
        TARGET: ("agent.standby.started", "agent.standby.removed"),
        CONTROLLER: ("controller.store.writing JobState.CANCELLING", "controller.store.written JobState.CANCELLING"),
        TARGET_ENGINE: ("agent.standby.removed",),
    },
}

_AHEAD_ACROSS: _Across = (
    (ARM64, "move", TARGET, "agent.standby.started"),
    (ARM64, "move", TARGET, "agent.standby.worded"),
    (ARM64, "move", TARGET, "agent.standby.taken"),
    (ARM64, "move", TARGET, "agent.standby.told"),
    (ARM64, "move", CONTROLLER, "controller.store.written MigrationState.STARTING"),
    (BACK, "move", TARGET, "agent.standby.taken"),
)
