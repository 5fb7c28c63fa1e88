"""The node's compute identifier: its name, and its record, signed and published again and again."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import grpc

from agent.senses import Senses
from headrace import wire
from headrace.changes import replace
from headrace.identifiers import Identifier, hashed, parse_prefix
from headrace.nodes import Device, Load, NodeDescription
from headrace.records import Credentials, check_chain, read_delegations, read_key, signed, wall_ms
from headrace.refusals import Code, Refusal
from headrace.settings import IdentifierSettings
from headrace.status import refusal_of
from headrace.v1 import identifier_service_pb2 as pb
from headrace.v1.identifier_service_pb2_grpc import IdentifierServiceStub

PUBLISH_SECONDS = 5.0
# A node that has not been heard for so long is not what its last record says.
RECORD_LIFE_MS = 60_000
CALL_SECONDS = 5.0

OWNER_LABELS = 3

# The board's own number, then what the system was given when it was installed.
_NUMBERS = ("sys/class/dmi/id/product_uuid", "sys/firmware/devicetree/base/serial-number", "etc/machine-id")
# What makers leave in the place of a number.
_NO_NUMBERS = ("", "none", "default string", "to be filled by o.e.m.", "not specified", "system serial number")

_log = logging.getLogger(__name__)


def published(
    settings: IdentifierSettings, senses: Senses, channel: grpc.aio.Channel, *, address: str
) -> tuple["Identified", "Publisher"]:
    """The senses of a node that has an identifier, and what publishes their word. Refusal: as `credentials_of`."""
    credentials = credentials_of(settings, now_ms=wall_ms())
    identified = Identified(senses, identifier_of(settings))
    _log.info("this node's compute identifier is %s", identified.identifier)
    return identified, Publisher(IdentifierServiceStub(channel), identified, credentials, address=address)


def credentials_of(settings: IdentifierSettings, *, now_ms: int) -> Credentials:
    """What the settings let this node sign with. Refusal: what is wrong."""
    prefix = parse_prefix(settings.prefix)
    if len(prefix.labels) != OWNER_LABELS:
        message = f"identifier.prefix: {prefix} is no owner's; write scheme:authority/zone/owner"
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message)
    if settings.key is None:
        message = (
            "identifier.key: a node that has a prefix signs with its owner's key; `headrace keygen FILE` makes one"
        )
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message)
    key = read_key(settings.key, key="identifier.key")
    delegations = read_delegations(settings.delegations, key="identifier.delegations") if settings.delegations else ()
    credentials = Credentials(prefix, key, delegations)
    check_chain(credentials, now_ms=now_ms)
    return credentials


def identifier_of(settings: IdentifierSettings, root: Path = Path("/")) -> Identifier:
    """The node's own, which is the same after everything on its disks was installed anew."""
    return parse_prefix(settings.prefix).joined(settings.node or f"n-{hashed(_number(root))}")


def _number(root: Path) -> str:
    for place in _NUMBERS:
        try:
            text = (root / place).read_text(encoding="utf-8", errors="replace").strip().strip("\0").lower()
        except OSError:
            continue
        if text not in _NO_NUMBERS and set(text) - set("0-"):
            return text
    message = 'identifier.node: this machine has no number of its own to be named by; set a label, e.g. node = "n1"'
    raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message)


class Identified:
    """A node's senses, whose newest word is kept for the record."""

    def __init__(self, senses: Senses, identifier: Identifier) -> None:
        self._senses = senses
        self.identifier = identifier
        self.description = NodeDescription()
        self._devices: tuple[Device, ...] = ()
        self._load = Load()

    async def describe(self) -> NodeDescription:
        """What it is, with its identifier."""
        self.description = replace(await self._senses.describe(), identifier=str(self.identifier))
        return self.description

    async def devices(self) -> tuple[Device, ...]:
        """What accelerators it has."""
        self._devices = await self._senses.devices()
        return self._devices

    async def load(self) -> Load:
        """What it does."""
        self._load = await self._senses.load()
        return self._load

    def newest(self) -> pb.Description:
        """All that was sensed last."""
        return pb.Description(
            identifier=str(self.identifier),
            node=wire.dump(self.description),
            devices=[wire.dump(device) for device in self._devices],
            load=wire.dump(self._load),
        )


class Publisher:
    """Signs what the senses tell, and gives it to the controller."""

    def __init__(
        self,
        stub: IdentifierServiceStub,
        senses: Identified,
        credentials: Credentials,
        *,
        address: str,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._stub = stub
        self._senses = senses
        self._credentials = credentials
        self._address = address
        self._now_ms = now_ms
        self._said = ""

    async def run(self) -> None:
        """Publishes until cancelled. What the controller has against it is said once."""
        while True:
            if self._senses.description.identifier:
                self._say(await self.publish())
            await asyncio.sleep(PUBLISH_SECONDS)

    async def publish(self) -> str:
        """Publishes once; answers what the controller has against it."""
        record = signed(self._credentials, self._senses.newest(), now_ms=self._now_ms(), life_ms=RECORD_LIFE_MS)
        try:
            await self._stub.PublishRecord(pb.PublishRecordRequest(record=record), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error, address=self._address).message
        return ""

    def _say(self, problem: str) -> None:
        if problem and problem != self._said:
            _log.warning("this node's compute identifier cannot be resolved: %s", problem)
        elif self._said and not problem:
            _log.info("this node's compute identifier can be resolved again")
        self._said = problem
