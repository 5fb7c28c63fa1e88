"""Which nodes can run a job, which one is best, and why the others cannot: a function of a snapshot."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from controller.core.exclusions import devices_at
from controller.core.placement import links
from controller.core.placement import reasons as reasons_given
from controller.core.placement.names import Name, kept_apart, name_of
from headrace import platforms, query, shares
from headrace.attempts import Platform
from headrace.changes import replace
from headrace.jobs import AcceleratorRequest, Emulation, ImagePin, Job, JobSpec, Network, Requests
from headrace.nodes import Capacity, Device, Health, Node
from headrace.shares import Part


@dataclass(frozen=True, slots=True)
class Usage:
    """What the jobs of a node hold of it. `devices` are held whole; of others, jobs have parts."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    devices: tuple[str, ...] = ()
    parts: tuple[tuple[str, AcceleratorRequest], ...] = ()
    # What jobs that are about to come will have of the devices: which ones is settled when they are there.
    coming: tuple[AcceleratorRequest, ...] = ()
    # Who has it, and from whom any of them keep apart.
    names: tuple[Name, ...] = ()
    shunned: tuple[Name, ...] = ()

    @classmethod
    def of(cls, placed: Iterable[tuple[JobSpec, tuple[str, ...]]]) -> "Usage":
        """Of these attempts, with the devices that each has: the same as one after the other by `plus`."""
        cpu_millis = memory_bytes = 0
        devices: list[str] = []
        parts: list[tuple[str, AcceleratorRequest]] = []
        names: list[Name] = []
        shunned: list[Name] = []
        for spec, given in placed:
            asked = spec.resources.accelerators
            cpu_millis += spec.resources.cpu_millis
            memory_bytes += spec.resources.memory_bytes
            if asked is not None and asked.is_part:
                parts += [(one, asked) for one in given]
            else:
                devices += given
            names.append(name_of(spec))
            if spec.neighbours is not None:
                shunned += kept_apart(spec)
        return cls(cpu_millis, memory_bytes, tuple(devices), tuple(parts), names=tuple(names), shunned=tuple(shunned))

    def plus(self, spec: JobSpec, devices: tuple[str, ...]) -> "Usage":
        """With one more attempt."""
        requests = spec.resources
        asked = requests.accelerators
        has_part = asked is not None and asked.is_part
        return Usage(
            self.cpu_millis + requests.cpu_millis,
            self.memory_bytes + requests.memory_bytes,
            self.devices if has_part else self.devices + devices,
            self.parts + tuple([(one, asked) for one in devices]) if asked and has_part else self.parts,
            self.coming,
            (*self.names, name_of(spec)),
            self.shunned if spec.neighbours is None else self.shunned + kept_apart(spec),
        )

    def with_coming(self, spec: JobSpec) -> "Usage":
        """With a job that is about to come."""
        wanted = spec.resources.accelerators
        held = self.plus(spec, ())
        return held if wanted is None else replace(held, coming=(*self.coming, wanted))

    def with_part(self, device: str, request: AcceleratorRequest) -> "Usage":
        """With a part of a device."""
        return replace(self, parts=(*self.parts, (device, request)))

    @property
    def touched(self) -> tuple[str, ...]:
        """The devices of which anything is held."""
        return self.devices + tuple(device for device, _ in self.parts)

    def parts_of(self, device: Device) -> tuple[Part, ...]:
        """What is held of one."""
        whole = (Part(shares.WHOLE_MILLIS, device.memory_bytes),) if device.id in self.devices else ()
        parts = (shares.part_of(request, device.memory_bytes) for held, request in self.parts if held == device.id)
        return (*whole, *parts)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job would run: the node, the image of a platform of that node, the devices granted."""

    node: str
    pin: ImagePin
    platform: Platform
    devices: tuple[str, ...]
    variant: int
    score: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a node cannot run a job, as a clause that follows on "the node …"."""

    node: str
    reason: str


def free(node: Node, usage: Usage) -> Capacity:
    """What no job holds."""
    capacity = node.description.capacity
    return Capacity(
        max(0, capacity.cpu_millis - usage.cpu_millis),
        max(0, capacity.memory_bytes - usage.memory_bytes),
        node.load.disk_free_bytes if node.load.disk_free_bytes is not None else capacity.disk_bytes,
    )


def fit(job: Job, node: Node, usage: Usage, *, now_wall_ms: int) -> Place | Unfit:
    """The place that `node` offers to `job`, or why it offers none."""
    refused = _closed(job, node, usage, now_wall_ms)
    if refused:
        return Unfit(node.id, refused)
    node = replace(node, free=free(node, usage))
    variant = _variant(job.spec, node, usage)
    spec = bound(job.spec, variant)
    found = runnable(job.images, spec, node)
    if isinstance(found, str):
        return Unfit(node.id, found)
    pin, platform = found
    # What no end of a job changes is said before what one may.
    if spec.network is Network.HOST and not node.description.host_network:
        return Unfit(node.id, reasons_given.NO_HOST_NETWORK)
    if spec.where and not holds(spec.where, node, usage):
        return Unfit(node.id, reasons_given.no_match(spec.where))
    apart = kept_apart(spec)
    shunned = reasons_given.kept_apart(apart) if any(one in usage.names for one in apart) else ""
    held = _lacking(spec, node) or shunned
    if held:
        return Unfit(node.id, _never_devices(job.spec.resources, node) or held)
    away = devices_at(job, node.id, now_wall_ms=now_wall_ms)
    # To a job that keeps away from a device it is as good as taken.
    usage = replace(usage, devices=usage.devices + tuple(one.device for one in away)) if away else usage
    devices, which = _first_devices(job.spec.resources, node, usage)
    if isinstance(devices, str):
        kept = "; ".join(f"{one.device} is kept away from for now ({one.reason})" for one in away)
        return Unfit(node.id, f"{devices}; {kept}" if kept else devices)
    ids = tuple(device.id for device in devices)
    variant += which * (len(job.spec.variants) + 1)
    return Place(node.id, pin, platform, ids, variant, _score(spec, node, usage, platform, devices))


def choose(
    job: Job,
    nodes: Iterable[Node],
    usage: Callable[[str], Usage],
    *,
    now_wall_ms: int,
) -> Place | str:
    """The best place, or one sentence on why there is none."""
    return best_of(fit(job, node, usage(node.id), now_wall_ms=now_wall_ms) for node in nodes)


def best_of(offers: Iterable[Place | Unfit]) -> Place | str:
    """The best of these places, or one sentence on why there is none."""
    best: Place | None = None
    reasons: Counter[str] = Counter()
    for found in offers:
        if isinstance(found, Unfit):
            reasons[found.reason] += 1
        elif best is None or (found.score, best.node) > (best.score, found.node):
            best = found
    if best is not None:
        return best
    return reasons_given.waits(reasons)


def _closed(job: Job, node: Node, usage: Usage, now_wall_ms: int) -> str:
    refused = reasons_given.standing(node)
    if refused:
        return refused
    for exclusion in job.exclusions:
        if exclusion.node == node.id and not exclusion.device and now_wall_ms < exclusion.expire_time_ms:
            return reasons_given.kept_away(exclusion)
    return reasons_given.SHUNNED if usage.shunned and name_of(job.spec) in usage.shunned else ""


def _variant(spec: JobSpec, node: Node, usage: Usage) -> int:
    """The first variant that fits the node, counted from 1; 0 where none does."""
    fitting = (number for number, one in enumerate(spec.variants, 1) if holds(one.where, node, usage))
    return next(fitting, 0)


def bound(spec: JobSpec, variant: int) -> JobSpec:
    """The spec with that variant in it, counted from 1; 0 is none.

    Where it has alternatives of devices, each of them has as many numbers as there are variants and none.
    """
    others = spec.resources.alternatives
    if others:
        which, variant = divmod(variant, len(spec.variants) + 1)
        devices = others[which - 1] if which else spec.resources.accelerators
        spec = replace(spec, resources=replace(spec.resources, accelerators=devices, alternatives=()))
    if not variant:
        return replace(spec, variants=()) if spec.variants else spec
    chosen = spec.variants[variant - 1]
    return replace(
        spec,
        image=chosen.image or spec.image,
        command=chosen.command or spec.command,
        env={**spec.env, **chosen.env},
        variants=(),
    )


def given(spec: JobSpec, node: Node, usage: Usage) -> JobSpec:
    """The spec with that of its alternatives in it which the node would give; with the first, where it gives none."""
    _, which = _first_devices(spec.resources, node, usage)
    return bound(spec, which * (len(spec.variants) + 1))


def runnable(images: tuple[ImagePin, ...], spec: JobSpec, node: Node) -> tuple[ImagePin, Platform] | str:
    """The image and how the node would run it, a native one before an emulated one; or why there is none."""
    return _runnable(images, spec.image, spec.emulation, node.description.platforms)


# There are few images and fewer kinds of nodes, and far more jobs: each is asked for with every job.
@lru_cache(maxsize=4096)
def _runnable(
    images: tuple[ImagePin, ...], image: str, emulation: Emulation, offered: tuple[Platform, ...]
) -> tuple[ImagePin, Platform] | str:
    pins = {pin.platform: pin for pin in images if pin.reference == image}
    would_emulate: Platform | None = None
    for platform in offered:
        closest = platforms.closest(platform, pins)
        if closest is not None and (not platform.emulated or emulation is Emulation.ALLOWED):
            return pins[closest], replace(closest, emulated=platform.emulated)
        would_emulate = would_emulate or closest
    if would_emulate is not None:
        return f"would have to emulate {would_emulate} (emulation: allowed lets it)"
    have = ", ".join(sorted(map(str, pins))) or "no platform"
    return f"cannot run the image, which is made for {have}"


def _lacking(spec: JobSpec, node: Node) -> str:
    wants, has = spec.resources, node.free
    if wants.cpu_millis > has.cpu_millis:
        return reasons_given.no_cpu(wants)
    if wants.memory_bytes > has.memory_bytes:
        return reasons_given.no_memory(wants)
    return ""


def _never_devices(wants: Requests, node: Node) -> str:
    """Why the node has not such devices, whoever holds them; empty where it has, or none are asked for."""
    request = wants.accelerators
    if request is None:
        return ""
    for one in (request, *wants.alternatives):
        such = [device for device in node.devices if _matches(one.where, device)]
        if any(device.shareable for device in such) if one.is_part else len(such) >= one.count:
            return ""
    return _no_part(request, node) if request.is_part else reasons_given.no_devices(request, *wants.alternatives)


def _first_devices(wants: Requests, node: Node, usage: Usage) -> tuple[tuple[Device, ...] | str, int]:
    """The devices of the first alternative that the node can give, and which that is; else why it gives none."""
    found = _devices(wants, node, usage)
    for which, other in enumerate(wants.alternatives if isinstance(found, str) else (), 1):
        instead = _devices(replace(wants, accelerators=other), node, usage)
        if not isinstance(instead, str):
            return instead, which
    request = wants.accelerators
    if isinstance(found, str) and request is not None and wants.alternatives:
        return reasons_given.no_devices(request, *wants.alternatives), 0
    return found, 0


def _devices(wants: Requests, node: Node, usage: Usage) -> tuple[Device, ...] | str:
    request = wants.accelerators
    if request is None:
        return ()
    usage = with_what_is_coming(node, usage)
    found = _chosen(request, node, usage)
    if len(found) == request.count:
        return found
    if request.is_part:
        return _no_part(request, node)
    return reasons_given.no_devices(request)


def with_what_is_coming(node: Node, usage: Usage) -> Usage:
    """With the devices in it that those would be given who are about to come."""
    for other in usage.coming:
        taken = _chosen(other, node, usage)
        if other.is_part:
            for device in taken:
                usage = usage.with_part(device.id, other)
        else:
            usage = replace(usage, devices=usage.devices + tuple(device.id for device in taken))
    return replace(usage, coming=()) if usage.coming else usage


def idle(request: AcceleratorRequest, node: Node, usage: Usage) -> list[Device]:
    """Such devices as are asked for of which nothing is held."""
    touched = usage.touched
    return [one for one in node.devices if one.id not in touched and _matches(request.where, one)]


def _chosen(request: AcceleratorRequest, node: Node, usage: Usage) -> tuple[Device, ...]:
    """What would be given; where there is too little, less than is asked for."""
    if not request.is_part:
        free_ones = idle(request, node, usage)
        return links.together(free_ones, request.count) or tuple(free_ones[: request.count - 1])
    matching = [device for device in node.devices if _matches(request.where, device)]
    roomy = [device for device in matching if device.shareable and _has_room(request, device, usage)]
    # The fullest one: whole devices are kept for those that need one.
    fullest = max(roomy, key=lambda device: sum(part.millis for part in usage.parts_of(device)), default=None)
    return (fullest,) if fullest is not None else ()


def _has_room(request: AcceleratorRequest, device: Device, usage: Usage) -> bool:
    if request.memory_bytes and device.memory_bytes is None:
        return False
    part = shares.part_of(request, device.memory_bytes)
    return shares.fits(part, usage.parts_of(device), device.memory_bytes)


def _no_part(request: AcceleratorRequest, node: Node) -> str:
    matching = [device for device in node.devices if _matches(request.where, device)]
    if matching and not any(device.shareable for device in matching):
        return reasons_given.shares_none(request)
    return reasons_given.no_part(request)


def _matches(where: str, device: Device) -> bool:
    if device.health is Health.UNHEALTHY:
        return False
    return not where or query.parse(where, query.DEVICE_FIELDS).holds(query.device_row(device))


def _score(
    spec: JobSpec, node: Node, usage: Usage, platform: Platform, devices: tuple[Device, ...]
) -> tuple[float, ...]:
    liked = sum(one.weight for one in spec.prefer if holds(one.where, node, usage))
    capacity = node.description.capacity
    idle_cpu = node.free.cpu_millis / capacity.cpu_millis if capacity.cpu_millis else 0.0
    idle_memory = node.free.memory_bytes / capacity.memory_bytes if capacity.memory_bytes else 0.0
    # A job that needs no device keeps away from nodes that have some.
    spared = 0.0 if spec.resources.accelerators is not None else -float(len(node.devices))
    near = float(links.closeness(devices))
    return (0.0 if platform.emulated else 1.0, liked, near, spared, min(idle_cpu, idle_memory))


def level(place: Place) -> tuple[float, ...]:
    """What of its score comes before how soon the job would be done there: native, liked, spared."""
    native, liked, _, spared, _ = place.score
    return native, liked, spared


def holds(where: str, node: Node, usage: Usage) -> bool:
    """Whether an expression over nodes holds for this one, of which jobs hold that much."""
    return query.parse(where, query.NODE_FIELDS).holds(query.node_row(node, held=usage.touched))
