"""A database on a server (PostgreSQL): how it is spoken to, and that one controller alone has it."""

import uuid
from functools import partial

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, func, insert, select, update
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from controller import schema
from controller.reads import deadline
from controller.troubles import IN_USE, LOCK_NOT_AVAILABLE, LOCKED, refused, state_of
from headrace.refusals import Refusal

# Whoever holds a lock for longer is told of.
LOCK_SECONDS = 5
# PostgreSQL's own client library, which both of these are made on, takes these words.
_DRIVERS = ("psycopg", "psycopg2")
# A server that is gone without a word is found out, by us, and we by it: it would keep our lock for two hours.
_CONNECT = {
    "application_name": "headrace-controller",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
_OPTIONS = (
    f"-c lock_timeout={LOCK_SECONDS}s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
# Ours among all that lock in this database.
_LOCK = int.from_bytes(b"head")
_HOLDER = "controller"
_USED = "used"


def engines(url: URL, readers: int) -> tuple[Engine, Engine]:
    """What reads, `readers` at one time, and what writes: that is one connection, which has the lock.

    A connection that the server has ended meanwhile is made anew before it is used. None is waited for longer than
    the deadline of its use says (`controller/reads.py`).
    """
    ours = {}
    if url.get_driver_name() in _DRIVERS:
        # What the operator has written in the URL counts.
        ours = {key: value for key, value in _CONNECT.items() if key not in url.query}
        ours["options"] = " ".join((_OPTIONS, *_written(url, "options")))
    reader, writer = (create_engine(url, pool_size=size, max_overflow=0, connect_args=ours) for size in (readers, 1))
    for engine in (reader, writer):
        event.listen(engine, "checkout", partial(_answers, engine.dialect))
    return reader, writer


def _answers(dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Sees to it that the server is there, as SQLAlchemy's own `pool_pre_ping`, which knows of no deadline, would."""
    limit = deadline()
    if limit is not None and dialect.driver in _DRIVERS:
        limit.watch(connection.fileno())
    if _USED not in record.info:
        # It has just been made.
        record.info[_USED] = True
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        if dialect.is_disconnect(error, connection, None):
            raise InvalidatePoolError from error
        raise


def _written(url: URL, key: str) -> tuple[str, ...]:
    written = url.query.get(key, ())
    return (written,) if isinstance(written, str) else written


class Sole:
    """That this controller alone has the database: by a lock of the connection that writes, and a name in the store.

    The server gives the lock to the next one when the connection is over, which a server that is started anew brings
    about as well. Who then finds another's name there must not go on from what it remembers.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._name = str(uuid.uuid4())
        self._has_signed = False

    def hold(self, connection: Connection) -> None:
        """Sees to it that the lock is this connection's. Refuses (Refusal) where another controller has the database.

        Raises DBAPIError.
        """
        if _HOLDER in connection.info:
            return
        self._must_be_ours(connection)
        # Of several schemas in one database each may have a controller.
        schema_of = func.hashtext(func.coalesce(func.current_schema(), ""))
        connection.execute(select(func.set_config("lock_timeout", f"{LOCK_SECONDS}s", True)))
        try:
            connection.execute(select(func.pg_advisory_lock(_LOCK, schema_of)))
        except DBAPIError as error:
            if state_of(error) != LOCK_NOT_AVAILABLE:
                raise
            raise self._held_elsewhere() from error
        try:
            self._must_be_ours(connection)
        except Refusal:
            # With it goes the lock.
            connection.invalidate()
            raise
        connection.info[_HOLDER] = True

    def sign(self, connection: Connection) -> None:
        """Leaves this controller's name: whoever had the database before must not come back to it."""
        holder = schema.meta.c.key == _HOLDER
        signed = connection.execute(update(schema.meta).where(holder).values(value=self._name))
        if not signed.rowcount:
            connection.execute(insert(schema.meta).values(key=_HOLDER, value=self._name))
        self._has_signed = True

    def _must_be_ours(self, connection: Connection) -> None:
        if not self._has_signed:
            return
        name = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == _HOLDER))
        if name != self._name:
            raise refused(
                self._url, IN_USE, "another controller has had it since, so that what this one remembers counts no more"
            )

    def _held_elsewhere(self) -> Refusal:
        if self._has_signed:
            message = "the server still keeps its lock for a session that is over, or for another controller"
            return refused(self._url, LOCKED, message)
        return refused(self._url, IN_USE, "another controller has it open")
