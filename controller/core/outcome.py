"""What an attempt's exit means for its job: the table of exit codes of the job's contract."""

from dataclasses import dataclass
from enum import Enum

from headrace.attempts import EXIT_SAVED, EXIT_SIGKILL, EXIT_SIGTERM, Attempt
from headrace.changes import replace
from headrace.jobs import ExitZero, Job, JobSpec, RetryCause

# What a node says of a failure that was its device's.
DEVICE_LOST = "DEVICE_LOST"


class Verdict(Enum):
    """What becomes of the job."""

    DONE = 1
    # It goes on from its last committed checkpoint, or from its beginning where it has none.
    RESUME = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, and for a failure its cause and a sentence."""

    verdict: Verdict
    cause: RetryCause = RetryCause.EXIT_NONZERO
    message: str = ""


# Of one that nobody here has killed. Docker 20.10 on a busy machine told of 6 in 240 nothing but the code.
_KILLED = (
    ": it was killed, perhaps for using more memory than resources.memory allows, which the engine does not always tell"
)


def outcome(attempt: Attempt, spec: JobSpec) -> Outcome:
    """The verdict on an attempt that EXITED."""
    code = attempt.exit_code
    if code is None:
        return Outcome(Verdict.FAILED, RetryCause.NODE_LOST, attempt.message or "its exit code is not known")
    if code == EXIT_SAVED:
        return _saved(attempt)
    if attempt.stop_requested and (code in (0, EXIT_SIGTERM) or (attempt.killed and code == EXIT_SIGKILL)):
        return _left(attempt, spec)
    if code == 0:
        return _done(attempt, spec)
    message = attempt.message or f"the container exited with code {code}{_KILLED if code == EXIT_SIGKILL else ''}"
    cause = RetryCause.DEVICE_ERROR if attempt.reason == DEVICE_LOST else RetryCause.EXIT_NONZERO
    return Outcome(Verdict.FAILED, cause, message)


def _saved(attempt: Attempt) -> Outcome:
    if attempt.checkpoint is None and not attempt.stop_requested:
        # Starting it again would only repeat this.
        message = "the container exited with code 85 (saved, start me again), but its checkpoint directory is empty"
        return Outcome(Verdict.FAILED, RetryCause.EXIT_NONZERO, attempt.message or message)
    return Outcome(Verdict.RESUME, message=attempt.message)


def _left(attempt: Attempt, spec: JobSpec) -> Outcome:
    if attempt.saved_on_request or attempt.exit_code != 0:
        return Outcome(Verdict.RESUME, message=attempt.message)
    exit_zero = spec.checkpoint.exit_zero if spec.checkpoint is not None else ExitZero.DONE
    return Outcome(Verdict.RESUME) if exit_zero is ExitZero.RESUME else _done(attempt, spec)


def _done(attempt: Attempt, spec: JobSpec) -> Outcome:
    if spec.output_path and attempt.outputs is None:
        message = attempt.message or "its outputs could not be stored"
        return Outcome(Verdict.FAILED, RetryCause.EXIT_NONZERO, message)
    return Outcome(Verdict.DONE)


def is_retried(job: Job, cause: RetryCause, *, wall_ms: int) -> bool:
    """Whether another attempt follows on one that failed. A lost node says nothing of the job: it is not counted."""
    retry = job.spec.retry
    return cause in retry.on and (cause is RetryCause.NODE_LOST or _failures(job, wall_ms) < retry.limit)


def with_failure(job: Job, *, wall_ms: int) -> Job:
    """The job with one more failure that counts."""
    before, job = _failures(job, wall_ms), at_the_end(job, wall_ms=wall_ms)
    return replace(job, failures=before + 1, failing_since_time_ms=job.failing_since_time_ms if before else wall_ms)


def at_the_end(job: Job, *, wall_ms: int) -> Job:
    """The job, which leaves by its own doing: where it has run it had its turn, and goes behind those that wait."""
    return job if job.start_time_ms is None else replace(job, queue_time_ms=wall_ms)


def _failures(job: Job, wall_ms: int) -> int:
    """How many failures count now: none once the first of them is longer ago than `retry.within`."""
    within_ms, since_ms = job.spec.retry.within_ms, job.failing_since_time_ms
    over = within_ms is not None and since_ms is not None and wall_ms - since_ms > within_ms
    return 0 if over else job.failures
