"""headrace resolve, keygen, delegate."""

import os
from argparse import Namespace
from pathlib import Path

from headrace import identifiers, records, units
from headrace.cli import render, words
from headrace.client_settings import client_trust
from headrace.connection import Connection
from headrace.refusals import Code, Refusal
from headrace.v1 import identifier_service_pb2 as pb
from headrace.v1.node_pb2 import Device


async def resolve(connection: Connection, arguments: Namespace) -> int:
    """Show what an identifier stands for now, verified."""
    wanted = identifiers.parse(arguments.identifier)
    request = pb.ResolveIdentifierRequest(identifier=str(wanted))
    response = await connection.call(connection.identifiers.ResolveIdentifier, request)
    trust = _trust(arguments.trust)
    if trust:
        description = records.verified(response.record, trust, now_ms=records.wall_ms())
        if description.identifier != str(wanted.node):
            message = f"the controller answered with the record of {description.identifier[:80]}"
            raise Refusal(Code.PERMISSION_DENIED, "RECORD_FORGED", message)
        response.description.CopyFrom(description)
    else:
        render.note("not verified here, only by the controller: name the authority's key, --trust AUTHORITY=KEY")
    render.show(response, arguments.output, lambda told, _wide: _sheet(told, verified=bool(trust)))
    return 0


def keygen(arguments: Namespace) -> int:
    """Make a key, and print its public half."""
    file = Path(arguments.file)
    # Nobody else may read it, from its first moment on; one that is there stays.
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(records.new_key())
    public = records.public_text(records.read_key(file, key="FILE"))
    render.tell({"publicKey": public}, arguments.output, [public])
    return 0


def delegate(arguments: Namespace) -> int:
    """Let another key sign for all identifiers under a prefix."""
    key = records.read_key(Path(arguments.key), key="--key")
    chain = records.read_delegations(Path(arguments.chain), key="--chain") if arguments.chain else ()
    prefix = identifiers.parse_prefix(arguments.prefix)
    records.check_chain(records.Credentials(prefix, key, chain), now_ms=records.wall_ms())
    one = records.delegated(
        key,
        prefix,
        records.public_bytes(arguments.to, key="--to"),
        now_ms=records.wall_ms(),
        life_ms=arguments.life_ms,
    )
    text = records.written([*chain, one])
    render.tell({"delegations": text}, arguments.output, text.splitlines())
    return 0


def _trust(written: list[str]) -> dict[str, bytes]:
    named = dict(one.split("=", 1) for one in written) or client_trust(os.environ)
    return {authority: records.public_bytes(text, key=f"trust of {authority}") for authority, text in named.items()}


def _sheet(response: pb.ResolveIdentifierResponse, *, verified: bool) -> list[str]:
    description = response.description
    about, devices = description.node, [one for one in description.devices if response.device in ("", one.id)]
    facts = [
        ("Identifier", description.identifier),
        ("Signed", words.moment(description, "create_time")),
        ("Holds until", words.moment(description, "expire_time")),
        ("Verified", "here, by the key of its authority" if verified else "by the controller alone"),
        ("Owner", about.owner),
        ("Region", about.region),
        ("Platforms", ", ".join(words.platform(platform) for platform in about.platforms)),
        ("Processor", about.cpu.model),
        ("Threads", str(about.cpu.threads or "")),
        ("Memory", units.rounded_bytes(about.capacity.memory_bytes)),
    ]
    texts = words.pairs(facts)
    if devices:
        rows = [_device(description.identifier, device) for device in devices]
        texts += ["", *words.columns(("DEVICE", "VENDOR", "MODEL", "MEMORY", "HEALTH"), rows)]
    return texts


def _device(node: str, device: Device) -> tuple[str, ...]:
    label = identifiers.device_label(device.kind, device.id)
    memory = units.rounded_bytes(device.memory_bytes) if device.HasField("memory_bytes") else ""
    health = words.enum_name(Device.Health, device.health) if device.health else "unknown"
    return f"{node}/{label}", device.vendor, device.model, memory, health
