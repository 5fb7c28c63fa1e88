"""What makes runs alike: the rows and the columns of the table of learned speeds."""

from typing import NamedTuple

from headrace.attempts import Platform
from headrace.jobs import JobSpec
from headrace.nodes import Device, Node
from headrace.shares import WHOLE_MILLIS


class Profile(NamedTuple):
    """Runs of one profile do the same; those of one repository do something alike."""

    repository: str
    name: str
    command: tuple[str, ...]
    resources: str


class Hardware(NamedTuple):
    """Where runs of one profile take equally long: models of the devices granted, or the processor's where none is."""

    platform: str
    models: tuple[str, ...]


def profile_of(spec: JobSpec) -> Profile:
    """By repository, so that a new tag of an image is not a new kind of job."""
    devices = spec.resources.accelerators
    resources = f"{spec.resources.cpu_millis} thousandths of a core"
    if devices is not None and devices.is_part and not devices.share_millis:
        resources += f", {devices.memory_bytes} bytes of a device"
    elif devices is not None:
        resources += f", {devices.count} devices of {devices.share_millis or WHOLE_MILLIS} thousandths"
    return Profile(_repository(spec.image), spec.display_name, spec.command, resources)


def hardware(platform: Platform, devices: tuple[str, ...], node: Node) -> Hardware | None:
    """What a job with these devices runs on; `None` where that does not say what it is: it is like no other."""
    known = {device.id: device for device in node.devices}
    if any(one not in known for one in devices):
        return None
    models = tuple(sorted(_model(known[one]) for one in devices)) or (node.description.cpu.model,)
    if not all(models):
        return None
    run_as = f"{platform.os}/{platform.architecture}"
    return Hardware(f"{run_as} emulated" if platform.emulated else run_as, models)


def _model(device: Device) -> str:
    return f"{device.vendor} {device.model} {device.partition}".rstrip() if device.model else ""


def _repository(reference: str) -> str:
    named = reference.partition("@")[0]
    # A colon before the last slash is that of a port.
    return named if ":" not in named.rpartition("/")[2] else named.rpartition(":")[0]
