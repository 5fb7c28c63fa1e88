"""Compute identifiers as texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.identifiers import Identifier, device_label, parse, parse_prefix
from headrace.refusals import Refusal

NODE = "headrace:example/east/acme/n-4k2p7q3x"
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,10}[a-z0-9])?", fullmatch=True)


@given(st.lists(LABELS, min_size=4, max_size=5))
def test_what_is_read_is_written_again_as_it_was(labels: list[str]) -> None:
    text = f"headrace:{'/'.join(labels)}"

    assert str(parse(text)) == text


@given(st.text(max_size=500))
def test_any_text_is_an_identifier_or_refused_by_that_name(text: str) -> None:
    try:
        found = str(parse(text))
    except Refusal as refusal:
        found = refusal.reason

    assert found in (text, "IDENTIFIER_INVALID")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with a scheme"),
        ("example/east/acme/n1", "does not begin with a scheme"),
        ("Headrace:example/east/acme/n1", "does not begin with a scheme"),
        ("headrace:example/east/acme", "has 3 labels"),
        ("headrace:example/east/acme/n1/gpu-1/core-2", "has 6 labels; 5 at most"),
        ("headrace:example/East/acme/n1", "label 2, 'East', is not"),
        ("headrace:example//acme/n1", "label 2, '', is not"),
        ("headrace:example/../acme/n1", "label 2, '..', is not"),
        # A letter that looks like an "e" and is none.
        ("headrace:\u0435xample/east/acme/n1", "label 1"),
        ("headrace:" + "a" * 500, "longer than 400 characters"),
    ],
)
def test_what_is_no_identifier_is_refused_with_the_place(text: str, why: str) -> None:
    with pytest.raises(Refusal, match=re.escape(why)):
        parse(text)


def test_a_prefix_covers_whole_labels() -> None:
    acme = parse_prefix("headrace:example/east/acme")

    assert parse(NODE).is_under(acme)
    assert not parse("headrace:example/east/acme2/n1").is_under(acme)
    assert not parse("other:example/east/acme/n1").is_under(acme)
    assert acme.is_under(acme)
    assert not acme.is_under(parse(NODE))


def test_a_device_is_of_its_node() -> None:
    device = parse(NODE).joined("gpu-1")

    assert device.node == parse(NODE)
    assert device.authority == Identifier("headrace", ("example",))


def test_a_devices_label_is_made_of_its_own_id() -> None:
    uuid = "GPU-8f6d2a1c-0000-1111-2222-333344445555"

    assert device_label("gpu", uuid) == device_label("gpu", uuid)
    assert device_label("gpu", uuid) != device_label("gpu", uuid.upper())
    # Whatever a vendor calls its kind, it is a label.
    assert parse(f"{NODE}/{device_label('NPU!', 'x')}").labels[-1].startswith("npu-")
    assert parse(f"{NODE}/{device_label('', 'x')}").labels[-1].startswith("device-")
