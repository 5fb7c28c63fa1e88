"""A log read by many readers in turn is the log, whatever the order of its lines' times and wherever readers stop."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runtimes.docker_logs import SLACK, Cursor, Entry, Frames, Position, cursor_of
from agent.runtimes.runtime import RuntimeRefused

_BEGIN = datetime(2026, 11, 23, 4, 59, 58, tzinfo=UTC)
_SLACK_MILLIS = SLACK // timedelta(milliseconds=1)


def _stamp(millis: int) -> bytes:
    moment = _BEGIN + timedelta(milliseconds=millis)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{moment.microsecond:06d}000Z".encode()


@st.composite
def _logs(draw: st.DrawFn) -> list[Entry]:
    """A log in the order of the engine's file: times tie and step back a little, pieces bear their line's time."""
    millis, entries = 0, []
    open_lines: dict[int, bytes] = {}
    for number in range(draw(st.integers(1, 40))):
        millis += draw(st.sampled_from([0, 0, 1, 300, 1200, 5000]))
        stream = draw(st.sampled_from([1, 2]))
        late = draw(st.integers(0, min(millis, _SLACK_MILLIS - 1)))
        stamp = open_lines.get(stream) or _stamp(millis - late)
        ends = draw(st.integers(0, 3)) > 0
        entries.append(Entry(stream, stamp, b"%d" % number + (b"\n" if ends else b"...")))
        if ends:
            open_lines.pop(stream, None)
        else:
            open_lines[stream] = stamp
    return entries


def _frame(entry: Entry) -> bytes:
    body = entry.stamp + b" " + entry.data
    return bytes([entry.stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


_PLACES = st.lists(st.integers(0, 40), max_size=12)


@settings(max_examples=500)
@given(_logs(), _PLACES, _PLACES)
def test_readers_in_turn_read_each_entry_once(log: list[Entry], chunk_ends: list[int], stops: list[int]) -> None:
    read: list[bytes] = []
    cursor = ""

    for stop in [*sorted(stops), len(log)]:
        position, fresh = Position(cursor_of(cursor)), False
        for place, entry in enumerate(log[:stop]):
            # So the engine answers `since`.
            if entry.stamp >= position.start.since and position.is_new(entry):
                read.append(entry.data)
                fresh = True
                if place in chunk_ends:
                    position.cursor()
        if fresh:
            cursor = str(position.cursor())

    assert read == [entry.data for entry in log]


@given(_logs(), st.data())
def test_frames_are_whole_however_the_network_cut_them(log: list[Entry], data: st.DataObject) -> None:
    stream = b"".join(map(_frame, log))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    frames = Frames()

    entries = [
        entry
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for entry in frames.entries(stream[begin:end])
    ]

    assert entries == log


def test_a_cursor_of_a_long_log_lies_at_its_end() -> None:
    position = Position(Cursor())
    for millis in range(0, 60_000, 10):
        position.is_new(Entry(1, _stamp(millis), b"\n"))
        cursor = position.cursor()

    assert cursor.since >= _stamp(60_000 - 3 * _SLACK_MILLIS)
    assert cursor.seen <= 3 * _SLACK_MILLIS / 10


def test_a_line_that_never_ends_keeps_the_cursor_at_its_beginning() -> None:
    position = Position(Cursor())
    position.is_new(Entry(1, _stamp(0), b"..."))
    for millis in range(1, 60_000, 100):
        position.is_new(Entry(2, _stamp(millis), b"\n"))
        cursor = position.cursor()

    assert cursor.since <= _stamp(0)


def test_what_is_left_of_a_log_that_was_rotated_away_is_new() -> None:
    position = Position(Cursor(_stamp(0), _stamp(400), 10))

    assert position.is_new(Entry(1, _stamp(500), b"left\n"))
    assert position.lost


def test_what_was_read_before_a_rotation_is_not_read_again() -> None:
    position = Position(Cursor(_stamp(0), _stamp(400), 10))

    new = [millis for millis in range(200, 800, 100) if position.is_new(Entry(1, _stamp(millis), b"\n"))]

    assert new == [500, 600, 700]
    assert position.cursor() == Cursor(_stamp(200), _stamp(700), 6)


def test_a_file_that_the_engine_tells_again_is_not_read_twice() -> None:
    position = Position(Cursor(), now=lambda: _BEGIN + timedelta(minutes=1))
    told = [0, 2000, 4000, 5000, 2000, 4000, 5000, 6000, 5500]

    assert [position.is_new(Entry(1, _stamp(millis), b"\n")) for millis in told] == [True] * 4 + [False] * 3 + [
        True
    ] * 2


def test_what_comes_after_entries_that_were_counted_twice_is_new() -> None:
    # The engine has told a file again that spans less than SLACK, so its entries count as late ones.
    told = [Entry(1, _stamp(millis), b"%d\n" % millis) for millis in (0, 100, 200, 0, 100, 200)]
    first = Position(Cursor())
    for entry in told:
        first.is_new(entry)

    second = Position(first.cursor())
    left = [*told[:3], Entry(1, _stamp(300), b"the end\n")]

    assert [entry.data for entry in left if second.is_new(entry)] == [b"the end\n"]


def test_lines_after_a_clock_that_was_set_back_are_new() -> None:
    position = Position(Cursor(), now=lambda: _BEGIN + timedelta(seconds=1))

    assert [position.is_new(Entry(1, _stamp(millis), b"\n")) for millis in (60_000, 500, 600)] == [True] * 3


def test_a_cursor_is_asked_for_to_the_nanosecond() -> None:
    text = "2026-11-23T04:28:24.000405165Z/2026-11-23T04:28:25.000000001Z#3"

    cursor = cursor_of(text)

    assert cursor.seconds == f"{int(datetime(2026, 11, 23, 4, 28, 24, tzinfo=UTC).timestamp())}.000405165"
    assert str(cursor) == text


def test_an_engine_that_cannot_read_its_log_is_a_refusal() -> None:
    message = b"Error grabbing logs: invalid character"
    frame = bytes([3, 0, 0, 0]) + len(message).to_bytes(4, "big") + message

    with pytest.raises(RuntimeRefused, match="invalid character") as refused:
        list(Frames().entries(frame))

    assert refused.value.reason == "LOG_UNREADABLE"
