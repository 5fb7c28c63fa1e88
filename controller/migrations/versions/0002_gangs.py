"""Jobs may be tasks of a gang."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("gang", sa.Text))
    present = sa.text("gang IS NOT NULL")
    op.create_index("jobs_by_gang", "jobs", ["gang"], sqlite_where=present, postgresql_where=present)
