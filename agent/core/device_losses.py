"""Failures of jobs that were the failures of their devices: a job that fails is held against what its devices say then.

A card that is lost ends the job on it before anybody has looked at the card again. So a job that had devices and failed
for no reason that is known is not told of as over before they were looked at.
"""

from collections.abc import Container, Iterable
from typing import NamedTuple

from headrace.attempts import EXIT_SIGKILL, ORDERLY_EXIT_CODES, Attempt, AttemptState
from headrace.changes import replace
from headrace.nodes import Device, Health, NodeDescription, VendorState

DEVICE_LOST = "DEVICE_LOST"

# The reading that comes next may have been taken before the failure.
READINGS = 2
# Where a driver hangs, there are none.
PATIENCE_MS = 15_000
# A device may be well again before anybody has heard of the failure, as where the engine was away.
REMEMBERED_MS = 30_000


class Ill(NamedTuple):
    """A device that was not well, why, and when that was seen."""

    device: str
    why: str
    seen_ms: int


def is_suspected(attempt: Attempt) -> bool:
    """Whether a failure may be that of its devices."""
    # It may have been over when it was to be killed.
    was_killed = attempt.killed and attempt.exit_code == EXIT_SIGKILL
    failed = attempt.exit_code not in (None, *ORDERLY_EXIT_CODES) and not was_killed
    return attempt.state is AttemptState.SAVING and bool(attempt.devices) and failed and not attempt.reason


def are_all(description: NodeDescription) -> bool:
    """Whether the devices that came with it are all that there are: no maker's driver keeps its own back."""
    return all(one.state is not VendorState.DEGRADED for one in description.vendors)


def ill(attempt: Attempt, devices: Iterable[Device], now_ms: int) -> Ill | None:
    """The first of the attempt's devices that is not well, if any."""
    found = (one for one in devices if one.id in attempt.devices and one.health is Health.UNHEALTHY)
    device = next(found, None)
    return None if device is None else Ill(device.id, device.health_reason or "it is not well", now_ms)


def attributed(
    attempt: Attempt,
    devices: Iterable[Device],
    was: Ill | None,
    now_ms: int,
    *,
    are_all: bool = False,
    seen_before: Container[str] = (),
) -> Attempt:
    """The attempt, with what is wrong with its devices as the reason of its failure.

    `was`: which of them was seen ill last, while the attempt was held. One that is not among them is lost where these
    `are_all`, or if it was `seen_before`.
    """
    devices = tuple(devices)
    known = {device.id for device in devices}
    gone = (one for one in attempt.devices if one not in known and (are_all or one in seen_before))
    wrong = ill(attempt, devices, now_ms) or next((Ill(one, "it is not there any more", now_ms) for one in gone), was)
    if wrong is None or now_ms > wrong.seen_ms + REMEMBERED_MS:
        return attempt
    message = f"its device {wrong.device} was lost ({wrong.why}), and the container left with code {attempt.exit_code}"
    return replace(attempt, reason=DEVICE_LOST, message=message)
