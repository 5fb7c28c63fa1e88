"""The fields of nodes and devices that queries know. A further one is a line here and a line in docs/query.md."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from headrace import capacity, platforms
from headrace.attempts import Platform
from headrace.nodes import Capacity, Device, Drain, Health, Node, NodeState
from headrace.query_schema import Field, Kind, RecordRow, Row, Schema, Value

# What `gpu.` and the like stand for; "accelerator" is a device of any kind.
DEVICE_PREFIXES = ("accelerator", "gpu", "npu")
# As agents tell them. A new one is a word here, and a vendor there.
DEVICE_KINDS = ("gpu", "npu", "tpu", "accelerator")
VENDORS = (
    *("amd", "aws", "cambricon", "denglin", "enflame", "google", "huawei", "hygon", "iluvatar"),
    *("intel", "kunlunxin", "metax", "mthreads", "nvidia", "rockchip", "thead", "unknown"),
)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node, what counts as its capacity and its devices, which of these jobs hold, and what is free."""

    node: Node
    held: Collection[str]
    capacity: Capacity
    free: Capacity
    devices: tuple[Device, ...]


def node_row(node: Node, *, held: Collection[str] = (), free: Capacity | None = None) -> Row:
    """A node as NODE_FIELDS see it. `held` are the ids of its devices that jobs have: the others are free."""
    view = NodeView(node, held, node.description.capacity, node.free if free is None else free, node.devices)
    return RecordRow(NODE_FIELDS, view)


def remaining_row(node: Node, *, held: Collection[str], free: Capacity) -> Row:
    """A node as if it had only what jobs do not hold of it."""
    idle = tuple(device for device in node.devices if is_free(device, held))
    return RecordRow(NODE_FIELDS, NodeView(node, (), free, free, idle))


def is_free(device: Device, held: Collection[str]) -> bool:
    """Whether a job could be given it, if these devices are held."""
    return device.id not in held and device.health is not Health.UNHEALTHY


def device_row(device: Device) -> Row:
    """A device as DEVICE_FIELDS see it."""
    return RecordRow(DEVICE_FIELDS, device)


def word(member: Enum) -> str:
    """An enum's value as queries write it."""
    return member.name.lower().replace("_", "-")


def words(kind: type[Enum]) -> tuple[str, ...]:
    """All of them."""
    return tuple(word(member) for member in kind)


def _architecture(word: str) -> str:
    return platforms.normalised(Platform(platforms.LINUX, word)).architecture


_DEVICE: dict[str, Field] = {
    "id": Field(Kind.TEXT, lambda device: device.id),
    "kind": Field(Kind.WORD, lambda device: device.kind, usual=DEVICE_KINDS),
    "vendor": Field(Kind.WORD, lambda device: device.vendor, usual=VENDORS, others=True),
    "model": Field(Kind.TEXT, lambda device: device.model),
    "index": Field(Kind.NUMBER, lambda device: device.index),
    "memory": Field(Kind.SIZE, lambda device: device.memory_bytes),
    "memory_used": Field(Kind.SIZE, lambda device: device.memory_used_bytes),
    "busy_percent": Field(Kind.NUMBER, lambda device: device.busy_percent),
    "temperature": Field(Kind.NUMBER, lambda device: device.temperature_celsius),
    "power_watts": Field(Kind.NUMBER, lambda device: device.power_watts),
    "health": Field(Kind.WORD, lambda device: word(device.health), words=words(Health)),
}


def _device_figure(name: str) -> Field:
    return Field(Kind.NUMBER, lambda device: capacity.value_of(device.figures, name))


# What a device can do: of each figure the one that is known best, nothing that is uncertain.
_RATED = tuple(name for name in capacity.DEVICE_FIGURES if name not in ("memory_gb", "power_limit_watts"))
_DEVICE |= {name: _device_figure(name) for name in _RATED}

DEVICE_FIELDS = Schema("device", _DEVICE)


def _devices(view: NodeView, kind: str) -> tuple[Device, ...]:
    if kind == "accelerator":
        return view.devices
    return tuple([device for device in view.devices if device.kind == kind])


def _free_devices(view: NodeView, kind: str) -> tuple[Device, ...]:
    return tuple([device for device in _devices(view, kind) if is_free(device, view.held)])


def free_memory(device: Device) -> int | None:
    """What nobody uses of its memory."""
    if device.memory_bytes is None or device.memory_used_bytes is None:
        return None
    return max(0, device.memory_bytes - device.memory_used_bytes)


def _of_each(devices: Callable[[NodeView, str], tuple[Device, ...]], kind: str, known: Field) -> Field:
    def read(view: NodeView) -> Value:
        # Each figure of one device is one value, never a tuple itself.
        return tuple([known.read(device) for device in devices(view, kind)])  # type: ignore[misc]

    return replace(known, read=read, several=True)


def _count(devices: Callable[[NodeView, str], tuple[Device, ...]], kind: str) -> Field:
    return Field(Kind.NUMBER, lambda view: len(devices(view, kind)))


def _device_fields(kind: str) -> dict[str, Field]:
    """`gpu.memory` and its like: each asks every device of the kind, and any one will do."""
    free = dict(_DEVICE, memory=Field(Kind.SIZE, free_memory))
    return {
        **{f"{kind}.{name}": _of_each(_devices, kind, known) for name, known in _DEVICE.items()},
        **{f"free.{kind}.{name}": _of_each(_free_devices, kind, known) for name, known in free.items()},
        f"{kind}.count": _count(_devices, kind),
        f"free.{kind}.count": _count(_free_devices, kind),
    }


def _of_platform(read: Callable[[Platform], Value]) -> Callable[[NodeView], Value]:
    def read_first(view: NodeView) -> Value:
        able = view.node.description.platforms
        return read(able[0]) if able else None

    return read_first


def _labels(view: NodeView, key: str) -> Value:
    return view.node.description.labels.get(key, "")


def _node(kind: Kind, read: Callable[[Node], Any], words: tuple[str, ...] = ()) -> Field:
    return Field(kind, lambda view: read(view.node), words=words)


def _cpu_figure(name: str) -> Field:
    return _node(Kind.NUMBER, lambda node: capacity.value_of(node.description.cpu.figures, name))


NODE_FIELDS = Schema(
    "node",
    {
        "name": _node(Kind.TEXT, lambda node: node.id),
        "node": _node(Kind.TEXT, lambda node: node.id),
        "state": _node(Kind.WORD, lambda node: word(node.state), words(NodeState)),
        "drain": _node(Kind.WORD, lambda node: word(node.drain), words(Drain)),
        "region": _node(Kind.TEXT, lambda node: node.description.region),
        "owner": _node(Kind.TEXT, lambda node: node.description.owner),
        "hostname": _node(Kind.TEXT, lambda node: node.description.hostname),
        "kernel": _node(Kind.TEXT, lambda node: node.description.kernel or None),
        "agent_version": _node(Kind.TEXT, lambda node: node.description.agent_version or None),
        "host_network": _node(Kind.BOOL, lambda node: node.description.host_network),
        "arch": Field(
            Kind.WORD, _of_platform(lambda own: own.architecture), platforms.ARCHITECTURES, normal=_architecture
        ),
        "os": Field(Kind.WORD, _of_platform(lambda own: own.os), usual=(platforms.LINUX,)),
        "variant": Field(Kind.WORD, _of_platform(lambda own: own.variant)),
        "emulated": Field(Kind.BOOL, _of_platform(lambda own: own.emulated)),
        "platforms": _node(Kind.LIST, lambda node: tuple(map(str, node.description.platforms)) or None),
        "cpu.model": _node(Kind.TEXT, lambda node: node.description.cpu.model or None),
        "cpu.cores": _node(Kind.NUMBER, lambda node: node.description.cpu.cores),
        "cpu.threads": _node(Kind.NUMBER, lambda node: node.description.cpu.threads),
        "cpu.features": _node(Kind.LIST, lambda node: node.description.cpu.features or None),
        **{f"cpu.{name}": _cpu_figure(name) for name in capacity.CPU_FIGURES},
        "price.device_hour": _node(Kind.NUMBER, lambda node: node.description.device_hour_price),
        "price.core_hour": _node(Kind.NUMBER, lambda node: node.description.core_hour_price),
        "capacity.cpu": Field(Kind.CPU, lambda view: view.capacity.cpu_millis),
        "capacity.memory": Field(Kind.SIZE, lambda view: view.capacity.memory_bytes),
        "capacity.disk": Field(Kind.SIZE, lambda view: view.capacity.disk_bytes),
        "free.cpu": Field(Kind.CPU, lambda view: view.free.cpu_millis),
        "free.memory": Field(Kind.SIZE, lambda view: view.free.memory_bytes),
        "free.disk": Field(Kind.SIZE, lambda view: view.free.disk_bytes),
        "load.cpu_percent": _node(Kind.NUMBER, lambda node: node.load.cpu_percent),
        "load.average": _node(Kind.NUMBER, lambda node: node.load.load_average),
        "load.memory_available": _node(Kind.SIZE, lambda node: node.load.memory_available_bytes),
        "load.disk_free": _node(Kind.SIZE, lambda node: node.load.disk_free_bytes),
        "engine.reachable": _node(Kind.BOOL, lambda node: node.engine.reachable),
        "vendor": _of_each(_devices, "accelerator", _DEVICE["vendor"]),
        "model": _of_each(_devices, "accelerator", _DEVICE["model"]),
        **{name: known for kind in DEVICE_PREFIXES for name, known in _device_fields(kind).items()},
    },
    {"labels.": _labels},
)
