"""Laws of sizes, durations and shares of processors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import units


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 4 << 30), ("500MB", 500_000_000), ("1.5TiB", 3 << 39), ("1KB", 1000), ("7B", 7), ("42", 42), (42, 42)],
)
def test_a_size_is_a_number_of_bytes(text: str | int, size: int) -> None:
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "4 gigs", "4 GiB", "4gib", "4Gi", "-1MiB", "1e9", "GiB", "٤GiB", "9" * 21, "1.GiB"]
)
def test_what_is_no_size_is_told_what_sizes_look_like(text: str) -> None:
    with pytest.raises(units.UnitError, match="is no size; write"):
        units.parse_bytes(text)


def test_a_size_that_the_wire_cannot_carry_is_refused() -> None:
    with pytest.raises(units.UnitError, match="at most 8191PiB"):
        units.parse_bytes("9000PiB")


@given(st.integers(0, units.MAX_BYTES))
def test_a_printed_size_means_the_same_size(size: int) -> None:
    assert units.parse_bytes(units.format_bytes(size)) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1 << 30, "1GiB"), (500_000_000, "500MB"), (1025, "1025B"), (3 << 39, "1536GiB")],
)
def test_an_exact_size_is_printed_as_short_as_it_can_be(size: int, text: str) -> None:
    assert units.format_bytes(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(999, "999B"), (4_197_408_768, "3.91GiB"), (100 << 20, "100MiB"), (15 << 39, "7.50TiB")]
)
def test_people_are_shown_three_digits(size: int, text: str) -> None:
    assert units.rounded_bytes(size) == text


@pytest.mark.parametrize(
    ("text", "millis"),
    [("90s", 90_000), ("10m", 600_000), ("1h30m", 5_400_000), ("250ms", 250), ("7d", 604_800_000), ("1.5h", 5_400_000)],
)
def test_a_duration_is_a_number_of_milliseconds(text: str, millis: int) -> None:
    assert units.parse_duration(text) == millis


def test_nothing_is_a_duration_without_a_unit() -> None:
    assert units.parse_duration("0") == 0


@pytest.mark.parametrize("text", ["", "10", "ten", "30m1h", "1h 30m", "-5s", "5S", "1m1m", "10min"])
def test_what_is_no_duration_is_told_what_durations_look_like(text: str) -> None:
    with pytest.raises(units.UnitError, match="is no duration; write"):
        units.parse_duration(text)


@pytest.mark.parametrize(("text", "problem"), [("99999d", "at most 36500d"), ("0.1ms", "whole number of milliseconds")])
def test_a_duration_that_cannot_be_kept_exactly_is_refused(text: str, problem: str) -> None:
    with pytest.raises(units.UnitError, match=problem):
        units.parse_duration(text)


@given(st.integers(0, units.MAX_DURATION_MS))
def test_a_printed_duration_means_the_same_duration(millis: int) -> None:
    assert units.parse_duration(units.format_duration(millis)) == millis


@pytest.mark.parametrize(("text", "millis"), [(2, 2000), (0.5, 500), ("500m", 500), ("0.25", 250), ("1.5", 1500)])
def test_a_share_of_processors_is_a_number_of_thousandths(text: str | float, millis: int) -> None:
    assert units.parse_cpu(text) == millis


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("two", "write cores"),
        ("-1", "write cores"),
        ("0.0001", "finest step is 1m"),
        ("99999999", "at most 1000000 cores"),
    ],
)
def test_what_is_no_share_of_processors_is_told_why(text: str, problem: str) -> None:
    with pytest.raises(units.UnitError, match=problem):
        units.parse_cpu(text)


@given(st.integers(0, units.MAX_CPU_MILLIS))
def test_a_printed_share_means_the_same_share(millis: int) -> None:
    assert units.parse_cpu(units.format_cpu(millis)) == millis
