"""Reads what reports usually are, of a node of which nothing is new but readings: as `headrace.wire` does, and faster.

Thousands come a second from nodes that have nothing else to say.
"""

from dataclasses import fields
from typing import Any

from headrace import wire
from headrace.attempts import Attempt
from headrace.changes import made
from headrace.nodes import Device, Engine, Health, Load, Reading
from headrace.sessions import Report
from headrace.v1 import session_pb2

_LOAD = tuple(one.name for one in fields(Load))
# By its number in messages. One that is not known is refused.
_health: dict[int, Health] = {}


def is_usual(message: session_pb2.Report) -> bool:
    """Whether it has only what is in every report, of devices that are known already."""
    if message.HasField("description") or message.prefetched:
        return False
    return message.brief or not message.devices


def usual(node: str, session: int, message: session_pb2.Report, attempts: tuple[Attempt, ...]) -> Report:
    """The report, with these attempts. Raises ValueError where it says of a device what is not known here."""
    load = message.load
    engine: Engine | None = wire.load_alike(Engine, message.engine) if message.HasField("engine") else None
    read = tuple([_reading(one) for one in message.devices])
    loads = tuple([getattr(load, name) or _or_none(load, name) for name in _LOAD])
    values = (node, session, message.sequence, None, read, made(Load, loads), engine, attempts, (), message.brief)
    return made(Report, values)


def _reading(device: Any) -> Reading:
    # Most values are there, and none of these is zero: whether it is there then need not be asked.
    health = device.health
    return Reading(
        device.id,
        device.memory_used_bytes or _or_none(device, "memory_used_bytes"),
        device.busy_percent or _or_none(device, "busy_percent"),
        device.temperature_celsius or _or_none(device, "temperature_celsius"),
        device.power_watts or _or_none(device, "power_watts"),
        _health.get(health) or _known(device),
        device.health_reason,
        tuple(device.holders),
    )


def _or_none(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _known(device: Any) -> Health:
    return _health.setdefault(device.health, wire.load(Device, device).health)
