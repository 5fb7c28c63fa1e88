"""The tables of the store: whole records as protobuf, beside them the columns that are searched.

A change here comes with a migration in `controller/migrations/versions`, and its number; a test compares them.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

# Byte by byte, as Python compares: another collation would order and shorten ids differently.
_ID = String().with_variant(String(collation="C"), "postgresql")
# SQLite keeps rows by this key, without an index of its own, only where the type is spelled INTEGER.
_ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

# The migration that made them last, and where Alembic keeps which that is.
REVISION, REVISIONS = "0003", "alembic_version"

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("request_id", Text, unique=True),
    # A key to sort by; 0 where the record has no time, which makes it the oldest.
    Column("create_time_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended", Boolean, nullable=False),
    # What the sweep of the checkpoint store must leave: absent once nothing of this job needs it.
    Column("checkpoint_manifest", Text),
    Column("outputs_manifest", Text),
    # Whose task, or whose element, it is: lists of jobs leave it out.
    Column("gang", Text),
    Column("body", LargeBinary, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# What projects have used.
uses = Table(
    "uses",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("sequence", _ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("create_time_ms", BigInteger),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

Index("jobs_by_age", jobs.c.create_time_ms, jobs.c.id)
Index("jobs_by_end_and_age", jobs.c.ended, jobs.c.create_time_ms, jobs.c.id)
Index("events_by_subject", events.c.subject, events.c.sequence)

# Most jobs have none of these, and then cost nothing here.
for _column in (jobs.c.checkpoint_manifest, jobs.c.outputs_manifest, jobs.c.gang):
    Index(
        f"jobs_by_{_column.name}",
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )
