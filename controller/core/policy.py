"""What an operator might want otherwise: a handful of named numbers."""

from dataclasses import dataclass, field

from controller.core.absences import Presence
from controller.core.improving import Improving
from controller.core.placement.lengths import Terms


@dataclass(frozen=True, slots=True)
class Policy:
    """The few named numbers of the controller, in milliseconds."""

    # The agent's, unless there are so many nodes that more reports came in a second than that (0: however many). So it
    # becomes no longer than what has a lost node's jobs, but for those that stop, replaced no later than the 5 minutes
    # that `lost_after` is where a job does not say.
    lease_ms: int = 15_000
    reports_per_second: int = 0
    spread_ms_max: int = 180_000
    # The longest that a process before this one may have told nodes of.
    lease_before_ms: int = 0
    # When there was a controller before this process, as it was written down.
    presence_before: Presence | None = None
    prefetch_ms: int = 900_000
    # How often jobs whose place depends on what sensors read are looked at again.
    readings_ms: int = 10_000
    exclusion_ms: int = 60_000
    # A job that ends within this long is not moved away from a node that is drained: it is let end.
    ends_ms: int = 60_000
    # For how long a device is held by what is no job before that is told.
    drift_ms: int = 10_000
    # For how long a node may leave out a device that a job has before that counts as lost; it reports twice meanwhile.
    device_gone_ms: int = 30_000
    # As in Lease; and for how long a node whose stream is over may be without one before it is doubted.
    doubt_ms: int = 9_000
    # For how long nodes may take to come back to a controller that has just started, before they are doubted.
    return_ms: int = 45_000
    # What a project has used counts for half as much after so long; and for its turn it counts as it would be that much
    # later, so that what was just given counts at once.
    half_life_ms: int = 86_400_000
    share_ahead_ms: int = 3_600_000
    # A job of this priority or more may have others of its project leave whose priority is lower; and none of them more
    # often than so.
    preempting_priority: int = 80
    preemptions_max: int = 3
    # What having a job leave costs that saves; a job that has found nobody to leave looks again after that long.
    standstill_ms: int = 10_000
    preemption_rest_ms: int = 10_000
    # For so many of the first jobs that found no room it is kept; where no limit tells when there will be enough, only
    # once they have waited so long, or from projects that have had more for their weight.
    kept_max: int = 16
    patience_ms: int = 600_000
    # With more nodes than that, or more tasks, room for a gang is found in columns.
    few_for_gangs: int = 200
    # How often it is written down when a node reported last, for a controller that is started again: less often with
    # more than some 1,000 nodes (`controller.core.ticks.WRITTEN_AT_ONCE`).
    report_time_saved_ms: int = 60_000
    # How often what projects have used is written down.
    use_saved_ms: int = 60_000
    # What a unit of the owners' price is worth, as so much time; 0: prices do not count. Of a job of which it is not
    # known how long it runs it is as if it ran for so long.
    ms_per_price: float = 0.0
    unknown_run_ms: int = 3_600_000
    # Those of moves that nobody asked for.
    improving: Improving = field(default_factory=Improving)

    @property
    def terms(self) -> Terms:
        """Those by which places are compared."""
        numbers = self.improving
        return Terms(numbers.reluctance.gain_ratio, numbers.matters_ms, self.ms_per_price, self.unknown_run_ms)
