"""The agent's journal: what must be known after a crash is written here before it is acted on."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from agent.core.model import Forget, Held, Keep, Memory, Recollection, Remember
from headrace import wire
from headrace.attempts import Attempt
from headrace.sessions import Placement
from headrace.v1 import attempt_pb2, session_pb2

# Epochs of jobs that are long gone need no defence: their assignments are of sessions that ended long ago.
EPOCHS_KEPT = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (id INTEGER PRIMARY KEY CHECK (id = 1), session INTEGER NOT NULL,
    cluster TEXT NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS held (job TEXT, task INTEGER, epoch INTEGER, placement BLOB NOT NULL,
    attempt BLOB NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (job, task, epoch));
CREATE TABLE IF NOT EXISTS epochs (job TEXT PRIMARY KEY, epoch INTEGER NOT NULL, taken INTEGER NOT NULL);
"""


class Journal:
    """A SQLite file, used by one thread at a time. Every `write` is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Nothing is written after this."""
        self._connection.close()

    def recall(self) -> Recollection:
        """All that was written."""
        row = self._connection.execute("SELECT session, cluster, generation FROM memory").fetchone()
        # A node that lost its journal must not go back to a session number that it has used: the time is later
        # than any count of sessions can be.
        memory = Memory(*row) if row is not None else Memory(session=int(time.time()))
        held = tuple(
            Held(
                placement=wire.load(Placement, session_pb2.Placement.FromString(placement)),
                attempt=wire.load(Attempt, attempt_pb2.Attempt.FromString(attempt)),
                fingerprint=fingerprint,
            )
            for placement, attempt, fingerprint in self._connection.execute(
                "SELECT placement, attempt, fingerprint FROM held ORDER BY job, task, epoch"
            )
        )
        return Recollection(memory, held, dict(self._connection.execute("SELECT job, epoch FROM epochs")))

    def write(self, records: Sequence[Remember | Keep | Forget]) -> None:
        """Writes all of them, or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for record in records:
                self._write(record)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _write(self, record: Remember | Keep | Forget) -> None:
        execute = self._connection.execute
        match record:
            case Remember(memory):
                row = (memory.session, memory.cluster, memory.generation)
                execute("INSERT OR REPLACE INTO memory VALUES (1, ?, ?, ?)", row)
            case Keep(held):
                ref = held.ref
                placement = wire.dump(held.placement).SerializeToString()
                attempt = wire.dump(held.attempt).SerializeToString()
                execute(
                    "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?)",
                    (*ref, placement, attempt, held.fingerprint),
                )
                execute(
                    "INSERT INTO epochs VALUES (?, ?, ?) "
                    "ON CONFLICT (job) DO UPDATE SET epoch = max(epoch, excluded.epoch)",
                    (ref.job, ref.epoch, time.time_ns()),
                )
            case Forget(ref):
                execute("DELETE FROM held WHERE job = ? AND task = ? AND epoch = ?", ref)
                execute(
                    "DELETE FROM epochs WHERE job IN (SELECT job FROM epochs ORDER BY taken DESC LIMIT -1 OFFSET ?)",
                    (EPOCHS_KEPT,),
                )
