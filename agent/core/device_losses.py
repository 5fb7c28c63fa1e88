"""Failures of jobs that were the failures of their devices: a job that fails is held against what its devices say then.

A card that is lost ends the job on it before anybody has looked at the card again. So a job that had devices and failed
for no reason that is known is not told of as over before they were looked at.
"""

from collections.abc import Container, Iterable
from dataclasses import replace

from headrace.attempts import EXIT_SIGKILL, ORDERLY_EXIT_CODES, Attempt, AttemptState
from headrace.nodes import Device, Health

DEVICE_LOST = "DEVICE_LOST"

# The reading that comes next may have been taken before the failure.
READINGS = 2
# Where a driver hangs, there are none.
PATIENCE_MS = 15_000


def is_suspected(attempt: Attempt) -> bool:
    """Whether a failure may be that of its devices."""
    # It may have been over when it was to be killed.
    was_killed = attempt.killed and attempt.exit_code == EXIT_SIGKILL
    failed = attempt.exit_code not in (None, *ORDERLY_EXIT_CODES) and not was_killed
    return attempt.state is AttemptState.SAVING and bool(attempt.devices) and failed and not attempt.reason


def attributed(attempt: Attempt, devices: Iterable[Device], *, seen_before: Container[str] = ()) -> Attempt:
    """The attempt, with what is wrong with its devices as the reason of its failure.

    One that is not among them is lost if it was `seen_before`: else its maker may not have answered yet.
    """
    known = {device.id: device for device in devices}
    for one in attempt.devices:
        device = known.get(one)
        if one in seen_before if device is None else device.health is Health.UNHEALTHY:
            why = (device.health_reason or "it is not well") if device is not None else "it is not there any more"
            message = f"its device {one} was lost ({why}), and the container left with code {attempt.exit_code}"
            return replace(attempt, reason=DEVICE_LOST, message=message)
    return attempt
