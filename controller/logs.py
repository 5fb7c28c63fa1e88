"""The logs of jobs: one unbroken log over all attempts of each, capped in size, in a folder of the controller.

A job's folder holds segments of 1 MiB, named by the offset of their first byte, and a small file `state`, whose last
whole line says how much of them counts and where the newest attempt's log is. An append writes its bytes first, then
such a line: killed at any moment, all of it is there or nothing of it is. Nothing is held open and nothing is held in
memory, so that ten thousand jobs cost no more than one.
"""

import asyncio
import contextlib
import errno
import json
import os
import threading
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from headrace.changes import replace
from headrace.faultpoints import reached
from headrace.ids import is_job_id
from headrace.refusals import Code, Refusal

SEGMENT_BYTES = 1 << 20
READ_BYTES = 1 << 18
# A file of states that has grown beyond this is begun anew: a rename costs as much as fifty lines.
STATE_BYTES = 1 << 14

# Appends to different jobs may go on at one time; each job always gets the same lock.
_LOCKS = 64
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class LogState:
    """What counts of a job's segments: bytes from `start` up to `length`, counted over all attempts.

    `epoch` is the newest attempt that wrote, `cursor` where its log is.
    """

    epoch: int = 0
    cursor: str = ""
    start: int = 0
    length: int = 0


class JobLogs:
    """Appends come from agents, one after the other for each job; readers go on beside them, from any thread."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Keeps at most `max_bytes` of each job's log, the newest ones, in `folder`; never less than a segment."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._watchers: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._watching = threading.Lock()

    def append(self, job: str, epoch: int, *, expected_cursor: str, cursor: str, data: bytes) -> str:
        """Adds `data` if the log of this attempt is at `expected_cursor`; answers with where it is then.

        Empty data only asks. The log of an attempt begins at the empty cursor. Refuses (ABORTED) an attempt
        older than one that wrote already.
        """
        folder = self._of(job)
        with self._lock(job):
            state = _state(folder)
            if epoch < state.epoch:
                raise Refusal(
                    Code.ABORTED,
                    "STALE_EPOCH",
                    f"the log of {job} is at epoch {state.epoch}; epoch {epoch} is over and adds nothing",
                    job=job,
                )
            present = state.cursor if epoch == state.epoch else ""
            if not data or expected_cursor != present:
                return present
            if cursor in ("", expected_cursor):
                raise Refusal(
                    Code.INVALID_ARGUMENT,
                    "LOG_CURSOR_INVALID",
                    "cursor: name the place after `data`; the same place again could add the same bytes twice",
                    field="cursor",
                )
            self._add(folder, LogState(epoch, cursor, state.start, state.length + len(data)), data)
        self.wake(job)
        return cursor

    def read(self, job: str, offset: int, limit: int = READ_BYTES) -> tuple[int, bytes]:
        """At most `limit` bytes from `offset` on, and the offset of the first of them.

        That is greater than asked where older bytes are no longer kept. A negative offset counts from the end.
        """
        folder = self._of(job)
        state = _state(folder)
        first = max(offset if offset >= 0 else state.length + offset, state.start)
        pieces: list[bytes] = []
        at = first
        while at < state.length and at - first < limit:
            end = min(_segment(at) + SEGMENT_BYTES, state.length, first + limit)
            piece = _segment_bytes(folder, at, end - at)
            if piece:
                pieces.append(piece)
                at += len(piece)
            elif pieces:
                break
            else:
                # Dropped since the state was read, or lost in a power cut: no longer kept.
                first = at = min(_segment(at) + SEGMENT_BYTES, state.length)
        return first, b"".join(pieces)

    async def follow(
        self, job: str, offset: int, *, ended: Callable[[], bool]
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """The log from `offset` on, as `read` gives it, piece by piece as it comes.

        Over once `ended` says so and all is read. Whoever lets that happen calls `wake`.
        """
        with self.watching(job) as changed:
            while True:
                # In this order: what comes after any of these sets the event again, or is read in the next round.
                changed.clear()
                over = ended()
                at, data = await asyncio.to_thread(self.read, job, offset)
                offset = at + len(data)
                if data:
                    yield at, data
                elif over:
                    return
                else:
                    await changed.wait()

    @contextlib.contextmanager
    def watching(self, job: str) -> Iterator[asyncio.Event]:
        """An event, of the running loop, that is set whenever the log has grown or `wake` was called."""
        watcher = (asyncio.get_running_loop(), asyncio.Event())
        with self._watching:
            self._watchers.setdefault(job, []).append(watcher)
        try:
            yield watcher[1]
        finally:
            with self._watching:
                self._watchers[job].remove(watcher)
                if not self._watchers[job]:
                    del self._watchers[job]

    def wake(self, job: str) -> None:
        """Lets those who wait for this log look again: it has grown, or the job has ended."""
        with self._watching:
            for loop, changed in self._watchers.get(job, ()):
                loop.call_soon_threadsafe(changed.set)

    def _of(self, job: str) -> Path:
        if not is_job_id(job):
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "JOB_ID_INVALID",
                "job: an id has small letters, digits and dashes, 200 at most; give it without 'jobs/'",
                field="job",
            )
        return self._folder / job

    def _lock(self, job: str) -> threading.Lock:
        return self._locks[zlib.crc32(job.encode()) % len(self._locks)]

    def _add(self, folder: Path, state: LogState, data: bytes) -> None:
        """Writes what belongs before `state.length`, then lets it count."""
        spare = -(-(state.length - self._max_bytes) // SEGMENT_BYTES) * SEGMENT_BYTES
        # The last segment stays, however small the cap.
        start = max(state.start, min(spare, _segment(state.length - 1)))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(folder, max(state.length - len(data), start), data[-(state.length - start) :])
            reached("controller.log.added", folder)
            _save(folder, replace(state, start=start))
            reached("controller.log.counted", folder)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise Refusal(
                Code.RESOURCE_EXHAUSTED,
                "LOG_STORE_FULL",
                f"the disk of the logs is full ({self._folder}): free space on it; what is there is whole",
            ) from error
        if start > state.start:
            _drop(folder, start)


def _segment(offset: int) -> int:
    """Where the segment begins that holds this byte."""
    return offset - offset % SEGMENT_BYTES


def _segment_path(folder: Path, start: int) -> Path:
    return folder / f"{start:020d}"


def _segment_bytes(folder: Path, at: int, size: int) -> bytes:
    try:
        segment = os.open(_segment_path(folder, _segment(at)), os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(segment, size, at - _segment(at))
    finally:
        os.close(segment)


def _write(folder: Path, at: int, data: bytes) -> None:
    # Every byte has its one place: what an append that failed left behind is written over by the next.
    rest = memoryview(data)
    while rest:
        segment = os.open(_segment_path(folder, _segment(at)), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            written = os.pwrite(segment, rest[: _segment(at) + SEGMENT_BYTES - at], at - _segment(at))
        finally:
            os.close(segment)
        rest = rest[written:]
        at += written


def _drop(folder: Path, start: int) -> None:
    for segment in folder.iterdir():
        if segment.name.isdecimal() and int(segment.name) < start:
            segment.unlink()


def _save(folder: Path, state: LogState) -> None:
    path = folder / "state"
    # The line's end comes first: a line that was cut short then never becomes the beginning of another one.
    line = b"\n" + json.dumps(asdict(state)).encode()
    if path.exists() and path.stat().st_size > STATE_BYTES:
        aside = folder / "state.new"
        aside.write_bytes(line)
        aside.rename(path)
        return
    with path.open("ab") as lines:
        lines.write(line)


def _state(folder: Path) -> LogState:
    try:
        lines = (folder / "state").read_bytes().split(b"\n")
    except FileNotFoundError:
        return LogState()
    for line in reversed(lines):
        # A part of a line is no JSON.
        with contextlib.suppress(ValueError, TypeError):
            return LogState(**json.loads(line))
    return _recovered(folder)


def _recovered(folder: Path) -> LogState:
    """After a power cut the state can be empty. The bytes count then; the agent sends its attempt's once more."""
    segments = sorted(segment for segment in folder.iterdir() if segment.name.isdecimal())
    if not segments:
        return LogState()
    return LogState(start=int(segments[0].name), length=int(segments[-1].name) + segments[-1].stat().st_size)
