"""The first tables: jobs, nodes, events, meta.

Written out, not taken from `controller.schema`: what a migration does must not change when the schema does.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, unique=True),
        sa.Column("create_time_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("checkpoint_manifest", sa.Text),
        sa.Column("outputs_manifest", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("sequence", _ROW_NUMBER, primary_key=True, autoincrement=False),
        sa.Column("create_time_ms", sa.BigInteger),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("jobs_by_age", "jobs", ["create_time_ms", "id"])
    op.create_index("jobs_by_end_and_age", "jobs", ["ended", "create_time_ms", "id"])
    op.create_index("events_by_subject", "events", ["subject", "sequence"])
    for column in ("checkpoint_manifest", "outputs_manifest"):
        present = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"jobs_by_{column}", "jobs", [column], sqlite_where=present, postgresql_where=present)
