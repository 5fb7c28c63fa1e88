"""What a database's complaints mean to an operator: by SQLite's codes, and by PostgreSQL's."""

import sqlite3
from typing import Any, NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from headrace.refusals import Code, Refusal


class Trouble(NamedTuple):
    """What a database's complaint means to an operator.

    With FAILED_PRECONDITION a controller ends; the others pass, or are mended beside it, and it waits for that.
    """

    code: Code
    reason: str
    remedy: str


NOT_WRITABLE = Trouble(
    Code.UNAVAILABLE,
    "STORE_NOT_WRITABLE",
    "let this user write the file and its folder, or name another in the setting `store`",
)
CORRUPT = Trouble(
    Code.FAILED_PRECONDITION,
    "STORE_CORRUPT",
    "put back a copy, or move it away to begin with an empty store",
)
IN_USE = Trouble(
    Code.FAILED_PRECONDITION,
    "STORE_IN_USE",
    "end that one, or give this one a folder of its own in the setting `state` (or a database of its own in `store`,"
    " where that is set)",
)
UNAVAILABLE = Trouble(
    Code.UNAVAILABLE,
    "STORE_UNAVAILABLE",
    "see whether the database server runs and lets us in, as the setting `store` has it",
)
# Another session of the same server has what is needed, and gives it back in time.
LOCKED = Trouble(
    Code.UNAVAILABLE,
    "STORE_BUSY",
    "another session holds a lock on what is ours; end it: pg_stat_activity and pg_locks tell which",
)

_BUSY = Trouble(Code.UNAVAILABLE, "STORE_BUSY", "end the other program that writes to it")
_SERVER_FULL = Trouble(
    Code.RESOURCE_EXHAUSTED, "STORE_FULL", "free space on the database server's disk; what it has is whole"
)
_SERVER_IO = Trouble(Code.UNAVAILABLE, "STORE_IO_ERROR", "look at the database server's disk and its log")
_READ_ONLY = Trouble(
    Code.UNAVAILABLE,
    "STORE_NOT_WRITABLE",
    "have the server take writes again: it may be a standby, or have default_transaction_read_only set",
)
_NOT_GRANTED = Trouble(
    Code.UNAVAILABLE, "STORE_NOT_WRITABLE", "make the user in the setting `store` the owner of our tables again"
)

_SQLITE = {
    sqlite3.SQLITE_FULL: Trouble(Code.RESOURCE_EXHAUSTED, "STORE_FULL", "free space on its disk; what it has is whole"),
    sqlite3.SQLITE_IOERR: Trouble(Code.UNAVAILABLE, "STORE_IO_ERROR", "look at its disk and at the kernel's log"),
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
    sqlite3.SQLITE_READONLY: NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: NOT_WRITABLE,
    sqlite3.SQLITE_PERM: NOT_WRITABLE,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
}

# PostgreSQL's own codes: its manual's appendix A.
LOCK_NOT_AVAILABLE = "55P03"
_SERVER = {
    "25006": _READ_ONLY,
    "42501": _NOT_GRANTED,
    "42703": CORRUPT,
    "42P01": CORRUPT,
    "53100": _SERVER_FULL,
    LOCK_NOT_AVAILABLE: LOCKED,
    "40P01": LOCKED,
    "58030": _SERVER_IO,
    "XX001": CORRUPT,
    "XX002": CORRUPT,
}
# A row or an index is larger than PostgreSQL can have one.
_LIMIT = "54"
# What the schema says is there, and is not, as SQLite words it.
_LACKS = ("no such table: ", "no such column: ")


def trouble(error: DBAPIError) -> Trouble | None:
    """What an operator can do about it; None where that is nothing, since it is a bug of ours."""
    code: Any = getattr(error.orig, "sqlite_errorcode", None)
    if str(error.orig).startswith(_LACKS):
        return CORRUPT
    if code is not None:
        # The lowest byte is the primary code; the others say more than an operator can use.
        return _SQLITE.get(code & 0xFF)
    state = state_of(error)
    if state.startswith(_LIMIT):
        # It would be one however often it is tried.
        return None
    known = _SERVER.get(state)
    if known is None and (error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)):
        return UNAVAILABLE
    return known


def state_of(error: DBAPIError) -> str:
    """PostgreSQL's code of an error; empty where it has none, as where nobody answers."""
    return getattr(error.orig, "sqlstate", None) or ""


def refused(url: URL, known: Trouble, message: str) -> Refusal:
    """The refusal that names the store, what is the matter and what to do."""
    shown = url.render_as_string(hide_password=True)
    return Refusal(known.code, known.reason, f"store {shown}: {message}; {known.remedy}")
