"""What finding capacity asks of a device: what it is, where it is, and who has it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from headrace.nodes import Device, Node
from headrace.query_fields import DEVICE_FIELDS, NODE_FIELDS, NodeView, free_memory
from headrace.query_schema import Field, Kind, RecordRow, Row, Schema, Value

# What of its node is asked of a device by the same name.
_OF_THE_NODE = ("node", "state", "drain", "region", "owner", "hostname", "arch", "os", "variant", "emulated")


class DeviceView(NamedTuple):
    """A device on its node, and the ids of the jobs that hold it. `free`: it can be given to a job."""

    device: Device
    node: Node
    jobs: tuple[str, ...]
    free: bool


def found_device_row(view: DeviceView) -> Row:
    """A device as FOUND_DEVICE_FIELDS see it."""
    return RecordRow(FOUND_DEVICE_FIELDS, view)


def _of_device(known: Field) -> Field:
    return replace(known, read=lambda view: known.read(view.device))


def _of_node(known: Field) -> Field:
    return replace(known, read=lambda view: known.read(_node_view(view.node)))


def _open(read: Callable[[Any, str], Value]) -> Callable[[DeviceView, str], Value]:
    return lambda view, key: read(_node_view(view.node), key)


def _node_view(node: Node) -> NodeView:
    return NodeView(node, (), node.description.capacity, node.free, node.devices)


FOUND_DEVICE_FIELDS = Schema(
    "device",
    {
        **{name: _of_node(NODE_FIELDS.fields[name]) for name in _OF_THE_NODE},
        **{name: _of_device(known) for name, known in DEVICE_FIELDS.fields.items()},
        "memory_free": Field(Kind.SIZE, lambda view: free_memory(view.device)),
        "free": Field(Kind.BOOL, lambda view: view.free),
        "job": Field(Kind.TEXT, lambda view: view.jobs, several=True),
    },
    {prefix: _open(read) for prefix, read in NODE_FIELDS.open_fields.items()},
)
