"""Moves that nobody asked for: their named numbers, and what is kept of those that were found and begun."""

from dataclasses import dataclass, field

from controller.core.placement.fit import Place
from controller.core.placement.gains import Proposal, Reluctance
from controller.core.placement.profiles import Hardware
from headrace.jobs import Job, MigrationCause

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Improving:
    """Times in milliseconds."""

    # So many begin in an hour, of all jobs; 0: none. Those for speed help the job that is moved; those for room help
    # others, at its cost.
    speed_moves_per_hour: int = 60
    room_moves_per_hour: int = 4
    reluctance: Reluctance = field(default_factory=Reluctance)
    # All jobs are looked at so often. A gain has to hold for two looks.
    look_ms: int = 60_000
    # After a move, whoever wanted it and whatever came of it, a job is left alone for so long.
    rest_ms: int = 1_800_000
    # For so long an attempt's steps are timed before its pace is believed.
    pace_ms: int = 300_000
    # What to arrive costs where no move to that node was seen. To leave, it takes the job's grace at most.
    unknown_arrival_ms: int = 60_000
    # Where a job would be done so much later than elsewhere at most, it is no matter where it runs.
    matters_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Improvement:
    """A move for speed that would be worth it, and for how long the job would still run where it is."""

    job: Job
    proposal: Proposal
    place: Place
    hardware: Hardware
    here_seconds: float


class Improvements:
    """What was found with this look and the one before, and what was begun. That is made anew from jobs' records."""

    def __init__(self) -> None:
        self.round_ms = self.renew_ms = 0
        # When the next look begins; of the present one, the jobs that are still to be looked at.
        self.look_ms: int | None = None
        self.rest: list[str] | None = None
        self.found: list[Improvement] = []
        self.wanted: dict[str, Hardware] = {}
        # Jobs that are moved to make room, by the job that waits for it; and from which on jobs are looked at for that.
        self.room_for: dict[str, str] = {}
        self.turn = 0
        self._under_way: dict[str, None] = {}
        self._begun: dict[MigrationCause, dict[tuple[str, int], None]] = {one: {} for one in MigrationCause}

    def recall(self, job: Job) -> None:
        """What a job's record tells of such moves."""
        for move in job.migrations:
            if move.cause is not MigrationCause.NEEDED and move.request_time_ms is not None:
                self._begun[move.cause][job.id, move.request_time_ms] = None
                if not move.ended:
                    self._under_way[job.id] = None

    def begun(self, cause: MigrationCause, wall_ms: int) -> int:
        """How many began in the last hour."""
        times = self._begun[cause]
        # A clock that was set back must not stop them for ever.
        recent = [key for key in times if wall_ms - HOUR_MS < key[1] <= wall_ms]
        self._begun[cause] = dict.fromkeys(recent)
        return len(recent)

    def under_way(self, jobs: dict[str, Job]) -> int:
        """How many have not ended."""
        moving = [one for one in self._under_way if one in jobs and jobs[one].migration is not None]
        self._under_way = dict.fromkeys(moving)
        return len(moving)
