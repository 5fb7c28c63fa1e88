"""What projects have used is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "uses",
        sa.Column("id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
