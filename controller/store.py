"""The store: jobs, nodes and events on disk, by way of SQLAlchemy Core, on SQLite or PostgreSQL.

One controller writes; commits may come from any thread, one after the other, and reads go on beside them. A record
is kept whole as its protobuf message; only what is searched has columns.
"""

import base64
import json
import sys
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from google.protobuf.message import DecodeError
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Table,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    tuple_,
    union,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from controller import schema
from controller.core.absences import Presence
from controller.core.model import LeaseTold
from controller.database import Database, is_file, open_database
from controller.garbage import no_collections
from controller.troubles import CORRUPT
from headrace import chunks, many, stored
from headrace.changes import replace
from headrace.events import Event
from headrace.faultpoints import reached
from headrace.ids import ENDING
from headrace.jobs import Job
from headrace.nodes import Node
from headrace.projects import Use
from headrace.refusals import Code, Refusal

Record = TypeVar("Record", Job, Node, Use)

EVENTS_KEPT = 100_000
# Old events leave this many at a time, in a commit that has events anyway.
EVENTS_DROPPED_AT_ONCE = 1_000

_TABLES = (schema.jobs, schema.nodes, schema.uses, schema.events, schema.meta)
_JOB, _NODE, _USE, _EVENT, _META = (table.c for table in _TABLES)
_LEASE, _PRESENCE = "lease_ms", "presence"
_JOBS = select(_JOB.id, _JOB.body)
_NODES = select(_NODE.id, _NODE.body)
_AGE = (_JOB.create_time_ms, _JOB.id)
# One question for many new jobs. Each half goes by its own index.
_JOBS_OF = select(_JOB.id, _JOB.request_id, _JOB.body).where(
    or_(
        _JOB.request_id.in_(bindparam("requests", expanding=True)),
        _JOB.id.in_(bindparam("jobs", expanding=True)),
    )
)
# Some databases take no more values in one question.
ASKED_AT_ONCE = 400

# The others of a job's columns never change: their indices need not be touched again.
_CHANGING = ("state", "ended", "checkpoint_manifest", "outputs_manifest", "body")
_TOLD = ("create_time_ms", "subject", "reason", "message")


@dataclass(frozen=True, slots=True)
class JobCursor:
    """A place in the list of jobs, newest first: after the job that has these."""

    create_time_ms: int
    id: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """The place after `job`."""
        return cls(job.create_time_ms or 0, job.id)

    @classmethod
    def from_token(cls, token: str) -> Self:
        """The place that a page token names; refuses one that `token` did not make."""
        try:
            millis, job = base64.b64decode(token, altchars=b"-_", validate=True).decode().split(".")
            # The column has 64 bits; a longer number would fail further in.
            int(millis).to_bytes(8, signed=True)
            return cls(int(millis), job)
        except (ValueError, OverflowError) as error:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "PAGE_TOKEN_INVALID",
                "page_token: not one that a list answered with; leave it out to begin at the first page",
                field="page_token",
            ) from error

    def token(self) -> str:
        """The page token that names this place."""
        return base64.urlsafe_b64encode(f"{self.create_time_ms}.{self.id}".encode()).decode()


class Store:
    """What outlives the controller. Refuses (Refusal) what an operator must mend: a full disk, a corrupt file."""

    def __init__(self, database: Database, *, events_kept: int = EVENTS_KEPT) -> None:
        """Takes over an open database; `Store.open` is the usual way."""
        self._database = database
        # Whether another controller may come to have it while this one runs; to commit nothing at all finds that out.
        self.can_be_taken = database.sole is not None
        self._events_kept = events_kept
        self._events_dropped_to = 0
        self._writing = threading.Lock()
        self._save_jobs = _Saving(database, _upsert(database, schema.jobs, changing=_CHANGING))
        self._save_nodes = _Saving(database, _upsert(database, schema.nodes, changing=("body",)))
        self._save_uses = _Saving(database, _upsert(database, schema.uses, changing=("body",)))
        # As the others are saved: a batch whose answer was lost is saved again, with the numbers that it had.
        self._save_events = _Saving(database, _upsert(database, schema.events, changing=_TOLD))
        with database.writing() as connection:
            self.cluster = _cluster(connection)
            # The longest lease that nodes may have been told of; 0: none was.
            self.lease_ms = int(connection.scalar(select(_META.value).where(_META.key == _LEASE)) or 0)
            presence = connection.scalar(select(_META.value).where(_META.key == _PRESENCE))
            self.presence = _presence(presence) if presence else None
            self._sequence: int = connection.scalar(select(func.max(_EVENT.sequence))) or 0

    @classmethod
    def open(cls, url: str, *, events_kept: int = EVENTS_KEPT) -> Self:
        """Opens the database at `url`, makes it where there is none, brings its schema up to date."""
        database = open_database(url)
        try:
            return cls(database, events_kept=events_kept)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Lets go of the database once a commit that is under way is over; another controller may open it then."""
        with self._writing:
            self._database.close()

    def load(self) -> tuple[tuple[Job, ...], tuple[Node, ...]]:
        """What a controller starts from: the jobs that have not ended, oldest first, and all nodes."""
        live = _JOBS.where(_JOB.ended == false())
        with self._database.reading() as connection, no_collections():
            job_rows = connection.execute(live.order_by(*_AGE)).all()
            node_rows = connection.execute(_NODES.order_by(_NODE.id)).all()
            return self._many_records(Job, job_rows), self._many_records(Node, node_rows)

    def uses(self) -> tuple[Use, ...]:
        """What projects have used, by name, as it was saved last."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_USE.id, _USE.body).order_by(_USE.id)).all()
        return self._records(Use, rows)

    def commit(self, batch: Sequence[Job | Node | Use | LeaseTold | Presence | Event]) -> tuple[Event, ...]:
        """Saves all of the batch, or nothing; of two saves of one record the later counts.

        A node that is forgotten leaves nothing behind. Answers with the events of the batch and their numbers.
        """
        # Two saves of one row in one statement would be an error, and all but the last are of no use.
        latest_jobs = {record.id: record for record in batch if isinstance(record, Job)}
        latest_nodes = {record.id: record for record in batch if isinstance(record, Node)}
        job_rows = [_job_row(job) for job in latest_jobs.values()]
        node_rows = [_row(node) for node in latest_nodes.values() if not node.forgotten]
        forgotten = [node.id for node in latest_nodes.values() if node.forgotten]
        use_rows = [_row(use) for use in {record.id: record for record in batch if isinstance(record, Use)}.values()]
        with self._writing:
            first = self._sequence + 1
            happened = (record for record in batch if isinstance(record, Event))
            numbered = tuple(replace(event, sequence=number) for number, event in enumerate(happened, first))
            with self._database.writing() as connection:
                self._save_jobs.execute(connection, job_rows)
                self._save_nodes.execute(connection, node_rows)
                self._save_uses.execute(connection, use_rows)
                if forgotten:
                    connection.execute(delete(schema.nodes).where(_NODE.id.in_(forgotten)))
                for told in (record for record in batch if isinstance(record, LeaseTold)):
                    _save_meta(connection, _LEASE, str(told.agent_ms))
                for presence in (record for record in batch if isinstance(record, Presence)):
                    _save_meta(connection, _PRESENCE, json.dumps([presence.until_ms, presence.gaps]))
                if numbered:
                    self._save_events.execute(connection, [_event_row(event) for event in numbered])
                    self._drop_old_events(connection, newest=numbered[-1].sequence)
                reached("controller.store.writing", *batch)
            # Not before the commit: the numbers of a batch that failed are given again.
            self._sequence += len(numbered)
        reached("controller.store.written", *batch)
        return numbered

    def job(self, job: str) -> Job | None:
        """The job with this id."""
        return self._one_job(_JOB.id == job)

    def jobs_of(self, requests: Sequence[tuple[str, str]]) -> tuple[Job | None, ...]:
        """Of each request and id: the job that was created with that request, else the one with that id."""
        by_id: dict[str, Job] = {}
        by_request: dict[str, Job] = {}
        with self._database.reading() as connection:
            for first in range(0, len(requests), ASKED_AT_ONCE):
                asked, jobs = zip(*requests[first : first + ASKED_AT_ONCE], strict=True)
                found = connection.execute(_JOBS_OF, {"requests": asked, "jobs": jobs})
                for key, request_id, body in found:
                    by_id[key] = self._record(Job, key, body)
                    if request_id:
                        by_request[request_id] = by_id[key]
        return tuple(by_request.get(request_id) or by_id.get(job) for request_id, job in requests)

    def job_ids(self, *, after: str, limit: int) -> list[str]:
        """The ids of jobs that come after that one, in their order, `limit` of them at most."""
        return self._keys(_JOB.id, after, limit)

    def request_ids(self, *, after: str, limit: int) -> list[str]:
        """The request ids that come after that one, in their order, `limit` of them at most."""
        return self._keys(_JOB.request_id, after, limit)

    def find_jobs(self, prefix: str, limit: int = 3, *, called: bool = False) -> tuple[str, ...]:
        """Ids that start with `prefix`, in their order, `limit` of them at most; or of jobs `called` exactly so."""
        begins = f"{prefix}-" if called else prefix
        # A range, not LIKE: that would not use the index, and takes small letters and capitals for equal.
        # A gang's tasks and an array's elements begin like it; they are named in full.
        found = select(_JOB.id).where(_JOB.id >= begins, _JOB.id < begins + chr(sys.maxunicode), _JOB.gang.is_(None))
        if called:
            found = found.where(func.length(_JOB.id) == len(prefix) + ENDING)
        with self._database.reading() as connection:
            return tuple(connection.scalars(found.order_by(_JOB.id).limit(limit)))

    def jobs(self, *, limit: int, before: JobCursor | None = None, gang: str = "") -> tuple[Job, ...]:
        """A page of jobs, newest first, from `before` on; of those of a gang, or an array, where one is named."""
        page = _JOBS.where(_JOB.gang == gang if gang else _JOB.gang.is_(None))
        if before is not None:
            page = page.where(tuple_(*_AGE) < (before.create_time_ms, before.id))
        with self._database.reading() as connection:
            rows = connection.execute(page.order_by(*(column.desc() for column in _AGE)).limit(limit)).all()
        return self._records(Job, rows)

    def events(self, *, after: int, limit: int, subject: str = "") -> tuple[Event, ...]:
        """Events that came after the one numbered `after`, oldest first; of one subject, or of all."""
        page = select(schema.events).where(_EVENT.sequence > after)
        if subject:
            page = page.where(_EVENT.subject == subject)
        with self._database.reading() as connection:
            rows = connection.execute(page.order_by(_EVENT.sequence).limit(limit)).mappings().all()
        return tuple(Event(**row) for row in rows)

    def events_begin(self, *, since_ms: int = 0, newest: int = 0, subject: str = "") -> int:
        """Behind which event those are that happened then or later, and of these the newest so many; 0: no bound."""
        with self._database.reading() as connection:
            after = _last_before(connection, since_ms) if since_ms else 0
            if newest:
                of_subject = (_EVENT.subject == subject,) if subject else ()
                numbers = select(_EVENT.sequence).where(*of_subject).order_by(_EVENT.sequence.desc())
                after = max(after, connection.scalar(numbers.offset(newest).limit(1)) or 0)
        return after

    def live_manifests(self) -> tuple[str, ...]:
        """The manifests that some job needs: checkpoints of jobs that have not ended, outputs of all."""
        columns = (_JOB.checkpoint_manifest, _JOB.outputs_manifest)
        with self._database.reading() as connection:
            return tuple(connection.scalars(union(*(select(one).where(one.is_not(None)) for one in columns))))

    def _keys(self, column: ColumnElement[str], after: str, limit: int) -> list[str]:
        # The index alone is read.
        with self._database.reading() as connection:
            return list(connection.scalars(select(column).where(column > after).order_by(column).limit(limit)))

    def _one_job(self, condition: ColumnElement[bool]) -> Job | None:
        with self._database.reading() as connection:
            rows = connection.execute(_JOBS.where(condition)).all()
        return next(iter(self._records(Job, rows)), None)

    def _records(self, kind: type[Record], rows: Iterable[Sequence[Any]]) -> tuple[Record, ...]:
        return tuple(self._record(kind, *row) for row in rows)

    def _many_records(self, kind: type[Record], rows: Sequence[Sequence[Any]]) -> tuple[Record, ...]:
        found = many.load(kind, [body for _, body in rows])
        each = zip(found, rows, strict=True)
        return tuple([self._record(kind, *row) if record is None else record for record, row in each])

    def _record(self, kind: type[Record], key: str, body: bytes) -> Record:
        try:
            return stored.load(kind, body)
        except (DecodeError, LookupError, ValueError) as error:
            message = f"the record of {kind.__name__.lower()} {key} cannot be read: {error}"
            raise self._database.refusal(CORRUPT, message) from error

    def _drop_old_events(self, connection: Connection, *, newest: int) -> None:
        oldest_kept = newest - self._events_kept + 1
        if oldest_kept - self._events_dropped_to >= EVENTS_DROPPED_AT_ONCE:
            connection.execute(delete(schema.events).where(_EVENT.sequence < oldest_kept))
            self._events_dropped_to = oldest_kept


class _Saving:
    """A statement that every commit has, put into the driver's words once: that is most of what it would cost."""

    def __init__(self, database: Database, statement: Insert) -> None:
        compiled = statement.compile(dialect=database.writer.dialect)
        self._sql = compiled.string
        self._order = compiled.positiontup if isinstance(compiled, SQLCompiler) else None

    def execute(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Saves the rows, if there are any."""
        if rows:
            order = self._order
            connection.exec_driver_sql(self._sql, rows if order is None else [_in(order, row) for row in rows])


def _last_before(connection: Connection, wall_ms: int) -> int:
    """The number of the last event before that moment.

    Found by halving, in some 20 looks: times go up with the numbers (but where a machine's clock was set back before a
    controller started), and an index of them would be paid for with each event that is saved.
    """
    earlier, last = 0, connection.scalar(select(func.max(_EVENT.sequence))) or 0
    while earlier < last:
        middle = (earlier + last + 1) // 2
        times = select(_EVENT.create_time_ms).where(_EVENT.sequence <= middle).order_by(_EVENT.sequence.desc())
        if (connection.scalar(times.limit(1)) or 0) < wall_ms:
            earlier = middle
        else:
            last = middle - 1
    return earlier


def _in(order: Iterable[str], row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in order)


def _upsert(database: Database, table: Table, *, changing: tuple[str, ...]) -> Insert:
    # The two dialects spell it alike, but SQLAlchemy has no word for it that both share.
    statement: Any = (sqlite if is_file(database.url) else postgresql).insert(table)
    kept = {name: statement.excluded[name] for name in changing}
    upsert: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=kept)
    return upsert


def _cluster(connection: Connection) -> str:
    """The cluster's own name, by which agents tell it from every other; made when the store is."""
    known = connection.scalar(select(_META.value).where(_META.key == "cluster"))
    if known is not None:
        return str(known)
    made = str(uuid.uuid4())
    connection.execute(insert(schema.meta).values(key="cluster", value=made))
    return made


def _presence(text: str) -> Presence:
    until_ms, gaps = json.loads(text)
    return Presence(until_ms, tuple((begin_ms, end_ms) for begin_ms, end_ms in gaps))


def _save_meta(connection: Connection, key: str, value: str) -> None:
    connection.execute(delete(schema.meta).where(_META.key == key))
    connection.execute(insert(schema.meta).values(key=key, value=value))


def _job_row(job: Job) -> dict[str, Any]:
    checkpoint = None if job.ended else job.checkpoint
    return {
        "id": job.id,
        "display_name": job.spec.display_name,
        "project": job.spec.project,
        "request_id": job.request_id or None,
        "create_time_ms": job.create_time_ms or 0,
        "state": job.state.name,
        "ended": job.ended,
        "checkpoint_manifest": _key(checkpoint.digest) if checkpoint else None,
        "gang": job.gang or job.array or None,
        "outputs_manifest": _key(job.outputs.manifest) if job.outputs else None,
        "body": stored.dump(job),
    }


def _key(manifest: str) -> str | None:
    # An agent's word. Nothing is kept by another name, and no index of PostgreSQL's could hold some of them.
    return manifest if chunks.is_digest(manifest) else None


def _event_row(event: Event) -> dict[str, Any]:
    # What people and programs wrote may have a zero byte in it, which PostgreSQL's texts cannot.
    return {
        "sequence": event.sequence,
        "create_time_ms": event.create_time_ms,
        "subject": event.subject,
        "reason": event.reason,
        "message": event.message.replace("\0", "\N{REPLACEMENT CHARACTER}"),
    }


def _row(record: Node | Use) -> dict[str, Any]:
    return {"id": record.id, "body": stored.dump(record)}
