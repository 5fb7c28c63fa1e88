"""What a job asks for and what it is given, for people: its program as it is bound, resources, limits, neighbours."""

from collections.abc import Iterable

from headrace import units
from headrace.cli import words
from headrace.v1.job_pb2 import AcceleratorRequest, Job, JobSpec, Retry


def program(job: Job) -> list[tuple[str, str]]:
    """Its image and command: those of the variant that it runs, or ran last."""
    image, command = job.spec.image, list(job.spec.command)
    number = _variant(job)
    if not number:
        return [("Image", image), ("Command", " ".join(command))]
    chosen = job.spec.variants[number - 1]
    return [
        ("Variant", f"{number} of {len(job.spec.variants)}: {chosen.where}"),
        ("Image", chosen.image or image),
        ("Command", " ".join(chosen.command or command)),
    ]


def terms(spec: JobSpec) -> list[tuple[str, str]]:
    """What it asks of a node, how it stands to other jobs, and how long it may take."""
    return [
        ("Asks for", _resources(spec)),
        ("Where", spec.where),
        ("Apart from", ", ".join(spec.neighbours.apart_from)),
        ("Spread", spec.neighbours.spread),
        ("Pack", spec.neighbours.pack),
        ("Near", ", ".join(spec.neighbours.near)),
        ("Priority", str(spec.priority)),
        ("Timeouts", _timeouts(spec)),
        ("Retry", _retry(spec.retry)),
    ]


def _variant(job: Job) -> int:
    """Counted from 1; 0: none. The number of an attempt counts alternatives of devices too."""
    count = len(job.spec.variants)
    number = job.attempts[-1].variant % (count + 1) if job.attempts else 0
    return number if number <= count else 0


def _resources(spec: JobSpec) -> str:
    wants = spec.resources
    parts = []
    if wants.cpu_millis:
        parts.append(f"{wants.cpu_millis / 1000:g} core{'' if wants.cpu_millis == 1000 else 's'}")
    if wants.memory_bytes:
        parts.append(units.format_bytes(wants.memory_bytes))
    if wants.HasField("accelerators"):
        parts.append(" or ".join(map(_devices, (wants.accelerators, *wants.alternatives))))
    return ", ".join(parts)


def _devices(asked: AcceleratorRequest) -> str:
    shares = [f"{asked.share_millis / 1000:g} of a device"] if asked.share_millis else []
    shares += [f"{units.format_bytes(asked.memory_bytes)} of a device's memory"] if asked.memory_bytes else []
    what = " and ".join(shares) or ("1 device" if asked.count == 1 else f"{asked.count} devices")
    return f"{what} ({asked.where})" if asked.where else what


def _timeouts(spec: JobSpec) -> str:
    limits = spec.timeouts
    names = [name for name in ("queue", "run", "start", "progress") if limits.HasField(name)]
    return ", ".join(f"{name} {units.format_duration(getattr(limits, name).ToMilliseconds())}" for name in names)


def _retry(retry: Retry) -> str:
    if not retry.on:
        return ""
    within = f" within {units.format_duration(retry.within.ToMilliseconds())}" if retry.HasField("within") else ""
    # A lost node does not count.
    times = f"{words.counted(retry.limit, 'time')}{within}, " if retry.limit else ""
    return f"{times}on {', '.join(_causes(retry.on))}"


def _causes(causes: Iterable[int]) -> list[str]:
    return [words.enum_name(Retry.Cause, cause).lower().replace("_", "-") for cause in causes]
