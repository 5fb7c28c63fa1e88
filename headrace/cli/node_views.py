"""Nodes for people: one a line, and one whole."""

from collections.abc import Iterable, Sequence

from headrace import units
from headrace.cli import device_views, words
from headrace.v1.node_pb2 import Capacity, Device, Node, VendorReport
from headrace.v1.node_service_pb2 import ListNodesResponse

_HEADINGS = ("NAME", "STATE", "PLATFORM", "CPU FREE", "MEMORY FREE", "DEVICES", "JOBS", "REPORT")
_WIDE_HEADINGS = (*_HEADINGS, "DEVICE MEMORY USED", "BUSY", "REGION", "OWNER", "HOSTNAME", "ENGINE", "ALSO RUNS", "CPU")


def table(response: ListNodesResponse, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    """The nodes under their headings."""
    headings, *cells = rows(response, words.now_ms(), wide=wide)
    return words.columns(headings, cells)


def rows(response: ListNodesResponse, now: int, *, wide: bool) -> list[Sequence[str]]:
    """The headings, and the cells of each node."""
    if wide:
        return [_WIDE_HEADINGS, *(_wide_row(node, now) for node in response.nodes)]
    return [_HEADINGS, *(_row(node, now) for node in response.nodes)]


def state(node: Node) -> str:
    """What a node is and whether it takes jobs: "READY", "READY, DRAINING", "READY, engine unreachable"."""
    if node.forgotten:
        return "FORGOTTEN"
    found = [words.enum_name(Node.State, node.state)]
    if node.drain:
        found.append(words.enum_name(Node.Drain, node.drain))
    if not node.engine.reachable:
        found.append("engine unreachable")
    return ", ".join(found)


def change(node: Node) -> str:
    """A line about a node that changed."""
    jobs = f", {words.counted(len(node.jobs), 'job')}" if node.jobs else ""
    return f"{words.id_of(node.name)} {state(node)}{jobs}"


def forgotten(node: Node) -> str:
    """A line about a node that is to be forgotten."""
    name = words.id_of(node.name)
    if node.HasField("create_time"):
        return f"{name} is forgotten; what happened to it is in headrace events --subject {node.name}"
    return f"there is no node {name}, or no more; headrace nodes lists them"


def now(node: Node) -> str:
    """The same with its devices and what is wrong with them: no figures, so that it changes when something did."""
    parts = [change(node)]
    if node.devices:
        parts.append(_device_summary(node.devices))
    parts += [f"{one.vendor} {one.model} {one.id} {device_views.health(one)}" for one in node.devices if _is_ill(one)]
    parts += [f"{one.vendor}: {one.message}" for one in node.description.vendors if one.state == VendorReport.DEGRADED]
    return "; ".join(words.one_line(part) for part in parts)


def drain(node: Node) -> list[str]:
    """A node that was drained, with what is in the way and how long that may last."""
    if node.drain != Node.DRAINING:
        return [change(node)]
    return [change(node), *words.indented(list(node.blockers)), drain_deadline(node)]


def drain_deadline(node: Node) -> str:
    """What becomes of jobs that cannot be moved away, and when."""
    if node.HasField("drain_deadline_time"):
        moment = words.moment(node, "drain_deadline_time")
        return f"what is still there at {moment} is asked to save and leave, and goes on where there is room"
    return "no deadline: what cannot be moved is waited for, for ever; the same with --deadline 10m would end that"


def changed(told: dict[str, str], node: Node) -> bool:
    """Whether there is something new to say of the node since `told`, which is brought up to date."""
    line = now(node)
    if told.get(node.name) == line:
        return False
    told[node.name] = line
    return True


def sheet(node: Node, wide: bool) -> list[str]:  # noqa: FBT001 - as render.show asks.
    """All that is known of a node; `wide` has the processor's features too."""
    texts = words.pairs(_facts(node))
    if node.devices:
        texts += ["", "Devices", *words.indented(device_views.table(node.devices))]
    texts += _can_do(node, wide)
    if node.description.vendors:
        texts += ["", "Vendors", *words.indented(_vendors(node.description.vendors))]
    if node.blockers:
        texts += ["", "In the way of its drain", *words.indented(list(node.blockers))]
    if node.drifts:
        texts += ["", "Devices held by no job", *words.indented(list(node.drifts))]
    if node.jobs:
        texts += ["", "Jobs", *words.indented(list(node.jobs))]
    if wide and node.description.cpu.features:
        texts += ["", "Processor features", *words.indented([" ".join(node.description.cpu.features)])]
    return texts


def _can_do(node: Node, wide: bool) -> list[str]:  # noqa: FBT001 - as sheet.
    if not (node.description.cpu.figures or any(device.figures for device in node.devices)):
        return []
    from headrace.cli import capacity_table  # noqa: PLC0415 - for a node whole alone, and records take time to load.

    texts = ["", "Can do", *words.indented(capacity_table.table(node))]
    if wide and node.devices:
        texts += ["", "Figures of its devices", *words.indented(capacity_table.figures(node.devices))]
    return texts


def _row(node: Node, now: int) -> tuple[str, ...]:
    whole = node.description.capacity
    return (
        words.id_of(node.name),
        state(node),
        words.platform(node.description.platforms[0]) if node.description.platforms else "",
        _of(_cores(node.free), _cores(whole)),
        _of(units.rounded_bytes(node.free.memory_bytes), units.rounded_bytes(whole.memory_bytes)),
        _device_summary(node.devices),
        str(len(node.jobs)),
        words.age(node, "report_time", now=now),
    )


def _wide_row(node: Node, now: int) -> tuple[str, ...]:
    about = node.description
    others = ", ".join(words.platform(platform) for platform in about.platforms[1:])
    return (
        *_row(node, now),
        _used(node.devices),
        _busy(node.devices),
        about.region,
        about.owner,
        about.hostname,
        words.shortened(node.engine.message),
        others,
        about.cpu.model,
    )


def _of(free: str, whole: str) -> str:
    return f"{free} of {whole}"


def _cores(capacity: Capacity) -> str:
    return f"{capacity.cpu_millis / 1000:g}"


def _device_summary(devices: Iterable[Device]) -> str:
    counts: dict[str, int] = {}
    ill = 0
    for device in devices:
        name = device.model or f"{device.vendor} {device.kind}"
        counts[name] = counts.get(name, 0) + 1
        ill += device.health == Device.UNHEALTHY
    summary = ", ".join(f"{count} x {name}" for name, count in counts.items())
    return f"{summary} ({ill} unhealthy)" if ill else summary


def _is_ill(device: Device) -> bool:
    return device.health in (Device.DEGRADED, Device.UNHEALTHY)


def _used(devices: Iterable[Device]) -> str:
    """What of the devices' memory is used, as far as they say."""
    told = [one for one in devices if one.HasField("memory_bytes") and one.HasField("memory_used_bytes")]
    if not told:
        return ""
    used, whole = sum(one.memory_used_bytes for one in told), sum(one.memory_bytes for one in told)
    return _of(units.rounded_bytes(used), units.rounded_bytes(whole))


def _busy(devices: Iterable[Device]) -> str:
    """How busy the devices are on average, as far as they say."""
    told = [one.busy_percent for one in devices if one.HasField("busy_percent")]
    return f"{sum(told) / len(told):.0f} %" if told else ""


def _facts(node: Node) -> list[tuple[str, str]]:
    about, load, now = node.description, node.load, words.now_ms()
    reported = words.age(node, "report_time", now=now)
    return [
        ("Node", node.name),
        ("State", state(node)),
        ("Reported", f"{reported} ago" if reported else "not yet since the controller was started"),
        ("Deadline", drain_deadline(node) if node.drain == Node.DRAINING else ""),
        ("Platforms", ", ".join(words.platform(platform) for platform in about.platforms)),
        ("Processor", about.cpu.model),
        ("Threads", _threads(node)),
        ("Free", f"{_capacity(node.free)} of {_capacity(about.capacity)}"),
        ("Load", _load(node)),
        (
            "Memory left",
            units.rounded_bytes(load.memory_available_bytes) if load.HasField("memory_available_bytes") else "",
        ),
        ("Disk left", units.rounded_bytes(load.disk_free_bytes) if load.HasField("disk_free_bytes") else ""),
        ("Engine", node.engine.message or ("answers" if node.engine.reachable else "does not answer")),
        ("Device drifts", str(node.drift_count or "")),
        ("Host network", "jobs may use it" if about.host_network else ""),
        ("Hostname", about.hostname),
        ("Kernel", about.kernel),
        ("Agent", about.agent_version),
        ("Region", about.region),
        ("Owner", about.owner),
        ("Labels", ", ".join(f"{key}={value}" for key, value in sorted(about.labels.items()))),
    ]


def _threads(node: Node) -> str:
    cpu = node.description.cpu
    return f"{cpu.threads} on {cpu.cores} cores" if cpu.HasField("cores") else str(cpu.threads or "")


def _capacity(capacity: Capacity) -> str:
    memory, disk = units.rounded_bytes(capacity.memory_bytes), units.rounded_bytes(capacity.disk_bytes)
    return f"{_cores(capacity)} cores, {memory}, disk {disk}"


def _load(node: Node) -> str:
    load = node.load
    busy = f"processors {load.cpu_percent:.0f} % busy" if load.HasField("cpu_percent") else ""
    average = f"average {load.load_average:.2f}" if load.HasField("load_average") else ""
    return ", ".join(text for text in (busy, average) if text)


def _vendors(reports: Iterable[VendorReport]) -> list[str]:
    rows = [(one.vendor, words.enum_name(VendorReport.State, one.state), one.message, one.remedy) for one in reports]
    return words.columns(("VENDOR", "STATE", "HOW IT WAS READ", "WHAT TO DO"), rows)
