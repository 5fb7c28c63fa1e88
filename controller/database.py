"""Opens the database behind the store: its folder, its lock, its schema; and says in plain words what is wrong."""

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, Engine, String, column, create_engine, event, inspect, select, table
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError

from controller import schema
from controller.database_server import Sole, engines
from controller.troubles import IN_USE, NOT_WRITABLE, Trouble, refused, trouble
from headrace.refusals import Code, Refusal

BUSY_MILLIS = 10_000
# What a burst of commits made the write-ahead log grow to is given back down to this.
LOG_KEPT_BYTES = 64 << 20
# Threads that read at one time; more of them wait for each other.
READERS = 16

_REVISION = select(column("version_num", String)).select_from(table(schema.REVISIONS))


@dataclass(frozen=True)
class Database:
    """An open database with the present schema. Where it is a file, `reader` and `writer` share their connections.

    That no other controller has it is seen to by `lock` where it is a file, by `sole` where it is on a server.
    """

    url: URL
    reader: Engine
    writer: Engine
    lock: TextIO | None = None
    sole: Sole | None = None

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Turns the database's complaints into refusals, where an operator can do something about them."""
        try:
            yield
        except DBAPIError as error:
            known = trouble(error)
            if known is None:
                raise
            # A server's complaint has several lines; a refusal has one.
            raise self.refusal(known, " ".join(str(error.orig).split())) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: no other controller does meanwhile. Raises Refusal."""
        with self.refusing(), self.writer.begin() as connection:
            if self.sole is not None:
                self.sole.hold(connection)
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that reads. Raises Refusal; also where a text is asked for that the database cannot hold."""
        with self.refusing(), self.reader.connect() as connection:
            try:
                yield connection
            except DataError as error:
                message = "what is asked for has a character that no name here has, e.g. a zero byte; leave that out"
                raise Refusal(Code.INVALID_ARGUMENT, "TEXT_INVALID", message) from error

    def refusal(self, known: Trouble, message: str) -> Refusal:
        """The refusal that names this database, what it said and what to do."""
        return refused(self.url, known, message)

    def close(self) -> None:
        """Ends all connections and lets go of the lock."""
        self.reader.dispose()
        self.writer.dispose()
        if self.lock is not None:
            self.lock.close()


def open_database(url: str) -> Database:
    """Opens and locks the database, makes what is not there, and brings its schema up to date."""
    checked = _checked(url)
    database = _file(checked) if is_file(checked) else _on_server(checked)
    try:
        with database.writing() as connection:
            _migrate(connection, database)
            if database.sole is not None:
                database.sole.sign(connection)
    except BaseException:
        database.close()
        raise
    return database


def is_file(url: URL) -> bool:
    """Whether the database is a file of this machine; else it is on a server."""
    return url.get_backend_name() == "sqlite"


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


def _file(url: URL) -> Database:
    reader = create_engine(url, pool_size=READERS, max_overflow=0)
    event.listen(reader, "connect", _on_sqlite_connect)
    event.listen(reader, "begin", _on_sqlite_begin)
    # A transaction that begins as a reader's, and writes later, can be refused half-way.
    writer = reader.execution_options(headrace_begin="BEGIN IMMEDIATE")
    return Database(url, reader, writer, lock=_locked(url))


def _on_server(url: URL) -> Database:
    try:
        reader, writer = engines(url, READERS)
    except ModuleNotFoundError as error:
        missing = Trouble(Code.FAILED_PRECONDITION, "STORE_DRIVER_MISSING", "install it next to the controller")
        raise refused(url, missing, f"the Python package {error.name} is missing") from error
    return Database(url, reader, writer, sole=Sole(url))


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


def _locked(url: URL) -> TextIO:
    """Two controllers on one store would each start every job; the kernel frees the lock of one that died."""
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise refused(url, NOT_WRITABLE, str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise refused(url, IN_USE, "another controller has it open") from error
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
