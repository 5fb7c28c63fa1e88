"""The laws of the jobs' logs: nothing twice, nothing missing, whenever the controller dies."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.logs import SEGMENT_BYTES, JobLogs
from headrace.refusals import Code, Refusal

ROOT = Path(__file__).parents[2]
CAP = 4 * SEGMENT_BYTES

# Append n is 100,000 times n in eight digits; the cursor after it is n.
APPENDS_UNTIL_KILLED = """
import sys
from pathlib import Path
from controller.logs import JobLogs
logs = JobLogs(Path(sys.argv[1]), 1 << 30)
cursor = logs.append("train", 1, expected_cursor="", cursor="", data=b"")
while True:
    number = int(cursor or 0) + 1
    cursor = logs.append("train", 1, expected_cursor=cursor, cursor=str(number), data=b"%08d" % number * 100_000)
    print(cursor, flush=True)
"""


@pytest.fixture
def logs(tmp_path: Path) -> JobLogs:
    return JobLogs(tmp_path / "logs", CAP)


def put(logs: JobLogs, data: bytes, *, job: str = "train", epoch: int = 1, after: str = "", cursor: str) -> str:
    return logs.append(job, epoch, expected_cursor=after, cursor=cursor, data=data)


def all_of(logs: JobLogs, job: str = "train") -> bytes:
    return logs.read(job, 0, 1 << 30)[1]


def test_an_append_moves_the_cursor(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")

    assert put(logs, b"two\n", after="c1", cursor="c2") == "c2"
    assert all_of(logs) == b"one\ntwo\n"


def test_an_append_that_is_sent_again_adds_nothing(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")

    assert put(logs, b"one\n", cursor="c1") == "c1"
    assert all_of(logs) == b"one\n"


def test_an_append_from_elsewhere_is_told_where_the_log_is(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")

    assert put(logs, b"three\n", after="c2", cursor="c3") == "c1"
    assert all_of(logs) == b"one\n"


def test_no_data_only_asks(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")

    assert put(logs, b"", after="c1", cursor="c9") == "c1"
    assert put(logs, b"", epoch=2, cursor="") == ""


def test_the_attempts_of_a_job_make_one_log(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")
    put(logs, b"two\n", epoch=2, cursor="c1")

    assert all_of(logs) == b"one\ntwo\n"


def test_the_log_of_a_new_attempt_begins_at_the_empty_cursor(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")

    assert put(logs, b"two\n", epoch=2, after="c1", cursor="c2") == ""
    assert all_of(logs) == b"one\n"


def test_an_attempt_that_is_over_adds_nothing(logs: JobLogs) -> None:
    put(logs, b"one\n", epoch=2, cursor="c1")

    with pytest.raises(Refusal) as refused:
        put(logs, b"late\n", epoch=1, cursor="c1")

    assert (refused.value.code, refused.value.reason) == (Code.ABORTED, "STALE_EPOCH")
    assert all_of(logs) == b"one\n"


@pytest.mark.parametrize("cursor", ["", "c1"])
def test_data_that_does_not_move_the_cursor_is_refused(logs: JobLogs, cursor: str) -> None:
    put(logs, b"one\n", cursor="c1")

    with pytest.raises(Refusal, match=r"^cursor: "):
        put(logs, b"two\n", after="c1", cursor=cursor)


def test_a_restart_changes_nothing(logs: JobLogs, tmp_path: Path) -> None:
    put(logs, b"one\n", cursor="c1")

    again = JobLogs(tmp_path / "logs", CAP)

    assert put(again, b"two\n", after="c1", cursor="c2") == "c2"
    assert all_of(again) == b"one\ntwo\n"


def test_a_piece_may_lie_over_several_segments(logs: JobLogs) -> None:
    data = os.urandom(2 * SEGMENT_BYTES + 17)
    put(logs, b"x", cursor="c1")
    put(logs, data, after="c1", cursor="c2")

    assert logs.read("train", 1, len(data)) == (1, data)
    assert logs.read("train", SEGMENT_BYTES - 3, 6) == (SEGMENT_BYTES - 3, data[SEGMENT_BYTES - 4 : SEGMENT_BYTES + 2])


def test_the_oldest_bytes_go_once_the_cap_is_reached(logs: JobLogs, tmp_path: Path) -> None:
    piece = os.urandom(SEGMENT_BYTES // 2)
    for number in range(20):
        put(logs, piece, after=str(number) if number else "", cursor=str(number + 1))

    at, data = logs.read("train", 0, 2 * CAP)

    assert (at, data) == (20 * len(piece) - CAP, piece * 8)
    assert sum(path.stat().st_size for path in (tmp_path / "logs/train").glob("[0-9]*")) == CAP


def test_a_piece_larger_than_the_cap_leaves_its_end(logs: JobLogs) -> None:
    data = os.urandom(CAP + SEGMENT_BYTES + 5)
    put(logs, data, cursor="c1")

    at, kept = logs.read("train", 0, 2 * CAP)

    assert at == 2 * SEGMENT_BYTES
    assert kept == data[at:]


def test_a_negative_offset_counts_from_the_end(logs: JobLogs) -> None:
    put(logs, b"one\ntwo\n", cursor="c1")

    assert logs.read("train", -4) == (4, b"two\n")
    assert logs.read("train", -100) == (0, b"one\ntwo\n")


def test_a_read_beyond_the_end_is_empty(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")

    assert logs.read("train", 100) == (100, b"")
    assert logs.read("never-seen", 0) == (0, b"")


@pytest.mark.parametrize("job", ["", "..", "../x", "a/b", "/etc", "Train", "jobs/train", "a\n", "-a", "a" * 201])
def test_what_is_no_job_id_names_no_file(logs: JobLogs, job: str) -> None:
    with pytest.raises(Refusal, match=r"^job: "):
        logs.read(job, 0)


def test_many_jobs_hold_no_files_open(logs: JobLogs) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    for number in range(200):
        put(logs, b"one\n", job=f"job-{number}", cursor="c1")

    # What others left open may be closed meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_kill_leaves_whole_appends_only(tmp_path: Path) -> None:
    appended = 0
    for _ in range(10):
        command = [sys.executable, "-c", APPENDS_UNTIL_KILLED, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
            assert writer.stdout is not None
            for _ in range(3):
                appended = int(writer.stdout.readline())
            writer.kill()

    logs = JobLogs(tmp_path, 1 << 30)
    last = int(put(logs, b"", cursor=""))

    assert last >= appended
    assert all_of(logs) == b"".join(b"%08d" % number * 100_000 for number in range(1, last + 1))


def test_an_append_that_was_cut_short_never_was(logs: JobLogs, tmp_path: Path) -> None:
    put(logs, b"one\n", cursor="c1")
    with (tmp_path / "logs/train" / f"{0:020d}").open("ab") as segment:
        segment.write(b"half of what was to come")
    with (tmp_path / "logs/train/state").open("ab") as state:
        state.write(b'\n{"epoch": 1, "cursor": "c2", "start": 0, "length": 2')

    assert all_of(logs) == b"one\n"
    assert put(logs, b"two\n", after="c1", cursor="c2") == "c2"
    assert all_of(logs) == b"one\ntwo\n"


def test_bytes_outlive_a_state_that_a_power_cut_emptied(logs: JobLogs, tmp_path: Path) -> None:
    put(logs, b"one\n", cursor="c1")
    (tmp_path / "logs/train/state").write_bytes(b"")

    assert all_of(logs) == b"one\n"


def test_a_hole_that_a_power_cut_made_is_passed_over(logs: JobLogs, tmp_path: Path) -> None:
    put(logs, bytes(SEGMENT_BYTES) + b"two\n", cursor="c1")
    (tmp_path / "logs/train" / f"{0:020d}").write_bytes(b"")

    assert logs.read("train", 0) == (SEGMENT_BYTES, b"two\n")


@pytest.fixture
def small_files() -> Iterator[int]:
    """Files may not grow beyond 300,000 bytes: to a program a disk that is full in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    yield 300_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_refused_and_leaves_the_log_whole(logs: JobLogs, small_files: int) -> None:
    put(logs, b"a" * 200_000, cursor="c1")

    with pytest.raises(Refusal) as refused:
        put(logs, b"b" * 200_000, after="c1", cursor="c2")

    assert (refused.value.code, refused.value.reason) == (Code.RESOURCE_EXHAUSTED, "LOG_STORE_FULL")
    assert all_of(logs) == b"a" * 200_000
    assert put(logs, b"c" * (small_files - 200_000), after="c1", cursor="c2") == "c2"
    assert all_of(logs) == b"a" * 200_000 + b"c" * 100_000


async def test_a_follower_gets_what_is_there_and_what_comes(logs: JobLogs) -> None:
    put(logs, b"one\n", cursor="c1")
    following = logs.follow("train", 0, ended=lambda: False)
    assert await anext(following) == (0, b"one\n")

    later = asyncio.ensure_future(anext(following))
    await asyncio.to_thread(put, logs, b"two\n", after="c1", cursor="c2")

    assert await later == (4, b"two\n")
    await following.aclose()


async def test_a_follower_of_a_log_that_is_not_there_yet_waits_for_it(logs: JobLogs) -> None:
    following = logs.follow("train", -10, ended=lambda: False)
    first = asyncio.ensure_future(anext(following))

    await asyncio.to_thread(put, logs, b"one\n", cursor="c1")

    assert await first == (0, b"one\n")
    await following.aclose()


async def test_a_follower_leaves_once_the_job_has_ended_and_all_is_read(logs: JobLogs) -> None:
    ended = asyncio.Event()
    put(logs, b"one\n", cursor="c1")

    async def read_to_the_end() -> list[bytes]:
        return [data async for _, data in logs.follow("train", 0, ended=ended.is_set)]

    reading = asyncio.ensure_future(read_to_the_end())
    await asyncio.to_thread(put, logs, b"two\n", after="c1", cursor="c2")
    ended.set()
    logs.wake("train")

    assert b"".join(await reading) == b"one\ntwo\n"


async def test_a_follower_that_left_is_forgotten(logs: JobLogs) -> None:
    following = logs.follow("train", 0, ended=lambda: True)

    assert [piece async for piece in following] == []
    assert logs._watchers == {}
