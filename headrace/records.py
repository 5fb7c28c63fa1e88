"""Signed records of compute identifiers: made, and believed only if an authority's key stands behind them.

Ed25519 (RFC 8032), by the `cryptography` library, which is loaded when a record is made or judged.
"""

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.identifiers import NODE_LABELS, Identifier, parse, parse_prefix
from headrace.refusals import Code, Refusal
from headrace.v1 import identifier_service_pb2 as pb

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32
RECORD_BYTES_MAX = 1 << 20
DELEGATIONS_MAX = 8
# How far the clocks of a signer and of who judges may be apart before what was just signed seems to come too early.
SKEW_MS = 30_000
# A description that is older says little of what there is now.
RECORD_LIFE_MS_MAX = 3_600_000

_DELEGATION, _DESCRIPTION = b"headrace.v1.Delegation\n", b"headrace.v1.Description\n"

# Public keys by the authority that they are of: "headrace:example".
Trust = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an owner signs with: a key, and the delegations that let it sign for a prefix."""

    prefix: Identifier
    key: "Ed25519PrivateKey"
    delegations: tuple[pb.SignedDelegation, ...] = ()


def wall_ms() -> int:
    """The time of day: those who sign and those who judge have no other clock in common."""
    return time.time_ns() // 1_000_000


def new_key() -> bytes:
    """A new private key, PEM (PKCS 8)."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - loaded where it is used.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(file: Path, *, key: str) -> "Ed25519PrivateKey":
    """A private key of a PEM file; `key` is the setting that names the file. Refusal: KEY_INVALID."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - loaded where it is used.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    remedy = "`headrace keygen FILE` makes one"
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        message = f"{key}: {file}: {error.strerror}; {remedy}"
        raise Refusal(Code.FAILED_PRECONDITION, "KEY_INVALID", message) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{key}: {file} is no private key in PEM without a password; {remedy}"
        raise Refusal(Code.FAILED_PRECONDITION, "KEY_INVALID", message) from error
    if not isinstance(found, Ed25519PrivateKey):
        message = f"{key}: the key in {file} is not of Ed25519; {remedy}"
        raise Refusal(Code.FAILED_PRECONDITION, "KEY_INVALID", message)
    return found


def public_text(key: "Ed25519PrivateKey") -> str:
    """Its public key as people pass it on: base64 of 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def public_bytes(text: str, *, key: str) -> bytes:
    """The same read again; `key` is where it was written. Refusal: KEY_INVALID."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != KEY_BYTES:
        message = f"{key}: {text[:80]!r} is no public key; write the 44 characters that `headrace keygen` printed"
        raise Refusal(Code.INVALID_ARGUMENT, "KEY_INVALID", message)
    return found


def delegated(
    key: "Ed25519PrivateKey", prefix: Identifier, public_key: bytes, *, now_ms: int, life_ms: int
) -> pb.SignedDelegation:
    """Lets another key sign for all that is under a prefix."""
    delegation = pb.Delegation(
        prefix=str(prefix), public_key=public_key, create_time=_time(now_ms), expire_time=_time(now_ms + life_ms)
    )
    payload = delegation.SerializeToString(deterministic=True)
    return pb.SignedDelegation(delegation=payload, signature=key.sign(_DELEGATION + payload))


def written(delegations: Sequence[pb.SignedDelegation]) -> str:
    """Delegations as the text that people pass on: a line each."""
    return "".join(base64.b64encode(one.SerializeToString(deterministic=True)).decode() + "\n" for one in delegations)


def read_delegations(file: Path, *, key: str) -> tuple[pb.SignedDelegation, ...]:
    """The same read again; `key` is the setting that names the file. Refusal: DELEGATION_INVALID."""
    found: list[pb.SignedDelegation] = []
    try:
        for line in file.read_text(encoding="ascii").split():
            one = pb.SignedDelegation.FromString(base64.b64decode(line, validate=True))
            pb.Delegation.FromString(one.delegation)
            found.append(one)
    except OSError as error:
        message = f"{key}: {file}: {error.strerror}; it should hold what `headrace delegate` printed"
        raise Refusal(Code.FAILED_PRECONDITION, "DELEGATION_INVALID", message) from error
    except (ValueError, DecodeError) as error:
        where = f"{key}: {file}: line {len(found) + 1}"
        message = f"{where} is not what `headrace delegate` printed; ask whoever gave it to you again"
        raise Refusal(Code.FAILED_PRECONDITION, "DELEGATION_INVALID", message) from error
    return tuple(found)


def signed(credentials: Credentials, description: pb.Description, *, now_ms: int, life_ms: int) -> pb.SignedRecord:
    """The record of a description, which holds from now on for so long."""
    description.create_time.CopyFrom(_time(now_ms))
    description.expire_time.CopyFrom(_time(now_ms + life_ms))
    payload = description.SerializeToString(deterministic=True)
    signature = credentials.key.sign(_DESCRIPTION + payload)
    return pb.SignedRecord(description=payload, signature=signature, delegations=credentials.delegations)


def verified(record: pb.SignedRecord, trust: Trust, *, now_ms: int) -> pb.Description:
    """What a record says, if an authority in `trust` stands behind it.

    Refusal: RECORD_INVALID (it cannot be read), RECORD_FOREIGN (of an authority that is not trusted, or signed by a
    key for other identifiers), RECORD_FORGED (a signature is not that of its key), RECORD_STALE.
    """
    if record.ByteSize() > RECORD_BYTES_MAX or len(record.delegations) > DELEGATIONS_MAX:
        message = f"a record has at most {RECORD_BYTES_MAX} bytes and {DELEGATIONS_MAX} delegations"
        raise Refusal(Code.INVALID_ARGUMENT, "RECORD_INVALID", message)
    description = pb.Description()
    _read(description, record.description)
    identifier = parse(description.identifier)
    if len(identifier.labels) != NODE_LABELS:
        raise Refusal(Code.INVALID_ARGUMENT, "RECORD_INVALID", f"{identifier} is no node's; records are of nodes")
    signer = _signer(record.delegations, identifier, trust, now_ms)
    _check(signer, _DESCRIPTION + record.description, record.signature, f"the record of {identifier}")
    _check_times(description, f"the record of {identifier}", now_ms)
    if _millis(description.expire_time) - _millis(description.create_time) > RECORD_LIFE_MS_MAX:
        message = f"the record of {identifier} holds for longer than an hour; sign it for less"
        raise Refusal(Code.INVALID_ARGUMENT, "RECORD_INVALID", message)
    return description


def check_chain(credentials: Credentials, *, now_ms: int) -> None:
    """Refuses an owner's own credentials that would not be believed by anybody. Refusal: as `verified`."""
    prefix, public_key = credentials.prefix, b""
    for signed_one in credentials.delegations:
        delegation = pb.Delegation()
        _read(delegation, signed_one.delegation)
        _check_times(delegation, f"the delegation of {delegation.prefix}", now_ms)
        public_key = delegation.public_key
        if not prefix.is_under(parse_prefix(delegation.prefix)):
            message = f"{prefix} is not under {delegation.prefix}, which the delegation is for"
            raise Refusal(Code.FAILED_PRECONDITION, "RECORD_FOREIGN", message)
    if credentials.delegations and public_key != credentials.key.public_key().public_bytes_raw():
        message = f"the last delegation for {prefix} is of another key than the one that signs here"
        raise Refusal(Code.FAILED_PRECONDITION, "RECORD_FOREIGN", message)


def is_stale(description: pb.Description, *, now_ms: int) -> bool:
    """Whether what it says has had its time."""
    return now_ms >= _millis(description.expire_time)


def _signer(chain: Sequence[pb.SignedDelegation], identifier: Identifier, trust: Trust, now_ms: int) -> bytes:
    """The public key that may sign for the identifier, by way of every delegation."""
    prefix = identifier.authority
    key = trust.get(str(prefix))
    if key is None:
        message = f"{identifier} is of an authority that is not trusted here; see identifiers.trust in the settings"
        raise Refusal(Code.PERMISSION_DENIED, "RECORD_FOREIGN", message)
    for one in chain:
        delegation = pb.Delegation()
        _read(delegation, one.delegation)
        of = f"the delegation of {delegation.prefix[:80]}"
        _check(key, _DELEGATION + one.delegation, one.signature, of)
        given = parse_prefix(delegation.prefix)
        if not given.is_under(prefix) or not identifier.is_under(given):
            message = f"{of} does not let its key sign for {identifier}"
            raise Refusal(Code.PERMISSION_DENIED, "RECORD_FOREIGN", message)
        _check_times(delegation, of, now_ms)
        prefix, key = given, delegation.public_key
    return key


def _check(key: bytes, payload: bytes, signature: bytes, of: str) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - loaded where it is used.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, payload)
    except (InvalidSignature, ValueError) as error:
        message = f"{of} is not signed by the key that may; whoever made it is not who it says"
        raise Refusal(Code.PERMISSION_DENIED, "RECORD_FORGED", message) from error


def _check_times(what: "pb.Delegation | pb.Description", of: str, now_ms: int) -> None:
    if now_ms >= _millis(what.expire_time):
        message = f"{of} expired {(now_ms - _millis(what.expire_time)) / 1000:.0f} s ago; sign it anew"
        raise Refusal(Code.FAILED_PRECONDITION, "RECORD_STALE", message)
    if _millis(what.create_time) > now_ms + SKEW_MS:
        early = (_millis(what.create_time) - now_ms) / 1000
        message = f"{of} was made {early:.0f} s from now; set the clocks of both machines right"
        raise Refusal(Code.FAILED_PRECONDITION, "RECORD_STALE", message)


def _read(message: "pb.Delegation | pb.Description", payload: bytes) -> None:
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        text = f"what was signed is no {type(message).DESCRIPTOR.name}; sign it anew, by a program of this version"
        raise Refusal(Code.INVALID_ARGUMENT, "RECORD_INVALID", text) from error


def _time(millis: int) -> Timestamp:
    return Timestamp(seconds=millis // 1000, nanos=millis % 1000 * 1_000_000)


def _millis(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000
