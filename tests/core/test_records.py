"""Signed records: who is believed, for what, and for how long."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import records
from headrace.identifiers import parse_prefix
from headrace.records import Credentials, delegated, signed, verified
from headrace.refusals import Refusal
from headrace.v1 import identifier_service_pb2 as pb

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
MINUTE_MS = 60_000

AUTHORITY, ZONE, OWNER, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in range(1, 5))
TRUST = {"headrace:example": AUTHORITY.public_key().public_bytes_raw()}

EAST, ACME, NODE = "headrace:example/east", "headrace:example/east/acme", "headrace:example/east/acme/n1"


def lets(
    giver: Ed25519PrivateKey, prefix: str, taker: Ed25519PrivateKey, *, life_ms: int = DAY_MS
) -> pb.SignedDelegation:
    public = taker.public_key().public_bytes_raw()
    return delegated(giver, parse_prefix(prefix), public, now_ms=NOW_MS, life_ms=life_ms)


CHAIN = (lets(AUTHORITY, EAST, ZONE), lets(ZONE, ACME, OWNER))


def record(
    identifier: str = NODE,
    *,
    key: Ed25519PrivateKey = OWNER,
    chain: tuple[pb.SignedDelegation, ...] = CHAIN,
    now_ms: int = NOW_MS,
    life_ms: int = MINUTE_MS,
) -> pb.SignedRecord:
    credentials = Credentials(parse_prefix(ACME), key, chain)
    return signed(credentials, pb.Description(identifier=identifier), now_ms=now_ms, life_ms=life_ms)


def refusal_of(one: pb.SignedRecord, *, now_ms: int = NOW_MS) -> str:
    with pytest.raises(Refusal) as refused:
        verified(one, TRUST, now_ms=now_ms)
    return refused.value.reason


def test_a_record_with_an_authority_behind_it_is_believed() -> None:
    assert verified(record(), TRUST, now_ms=NOW_MS).identifier == NODE


def test_an_authority_may_sign_itself() -> None:
    assert verified(record(key=AUTHORITY, chain=()), TRUST, now_ms=NOW_MS).identifier == NODE


def test_a_record_signed_by_another_key_is_forged() -> None:
    assert refusal_of(record(key=STRANGER)) == "RECORD_FORGED"


def test_a_chain_of_which_a_link_is_missing_is_forged() -> None:
    assert refusal_of(record(chain=CHAIN[1:])) == "RECORD_FORGED"
    assert refusal_of(record(chain=CHAIN[:1])) == "RECORD_FORGED"


@settings(max_examples=60)
@given(st.data())
def test_a_record_of_which_any_byte_was_changed_is_not_believed(data: st.DataObject) -> None:
    whole = record()
    part = data.draw(st.sampled_from(["description", "signature"]))
    bytes_ = bytearray(getattr(whole, part))
    place = data.draw(st.integers(0, len(bytes_) - 1))
    bytes_[place] ^= 1 << data.draw(st.integers(0, 7))
    changed = pb.SignedRecord(delegations=whole.delegations, description=whole.description, signature=whole.signature)
    setattr(changed, part, bytes(bytes_))

    with pytest.raises(Refusal):
        verified(changed, TRUST, now_ms=NOW_MS)


def test_an_owner_signs_for_its_own_prefix_alone() -> None:
    assert refusal_of(record("headrace:example/east/other/n1")) == "RECORD_FOREIGN"
    assert refusal_of(record("headrace:example/west/acme/n1")) == "RECORD_FOREIGN"


def test_a_holder_of_a_prefix_cannot_give_away_what_is_not_under_it() -> None:
    chain = (lets(AUTHORITY, EAST, ZONE), lets(ZONE, "headrace:example/west/acme", OWNER))

    assert refusal_of(record("headrace:example/west/acme/n1", chain=chain)) == "RECORD_FOREIGN"


def test_an_authority_that_is_not_trusted_is_foreign() -> None:
    assert refusal_of(record("headrace:elsewhere/east/acme/n1", key=AUTHORITY, chain=())) == "RECORD_FOREIGN"


def test_a_record_is_stale_once_it_has_expired() -> None:
    verified(record(), TRUST, now_ms=NOW_MS + MINUTE_MS - 1)

    assert refusal_of(record(), now_ms=NOW_MS + MINUTE_MS) == "RECORD_STALE"


def test_a_record_is_stale_once_a_delegation_has_expired() -> None:
    chain = (CHAIN[0], lets(ZONE, ACME, OWNER, life_ms=MINUTE_MS))
    late = NOW_MS + 2 * MINUTE_MS

    assert refusal_of(record(chain=chain, now_ms=late), now_ms=late) == "RECORD_STALE"


def test_clocks_may_differ_a_little_and_not_more() -> None:
    verified(record(now_ms=NOW_MS + records.SKEW_MS), TRUST, now_ms=NOW_MS)

    assert refusal_of(record(now_ms=NOW_MS + records.SKEW_MS + 1)) == "RECORD_STALE"


def test_a_record_cannot_hold_for_days() -> None:
    assert refusal_of(record(life_ms=DAY_MS)) == "RECORD_INVALID"


def test_a_delegation_is_no_record() -> None:
    """What was signed for one purpose is not believed for another."""
    delegation = CHAIN[0]
    mixed = pb.SignedRecord(description=delegation.delegation, signature=delegation.signature)

    with pytest.raises(Refusal):
        verified(mixed, TRUST, now_ms=NOW_MS)


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_any_bytes_are_refused(description: bytes, signature: bytes) -> None:
    with pytest.raises(Refusal):
        verified(pb.SignedRecord(description=description, signature=signature), TRUST, now_ms=NOW_MS)


def test_a_huge_record_is_refused_before_it_is_read() -> None:
    assert refusal_of(pb.SignedRecord(description=b"x" * (records.RECORD_BYTES_MAX + 1))) == "RECORD_INVALID"


def test_delegations_are_passed_on_as_text(tmp_path: Path) -> None:
    file = tmp_path / "chain"
    file.write_text(records.written(CHAIN))

    assert records.read_delegations(file, key="--chain") == CHAIN


@pytest.mark.parametrize("text", ["no base64", base64.b64encode(b"\xff\xff").decode(), "é"])
def test_a_file_that_holds_none_is_refused_by_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "chain"
    file.write_text(text)

    with pytest.raises(Refusal, match=r"--chain: .*line 1"):
        records.read_delegations(file, key="--chain")


def test_a_key_is_made_kept_and_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(records.new_key())
    public = records.public_text(records.read_key(file, key="key"))

    assert len(records.public_bytes(public, key="--to")) == records.KEY_BYTES


def test_what_is_no_key_is_refused_by_the_setting_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(Refusal, match=r"identifier.key: .*No such file"):
        records.read_key(file, key="identifier.key")
    file.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Refusal, match=r"identifier.key: .*is no private key"):
        records.read_key(file, key="identifier.key")
    with pytest.raises(Refusal, match=r"--to: 'short' is no public key"):
        records.public_bytes("short", key="--to")


def test_an_owner_hears_at_the_start_that_its_delegations_will_not_do() -> None:
    records.check_chain(Credentials(parse_prefix(ACME), OWNER, CHAIN), now_ms=NOW_MS)
    with pytest.raises(Refusal, match="is of another key"):
        records.check_chain(Credentials(parse_prefix(ACME), STRANGER, CHAIN), now_ms=NOW_MS)
    with pytest.raises(Refusal, match="is not under"):
        records.check_chain(Credentials(parse_prefix("headrace:example/west/acme"), OWNER, CHAIN), now_ms=NOW_MS)
    with pytest.raises(Refusal, match="expired"):
        records.check_chain(Credentials(parse_prefix(ACME), OWNER, CHAIN), now_ms=NOW_MS + 2 * DAY_MS)
