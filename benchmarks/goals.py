"""The table of goals: each row, what it has to reach, what it is measured by, and the command that measures it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table. `anchor` is what was seen or published of others, where it is not measured beside ours.

    `part` is what the history calls it, empty where all parts of the row are meant; `command` is what measures it.
    """

    row: int | str
    part: str
    figure: str
    to_reach: str
    anchor: str
    command: str

    def covers(self, row: int | str, part: str) -> bool:
        """Whether that part, measured, is this row's: a curve may be of several rows, and workloads are parts."""
        return part == self.part if self.part else row == self.row


# What a part is asked for with where its row says how large.
SIZES = {
    "jobs": "--agents 10000 ",
    "queue": "--agents 10000 --queued 100000 ",
    "agents": "--agents 10000 ",
    "restart": "--agents 10000 --jobs 100000 --ended 900000 ",
    "explain": "--agents 10000 --queued 10000 ",
}


def _bench(row: int, figure: str, to_reach: str, anchor: str) -> Goal:
    return Goal(row, f"row {row}", figure, to_reach, anchor, f"make bench ARGS={row}")


def _scale(row: int, part: str, figure: str, to_reach: str, anchor: str) -> Goal:
    return Goal(row, part, figure, to_reach, anchor, f"python -m benchmarks.scale {SIZES.get(part, '')}{part}")


def _curve(row: int | str, name: str, figure: str, to_reach: str = "") -> Goal:
    return Goal(row, f"curve {name}", figure, to_reach, "", f"python -m benchmarks.scale --curve {name}")


JOB_SYSTEMS = (
    "seen: Slurm 60, HTCondor 10, HyperQueue 590, Ray 870; published: Nomad 1,500 to 3,750, kube-scheduler 810"
)
KUBERNETES = "published: kube-scheduler 100s to 1,000 at 5,000 nodes"

GOALS = (
    _bench(1, "submitted → container started, one job", "≤ 1.05 × API, ≤ 0.95 × CLI; p99 ≤ 1.2 ×", "the engine's API"),
    _bench(2, "containers a second, 8 in flight", "≥ 1 ×", "docker-py, 8 threads"),
    _scale(3, "jobs", "jobs a second, submitted to ended", "≥ 700, 1,000; batches 4,500, 13,000", JOB_SYSTEMS),
    _curve(3, "kept", "jobs a second by jobs kept", "flat to 1 M"),
    _bench(4, "placements a second in the core", "≥ 20,000; arrays ≥ 200,000", KUBERNETES),
    _curve(4, "nodes", "placements, jobs and reports by nodes"),
    _scale(5, "queue", "submitted → placed, 1,000 a second", "p50 ≤ 20 ms, p99 ≤ 100 ms", ""),
    _curve(5, "queue", "submitted → placed by jobs queued"),
    _scale(6, "streams", "agents' reports without a pause", "≥ 0.7 ×", "a bare gRPC server"),
    _scale(
        7, "agents", "agents at rest", "≤ 60 % of a core, ≤ 150 KiB each, back in ≤ 30 s", "seen: 47 %, 90 KiB, 23 s"
    ),
    _bench(8, "an agent at rest", "≤ 60 MiB, ≤ 0.5 % of a core", "node-exporter; seen: k3s agent 275 MB, 3 %"),
    _scale(9, "restart", "controller's restart", "≤ 2 s, ≤ 1.2 GiB", "seen: 0.65 s; slurmctld 1.06 s, 5,000 jobs"),
    _curve(9, "live", "controller's restart by live jobs"),
    _scale(10, "store", "store: state changes a second", "≥ 0.3 ×", "sqlite3 alone"),
    _bench(11, "checkpoint bytes a second", "≥ 0.25 ×", "cp"),
    _bench(12, "downtime of a hop, 1 MB", "≤ 1.25 ×; standby ≤ 0.35 × of cold", "the engines alone"),
    _bench(13, "downtime of a hop, 64 and 256 MB", "standby, unchanged ≤ 0.15 ×", "the engines alone"),
    _bench(14, "headrace jobs, the whole process", "≤ 8 ×", "docker ps"),
    _bench(15, "what a dry run foretells is off by", "≤ 0.25", "the move itself"),
    _bench(16, "downtime of a hop, 1 GiB, 1 % changed", "≤ 1.3 × its own; ≤ 3 % of the bytes", "the engines alone"),
    _bench(17, "jobs that do nothing, side by side", "", "Docker Swarm, Slurm, Ray"),
    _bench(18, "resolution of an identifier", "p99 ≤ 50 ms", ""),
    _bench(19, "nodes and devices found", "2 s, 2 s, 10 s; searches 1 s", ""),
    _scale(20, "explain", "why a job waits", "< 1 s at 10,000 nodes, 10,000 queued", ""),
    Goal(
        "openb",
        "",
        "devices given away, percent",
        "≥ FGD; with moves a third of the rest",
        "FGD",
        "python -m benchmarks.openb --pods FILE --nodes FILE",
    ),
    Goal(
        "gavel",
        "",
        "mean completion time, how much better",
        "≥ 1.5 ×",
        "least-loaded placement; published: 3.5 ×",
        "python -m benchmarks.gavel --throughputs FILE",
    ),
    _curve("shares", "shares", "tenants' shares of a simulated day", "within 5 %"),
)
