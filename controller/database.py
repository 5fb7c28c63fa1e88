"""Opens the database behind the store: its folder, its lock, its schema; and says in plain words what is wrong."""

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from sqlalchemy import Connection, Engine, String, column, create_engine, event, inspect, select, table
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from controller import schema
from headrace.refusals import Code, Refusal

BUSY_MILLIS = 10_000
# What a burst of commits made the write-ahead log grow to is given back down to this.
LOG_KEPT_BYTES = 64 << 20
# Threads that read at one time; more of them wait for each other.
READERS = 16

_REVISION = select(column("version_num", String)).select_from(table(schema.REVISIONS))


class Trouble(NamedTuple):
    """What a database's complaint means to an operator."""

    code: Code
    reason: str
    remedy: str


_NOT_WRITABLE = Trouble(
    Code.FAILED_PRECONDITION,
    "STORE_NOT_WRITABLE",
    "let this user write the file and its folder, or name another in the setting `store`",
)
CORRUPT = Trouble(
    Code.FAILED_PRECONDITION,
    "STORE_CORRUPT",
    "put back a copy, or move it away to begin with an empty store",
)
_BUSY = Trouble(Code.UNAVAILABLE, "STORE_BUSY", "end the other program that writes to it")
_UNAVAILABLE = Trouble(Code.UNAVAILABLE, "STORE_UNAVAILABLE", "see whether the database server runs and lets us in")

_SQLITE_TROUBLES = {
    sqlite3.SQLITE_FULL: Trouble(Code.RESOURCE_EXHAUSTED, "STORE_FULL", "free space on its disk; what it has is whole"),
    sqlite3.SQLITE_IOERR: Trouble(Code.UNAVAILABLE, "STORE_IO_ERROR", "look at its disk and at the kernel's log"),
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_PERM: _NOT_WRITABLE,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
}

# What the schema says is there, and is not: as SQLite words it, and by PostgreSQL's codes for tables and columns.
_LACKS = ("no such table: ", "no such column: ")
_LACKING_STATES = ("42P01", "42703")


@dataclass(frozen=True)
class Database:
    """An open database with the present schema. `reader` and `writer` share their connections."""

    url: URL
    reader: Engine
    writer: Engine
    lock: TextIO | None

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Turns the database's complaints into refusals, where an operator can do something about them."""
        try:
            yield
        except DatabaseError as error:
            trouble = _trouble(error)
            if trouble is None:
                raise
            # A server's complaint has several lines; a refusal has one.
            raise self.refusal(trouble, " ".join(str(error.orig).split())) from error

    def refusal(self, trouble: Trouble, message: str) -> Refusal:
        """The refusal that names this database, what it said and what to do."""
        return Refusal(trouble.code, trouble.reason, f"{_shown(self.url)}: {message}; {trouble.remedy}")

    def close(self) -> None:
        """Ends all connections and lets go of the lock."""
        self.reader.dispose()
        if self.lock is not None:
            self.lock.close()


def open_database(url: str) -> Database:
    """Opens and locks the database, makes what is not there, and brings its schema up to date."""
    checked = _checked(url)
    reader = _engine(checked)
    # A transaction that begins as a reader's, and writes later, can be refused half-way.
    writer = reader.execution_options(headrace_begin="BEGIN IMMEDIATE")
    database = Database(checked, reader, writer, _locked(checked))
    try:
        with database.refusing(), writer.begin() as connection:
            _migrate(connection, database)
    except BaseException:
        database.close()
        raise
    return database


def _checked(url: str) -> URL:
    try:
        checked = make_url(url)
        backend = checked.get_backend_name()
    except ArgumentError:
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        raise Refusal(
            Code.INVALID_ARGUMENT,
            "STORE_URL_INVALID",
            "store: this is not the URL of a store; write sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME",
        )
    if backend == "sqlite" and checked.database in (None, "", ":memory:"):
        raise Refusal(
            Code.INVALID_ARGUMENT,
            "STORE_URL_INVALID",
            "store: a database in memory forgets all jobs; name a file: sqlite:///PATH",
        )
    return checked


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return _server_engine(url)
    engine = create_engine(url, pool_size=READERS, max_overflow=0)
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _server_engine(url: URL) -> Engine:
    try:
        return create_engine(url, pool_size=READERS, max_overflow=0)
    except ModuleNotFoundError as error:
        raise Refusal(
            Code.FAILED_PRECONDITION,
            "STORE_DRIVER_MISSING",
            f"{_shown(url)}: the Python package {error.name} is missing; install it next to the controller",
        ) from error


def _on_sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own idea of when a transaction begins leaves out changes of tables.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLIS}")
    connection.execute("PRAGMA journal_mode = WAL")
    # What a commit answers to must outlast a power cut: assignments are sent right after it.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT_BYTES}")


def _on_sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("headrace_begin", "BEGIN"))


def _locked(url: URL) -> TextIO | None:
    """Two controllers on one store would each start every job; the kernel frees the lock of one that died."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        message = f"{_shown(url)}: {error}; {_NOT_WRITABLE.remedy}"
        raise Refusal(_NOT_WRITABLE.code, _NOT_WRITABLE.reason, message) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Refusal(
            Code.FAILED_PRECONDITION,
            "STORE_IN_USE",
            f"{_shown(url)}: another controller has it open; end that one, or give this one a folder of its own in the"
            " setting `state` (or a database of its own in `store`, where that is set)",
        ) from error
    return lock


def _migrate(connection: Connection, database: Database) -> None:
    found = inspect(connection)
    revision = connection.scalar(_REVISION) if found.has_table(schema.REVISIONS) else None
    if revision == schema.REVISION:
        return
    from controller import upgrading  # noqa: PLC0415 - seldom needed, and it costs start-up time.

    if revision is None and (tables := found.get_table_names()):
        foreign = Trouble(
            Code.FAILED_PRECONDITION, "STORE_FOREIGN", "name an empty or a new one in the setting `store`"
        )
        raise database.refusal(foreign, f"this database is another program's: it has the table {tables[0]}")
    if revision is not None and revision not in upgrading.revisions():
        newer = Trouble(Code.FAILED_PRECONDITION, "STORE_NEWER", "start that version again, or put back an older copy")
        raise database.refusal(newer, f"a newer version of Headrace wrote it (schema {revision})")
    upgrading.upgrade(connection)


def _trouble(error: DatabaseError) -> Trouble | None:
    code: Any = getattr(error.orig, "sqlite_errorcode", None)
    if getattr(error.orig, "sqlstate", None) in _LACKING_STATES or str(error.orig).startswith(_LACKS):
        return CORRUPT
    if code is not None:
        # The lowest byte is the primary code; the others say more than an operator can use.
        return _SQLITE_TROUBLES.get(code & 0xFF)
    return _UNAVAILABLE if isinstance(error, OperationalError) else None


def _shown(url: URL) -> str:
    return f"store {url.render_as_string(hide_password=True)}"
