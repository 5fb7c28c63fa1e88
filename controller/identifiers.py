"""The newest signed record of each node that has a compute identifier. In memory: owners publish anew all the time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.identifiers import device_label, parse, parse_prefix
from headrace.records import RECORD_LIFE_MS_MAX, Trust, is_stale, public_bytes, verified, wall_ms
from headrace.refusals import Code, Refusal
from headrace.v1 import identifier_service_pb2 as pb


def trusted(settings: Mapping[str, str]) -> dict[str, bytes]:
    """Public keys by authority, as the settings name them. Refusal: IDENTIFIER_INVALID, KEY_INVALID."""
    keys: dict[str, bytes] = {}
    for authority, text in settings.items():
        setting = f'identifiers.trust."{authority}"'
        if len(parse_prefix(authority).labels) != 1:
            message = f"{setting}: trust is put into authorities, one label; write e.g. headrace:example"
            raise Refusal(Code.INVALID_ARGUMENT, "IDENTIFIER_INVALID", message)
        keys[authority] = public_bytes(text, key=setting)
    return keys


@dataclass(frozen=True, slots=True)
class _Known:
    record: pb.SignedRecord
    description: pb.Description
    devices: Mapping[str, str]


class Records:
    """Records by the identifier of their node."""

    def __init__(self, trust: Trust, now_ms: Callable[[], int] = wall_ms) -> None:
        self._trust = trust
        self._now_ms = now_ms
        self._known: dict[str, _Known] = {}

    def publish(self, record: pb.SignedRecord) -> None:
        """Keeps a record. Refusal: as headrace.records.verified; RECORD_STALE for one older than what is known."""
        description = verified(record, self._trust, now_ms=self._now_ms())
        known = self._known.get(description.identifier)
        if known is not None and _made(description) < _made(known.description):
            remedy = "if its node's clock was set back, that ends by itself"
            message = f"a newer record of {description.identifier} is known; {remedy}"
            raise Refusal(Code.ABORTED, "RECORD_STALE", message)
        self._forget_stale()
        devices = {device_label(one.kind, one.id): one.id for one in description.devices}
        self._known[description.identifier] = _Known(record, description, devices)

    def _forget_stale(self) -> None:
        """Of what nobody has vouched for in a while, nothing is kept but that it is unknown."""
        late_ms = self._now_ms() - RECORD_LIFE_MS_MAX
        for identifier in [name for name, one in self._known.items() if is_stale(one.description, now_ms=late_ms)]:
            del self._known[identifier]

    def resolve(self, text: str) -> pb.ResolveIdentifierResponse:
        """What is known of a node or of a device. Refusal: IDENTIFIER_INVALID, IDENTIFIER_UNKNOWN, RECORD_STALE."""
        identifier = parse(text)
        known = self._known.get(str(identifier.node))
        if known is None:
            message = f"nothing is known of {identifier.node} here: its node has published no record to this controller"
            raise Refusal(Code.NOT_FOUND, "IDENTIFIER_UNKNOWN", message)
        if is_stale(known.description, now_ms=self._now_ms()):
            message = f"the newest record of {identifier.node} has expired: its node has not been heard since"
            raise Refusal(Code.FAILED_PRECONDITION, "RECORD_STALE", message)
        device = ""
        if identifier != identifier.node:
            device = known.devices.get(identifier.labels[-1], "")
            if not device:
                have = ", ".join(known.devices) or "none"
                message = f"{identifier.node} has no device {identifier.labels[-1]}; it has: {have}"
                raise Refusal(Code.NOT_FOUND, "IDENTIFIER_UNKNOWN", message)
        return pb.ResolveIdentifierResponse(record=known.record, description=known.description, device=device)


def _made(description: pb.Description) -> tuple[int, int]:
    return description.create_time.seconds, description.create_time.nanos
