"""The agent's journal: what must be known after a crash is written here before it is acted on."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from agent.core.model import Forget, Held, Keep, Memory, Recollection, Remember
from agent.runtimes.runtime import Ref
from headrace import wire
from headrace.attempts import Attempt
from headrace.faultpoints import reached
from headrace.refusals import Code, Refusal
from headrace.sessions import Placement
from headrace.v1 import attempt_pb2, session_pb2

# Epochs of jobs that are long gone need no defence: their assignments are of sessions that ended long ago.
EPOCHS_KEPT = 10_000
# The oldest leave together: to look for them at the end of every attempt would cost more than the attempt's own rows.
FORGOTTEN_AT_ONCE = 1_000
# What the files take from the disk ahead of need, so that an agent whose disk is full can still write down that a job
# has ended, and then remove what it left. The log of changes begins anew long before it is as long.
ROOM_BYTES = 2 << 20
CACHE_KIB = 256
LOG_PAGES = 256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (id INTEGER PRIMARY KEY CHECK (id = 1), session INTEGER NOT NULL,
    cluster TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS held (job TEXT, task INTEGER, epoch INTEGER, placement BLOB NOT NULL,
    attempt BLOB NOT NULL, fingerprint TEXT NOT NULL, boot_id TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, task, epoch));
CREATE TABLE IF NOT EXISTS epochs (job TEXT PRIMARY KEY, epoch INTEGER NOT NULL, taken INTEGER NOT NULL);
"""


class Journal:
    """A SQLite file, used by one thread at a time. Every `write` is on the disk when it returns.

    Refusal: NODE_DISK_FULL, from the constructor and from `write`, where the disk has no room; JOURNAL_UNREADABLE, from
    the constructor and from `recall`.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._folder.mkdir(parents=True, exist_ok=True)
        with _refused_when_unreadable(path), ExitStack() as opening:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            opening.callback(self._connection.close)
            with self._refused_when_full():
                self._open()
            opening.pop_all()
        self._forgotten = 0
        # What was written last of each attempt that is held: a placement stays as it is while its attempt changes.
        self._placements: dict[Ref, tuple[Placement, bytes]] = {}

    def _open(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        # What is set aside below would else stay in memory, all of it.
        execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._connection.executescript(_SCHEMA)
        # A journal of an older agent.
        if "boot_id" not in [column[1] for column in execute("PRAGMA table_info(held)")]:
            execute("ALTER TABLE held ADD COLUMN boot_id TEXT NOT NULL DEFAULT ''")
        if "generation" in [column[1] for column in execute("PRAGMA table_info(memory)")]:
            execute("ALTER TABLE memory DROP COLUMN generation")
        execute("CREATE TABLE IF NOT EXISTS room (filler BLOB)")
        execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM_BYTES,))
        execute("PRAGMA wal_checkpoint(FULL)")
        execute("DROP TABLE room")

    def close(self) -> None:
        """Nothing is written after this."""
        self._connection.close()

    def recall(self) -> Recollection:
        """All that was written."""
        with _refused_when_unreadable(self._folder):
            return self._recalled()

    def _recalled(self) -> Recollection:
        row = self._connection.execute("SELECT session, cluster FROM memory").fetchone()
        memory = Memory(*row) if row is not None else Memory(session=_first_session())
        held = tuple(
            Held(
                placement=wire.load(Placement, session_pb2.Placement.FromString(placement)),
                attempt=wire.load(Attempt, attempt_pb2.Attempt.FromString(attempt)),
                fingerprint=fingerprint,
                boot_id=boot_id,
            )
            for placement, attempt, fingerprint, boot_id in self._connection.execute(
                "SELECT placement, attempt, fingerprint, boot_id FROM held ORDER BY job, task, epoch"
            )
        )
        return Recollection(memory, held, dict(self._connection.execute("SELECT job, epoch FROM epochs")))

    def write(self, records: Sequence[Remember | Keep | Forget]) -> None:
        """Writes all of them, or none."""
        # The connection ends the transaction, by COMMIT or by ROLLBACK; by this one, too, where a COMMIT fails.
        with self._refused_when_full(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for record in records:
                self._write(record)
            reached("agent.journal.writing", *records)
        reached("agent.journal.written", *records)

    @contextmanager
    def _refused_when_full(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            message = f"there is no room left in {self._folder} for the agent's journal; free some"
            raise Refusal(Code.RESOURCE_EXHAUSTED, "NODE_DISK_FULL", message) from error

    def _write(self, record: Remember | Keep | Forget) -> None:
        execute = self._connection.execute
        match record:
            case Remember(memory):
                execute("INSERT OR REPLACE INTO memory VALUES (1, ?, ?)", (memory.session, memory.cluster))
            case Keep(held):
                ref = held.ref
                placement = self._dumped(ref, held.placement)
                attempt = wire.dump(held.attempt).SerializeToString()
                execute(
                    "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*ref, placement, attempt, held.fingerprint, held.boot_id),
                )
                self._take(ref)
            case Forget(ref):
                self._take(ref)
                execute("DELETE FROM held WHERE job = ? AND task = ? AND epoch = ?", ref)
                self._placements.pop(ref, None)
                self._forgotten += 1
                if self._forgotten % FORGOTTEN_AT_ONCE == 0:
                    execute(
                        "DELETE FROM epochs WHERE job IN "
                        "(SELECT job FROM epochs ORDER BY taken DESC LIMIT -1 OFFSET ?)",
                        (EPOCHS_KEPT,),
                    )

    def _take(self, ref: Ref) -> None:
        self._connection.execute(
            "INSERT INTO epochs VALUES (?, ?, ?) "
            "ON CONFLICT (job) DO UPDATE SET epoch = max(epoch, excluded.epoch), taken = excluded.taken",
            (ref.job, ref.epoch, time.time_ns()),
        )

    def _dumped(self, ref: Ref, placement: Placement) -> bytes:
        known = self._placements.get(ref)
        if known is None or known[0] is not placement:
            known = (placement, wire.dump(placement).SerializeToString())
            self._placements[ref] = known
        return known[1]


def _first_session() -> int:
    """The time since 1970 in units of 10 ns.

    A node that lost its journal must not go back to a session number that it has used: the time is later than any count
    of sessions can be. Nor must it pass for another agent of the same `node` that lost its own, or never had one, a
    moment before: within a millisecond they would be FAR_APART no more.
    """
    return time.time_ns() // 10


@contextmanager
def _refused_when_unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, DecodeError, ValueError) as error:
        message = (
            f"setting state: the agent's journal in {path} cannot be read: {error}; mend it, or move it away, "
            "and the node's jobs go on from their last checkpoints"
        )
        raise Refusal(Code.FAILED_PRECONDITION, "JOURNAL_UNREADABLE", message) from error
