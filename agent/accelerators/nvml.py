"""Readings and health of one NVIDIA GPU through NVML, whose module is handed in. NVMLError: the GPU is unusable."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from headrace.changes import replace
from headrace.nodes import Device, Health


class Code(IntEnum):
    """NVML's return codes, of nvmlReturn_t."""

    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    INSUFFICIENT_POWER = 8
    DRIVER_NOT_LOADED = 9
    TIMEOUT = 10
    IRQ_ISSUE = 11
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    CORRUPTED_INFOROM = 14
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    OPERATING_SYSTEM = 17
    LIB_RM_VERSION_MISMATCH = 18
    NO_DATA = 21
    ARGUMENT_VERSION_MISMATCH = 25
    DEPRECATED = 26
    NOT_READY = 27
    GPU_NOT_FOUND = 28
    UNKNOWN = 999


# The GPU is well, it just does not give this reading: of this model, this driver, to this user, or now.
_NO_READING = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_SUPPORTED,
        Code.NO_PERMISSION,
        Code.NOT_FOUND,
        Code.FUNCTION_NOT_FOUND,
        Code.CORRUPTED_INFOROM,
        Code.NO_DATA,
        Code.ARGUMENT_VERSION_MISMATCH,
        Code.DEPRECATED,
        Code.NOT_READY,
    }
)
_WORDS: dict[int, str] = {
    Code.NO_PERMISSION: "this user may not open it",
    Code.NOT_FOUND: "the driver does not list it any more",
    Code.INSUFFICIENT_POWER: "its power cable is not attached properly",
    Code.TIMEOUT: "it does not answer in time",
    Code.IRQ_ISSUE: "its interrupts do not arrive: the kernel's log says why",
    Code.GPU_IS_LOST: "it has fallen off the bus: restart the machine",
    Code.RESET_REQUIRED: "it needs a reset (nvidia-smi --gpu-reset)",
    Code.OPERATING_SYSTEM: "its device node is closed to this process by the system or a control group",
    Code.GPU_NOT_FOUND: "the driver does not list it any more",
    Code.UNKNOWN: "the driver answers with an unknown error: the kernel's log may have an Xid",
}

_TEMPERATURE_GPU = 0
_ERRORS_UNCORRECTED = 1
_SINCE_DRIVER_LOAD = 0
_RECOVERY_ACTION_FIELD = 230
# nvmlGpuRecoveryAction_t; the GPU still works, for less, where it asks to be drained.
_RECOVERY = {
    1: (Health.UNHEALTHY, "it asks for a reset (nvidia-smi --gpu-reset)"),
    2: (Health.UNHEALTHY, "it asks for a restart of the machine"),
    3: (Health.DEGRADED, "it asks to be drained of peer-to-peer work"),
    4: (Health.DEGRADED, "it asks to be drained, then reset"),
}
_WORSE = (Health.UNHEALTHY, Health.DEGRADED, Health.HEALTHY)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a GPU says of its health; HEALTHY says that it looked and found nothing."""

    health: Health
    reason: str = ""


def why(code: int) -> str:
    """A sentence for people on why a GPU cannot be used."""
    return _WORDS.get(code, f"NVML answers with error {code}")


def lost(device: Device, code: int) -> Device:
    """The device without readings, as one that answers so."""
    return replace(unread(device), health=Health.UNHEALTHY, health_reason=why(code))


def unread(device: Device) -> Device:
    """What it is, without how it is."""
    return replace(
        device,
        memory_used_bytes=None,
        busy_percent=None,
        busy_name="",
        temperature_celsius=None,
        power_watts=None,
        health=Health.UNKNOWN,
        health_reason="",
    )


def read(nvml: Any, handle: Any, device: Device) -> Device:
    """The device with all readings that it gives. Raises NVMLError where it cannot be used at all."""
    memory = ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    use = ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    temperature = ask(nvml, nvml.nvmlDeviceGetTemperature, handle, _TEMPERATURE_GPU)
    power_milliwatts = ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    limit_milliwatts = ask(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    health, reason = _health(nvml, handle)
    return replace(
        device,
        memory_bytes=None if memory is None else int(memory.total),
        memory_used_bytes=None if memory is None else int(memory.used),
        busy_percent=None if use is None else float(use.gpu),
        busy_name="" if use is None else "GPU-Util",
        temperature_celsius=None if temperature is None else float(temperature),
        power_watts=None if power_milliwatts is None else power_milliwatts / 1000,
        power_limit_watts=None if limit_milliwatts is None else limit_milliwatts / 1000,
        health=health,
        health_reason=reason,
    )


def read_partition(nvml: Any, handle: Any, device: Device) -> Device:
    """The same of a MIG device: memory is its own, health its GPU's; power and temperature are the whole GPU's."""
    memory = ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    health, reason = _health(nvml, nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))
    return replace(
        unread(device),
        memory_bytes=None if memory is None else int(memory.total),
        memory_used_bytes=None if memory is None else int(memory.used),
        health=health,
        health_reason=reason,
    )


def ask(nvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function answers, `None` where the GPU does not give it."""
    try:
        return function(*arguments)
    except nvml.NVMLError as error:
        if error.value in _NO_READING:
            return None
        raise


def _health(nvml: Any, handle: Any) -> tuple[Health, str]:
    findings = list(_findings(nvml, handle))
    worst = next((health for health in _WORSE if any(each.health is health for each in findings)), Health.UNKNOWN)
    return worst, "; ".join(each.reason for each in findings if each.health is worst and each.reason)


def _findings(nvml: Any, handle: Any) -> Iterator[Finding]:
    fields = ask(nvml, nvml.nvmlDeviceGetFieldValues, handle, [_RECOVERY_ACTION_FIELD])
    if fields is not None and fields[0].nvmlReturn == 0:
        action = int(fields[0].value.uiVal)
        unknown_action = (Health.UNHEALTHY, f"it asks for recovery action {action}")
        yield Finding(*_RECOVERY.get(action, unknown_action)) if action else Finding(Health.HEALTHY)

    errors = ask(nvml, nvml.nvmlDeviceGetTotalEccErrors, handle, _ERRORS_UNCORRECTED, _SINCE_DRIVER_LOAD)
    if errors:
        yield Finding(Health.UNHEALTHY, f"{errors} uncorrected memory errors since its driver was loaded: reset it")
    elif errors == 0:
        yield Finding(Health.HEALTHY)

    rows = ask(nvml, nvml.nvmlDeviceGetRemappedRows, handle)
    if rows is not None:
        _, _, pending, failed = rows
        if failed:
            yield Finding(Health.UNHEALTHY, "remapping a bad row of its memory failed: replace it")
        elif pending:
            yield Finding(Health.DEGRADED, "a bad row of its memory is remapped at its next reset")
        else:
            yield Finding(Health.HEALTHY)

    # GPUs before Ampere retire pages where later ones remap rows.
    if ask(nvml, nvml.nvmlDeviceGetRetiredPagesPendingStatus, handle):
        yield Finding(Health.DEGRADED, "a bad page of its memory is retired at its next reset")
