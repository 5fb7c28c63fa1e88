"""Kinds of worlds in which some things are likelier than in any: rules that matter seldom are missed sooner there."""

from dataclasses import dataclass, field

from headrace.jobs import AcceleratorRequest, CheckpointPolicy, Partition, Requests, Retry, RetryCause, Timeouts
from tests.core.small_world import GIB
from tests.simulation.faults import Faults

_SAVING = CheckpointPolicy("/checkpoint", interval_ms=3_000, grace_ms=12_000)


@dataclass(frozen=True)
class Emphasis:
    """How likely faults are, what is done how often (nothing else is), what jobs are like, whatever a seed draws."""

    name: str
    faults: dict[str, float] = field(default_factory=dict)
    # By the names of methods of `Users`.
    does: dict[str, int] = field(default_factory=dict)
    spec: dict[str, object] = field(default_factory=dict)
    # How likely it is that something is done in a second, and how many jobs there are.
    unrest: float | None = None
    at_once: int | None = None
    loses: str = ""
    # Whether projects share too few nodes.
    crowded: bool = False
    # Whether images take long to come, and too many jobs wait.
    backlog: bool = False
    # Nodes differ, and jobs are moved though nobody asked for it.
    paced: bool = False
    # Nodes are of different speeds and prices.
    unequal: bool = False
    # In which directions lines are cut: up, down.
    cuts: tuple[tuple[bool, bool], ...] = ((True, True), (True, True), (True, False), (False, True))


ANY = Emphasis("any")
CUTS = Emphasis(
    "cut lines",
    {"late": 0.4, "lost": 0.3},
    {"network": 6, "move": 2},
    {"lost_after_ms": 1, "partition": Partition.PAUSE},
)
LATE = Emphasis(
    "late answers, lines cut upwards",
    {"late": 0.8, "lost": 0.0, "twice": 0.5},
    {"network": 1},
    {"lost_after_ms": 1, "partition": Partition.PAUSE, "checkpoint": _SAVING},
    unrest=0.2,
    cuts=((True, False),),
)
STOPPING = Emphasis(
    "cut lines, jobs that stop",
    {"deaf": 0.6},
    {"network": 6},
    {"lost_after_ms": 1, "partition": Partition.STOP, "checkpoint": _SAVING},
    unrest=0.4,
)
KEEPING = Emphasis(
    "long cuts, jobs that go on",
    {"slow": 0.3},
    {"network": 1},
    {"lost_after_ms": 1, "partition": Partition.KEEP, "checkpoint": _SAVING, "resources": Requests()},
    unrest=0.07,
    at_once=6,
)
RESTARTS = Emphasis(
    "long cuts, restarts of the controller",
    {"late": 0.4, "slow": 0.3},
    {"network": 2, "kill_controller": 2},
    {"lost_after_ms": 1, "partition": Partition.KEEP, "checkpoint": _SAVING},
    unrest=0.25,
)
SHORTER = Emphasis(
    "cut lines, restarts of the controller",
    {"late": 0.4},
    {"network": 3, "kill_controller": 3},
    {"lost_after_ms": 1, "partition": Partition.PAUSE},
    unrest=0.3,
)
FULL = Emphasis("full disks, many moves", {}, {"disk": 1, "move": 9}, {"lost_after_ms": 1}, unrest=1.0)
STALLS = Emphasis("disks that are full for long", {}, {"disk": 1}, {"lost_after_ms": 1}, unrest=0.15)
FULL_STOPPING = Emphasis(
    "full disks, jobs that stop",
    {},
    {"disk": 4, "network": 4},
    {"lost_after_ms": 1, "partition": Partition.STOP, "checkpoint": CheckpointPolicy("/checkpoint", grace_ms=1_000)},
    unrest=0.4,
)
DEVICES = Emphasis(
    "cut lines, jobs with devices",
    {"slow": 0.5},
    {"network": 4, "cancel": 1},
    {"lost_after_ms": 1, "resources": Requests(1000, GIB, AcceleratorRequest(2))},
    at_once=2,
)
STRAYS = Emphasis(
    "a lost journal, engines that decline",
    {"declined": 0.7, "interrupted": 0.2},
    {"lose": 4, "kill_agent": 6, "network": 1},
    {"lost_after_ms": 1},
    loses="journal",
)
MOVES = Emphasis("many moves", {"mute": 0.5}, {"move": 1}, {"resources": Requests()}, unrest=1.0, at_once=6)
STUBBORN = Emphasis(
    "cut lines, engines that decline, jobs that stop",
    {"declined": 0.7, "deaf": 0.8},
    {"network": 6, "kill_agent": 3},
    {"lost_after_ms": 1, "partition": Partition.STOP, "checkpoint": CheckpointPolicy("/checkpoint", grace_ms=1_000)},
    unrest=0.5,
)
GANGS = Emphasis(
    "gangs that fit only alone",
    {},
    {"network": 3, "engine": 1, "kill_agent": 2, "kill_controller": 2, "drain": 1, "cancel": 1},
    {
        "lost_after_ms": 1,
        "task_count": 2,
        "resources": Requests(3000, GIB),
        "timeouts": Timeouts(start_ms=15_000),
        "partition": Partition.PAUSE,
    },
    unrest=0.4,
    at_once=4,
)
CROWD = Emphasis("projects that share too few nodes", {}, {"kill_controller": 1, "cancel": 1}, unrest=0.1, crowded=True)
QUOTAS = Emphasis(
    "projects that share too few nodes, many moves",
    {"deaf": 0.1},
    {"move": 4, "drain": 1, "kill_controller": 2, "kill_agent": 1},
    {"lost_after_ms": 1, "checkpoint": _SAVING, "partition": Partition.PAUSE},
    unrest=0.5,
    crowded=True,
)
RELATIONS = Emphasis(
    "arrays and sequences",
    {},
    {"network": 3, "kill_controller": 3, "kill_agent": 1, "cancel": 1, "move": 2, "drain": 1},
    {
        "lost_after_ms": 1,
        "element_count": 5,
        "resources": Requests(),
        "checkpoint": _SAVING,
        "timeouts": Timeouts(progress_ms=6_000),
        "retry": Retry(1, (RetryCause.NODE_LOST, RetryCause.NO_PROGRESS)),
    },
    unrest=0.4,
    at_once=7,
)

PACING = Emphasis(
    "jobs that tell how far they are",
    {"deaf": 0.2},
    {"move": 1, "kill_controller": 1, "network": 1, "drain": 1},
    {"lost_after_ms": 1, "checkpoint": _SAVING, "partition": Partition.PAUSE, "timeouts": Timeouts()},
    unrest=0.2,
    at_once=5,
    paced=True,
)

BACKLOG = Emphasis(
    "images that take long, jobs with limits",
    dict.fromkeys(Faults.MOST, 0.0),
    {},
    {"partition": Partition.PAUSE, "output_path": "", "resources": Requests()},
    unrest=0.0,
    backlog=True,
)

PATIENCE = Emphasis(
    "nodes of different speeds and prices",
    {"failing": 0.1},
    {"kill_controller": 1, "cancel": 1, "network": 1, "drain": 1},
    {"lost_after_ms": 1, "partition": Partition.PAUSE, "timeouts": Timeouts()},
    unrest=0.15,
    unequal=True,
)

EMPHASES = (
    ANY,
    CUTS,
    LATE,
    STOPPING,
    KEEPING,
    RESTARTS,
    SHORTER,
    FULL,
    STALLS,
    FULL_STOPPING,
    DEVICES,
    STRAYS,
    MOVES,
    STUBBORN,
    GANGS,
    PACING,
    CROWD,
    QUOTAS,
    RELATIONS,
    BACKLOG,
    PATIENCE,
)
