"""The database on PostgreSQL that tests may empty: `make test` starts a server, or HEADRACE_TEST_POSTGRES has a URL."""

import functools
import os

import pytest
from sqlalchemy import create_engine, make_url, text

from controller import schema

NAMED = os.environ.get("HEADRACE_TEST_POSTGRES", "")
WHY_NOT = os.environ.get("HEADRACE_TEST_NO_POSTGRES", "no PostgreSQL: `make test` starts one")

on_postgres = pytest.mark.skipif(not NAMED, reason=WHY_NOT)


@functools.cache
def database() -> str:
    """The URL of the one that this process has: of several workers each has its own, beside the one that is named."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return NAMED
    named = make_url(NAMED)
    own = named.set(database=f"{named.database}_{worker}")
    engine = create_engine(named, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        known = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": own.database})
        if known is None:
            connection.execute(text(f'CREATE DATABASE "{own.database}"'))
    engine.dispose()
    return own.render_as_string(hide_password=False)


def emptied() -> str:
    """Its URL, once nothing of ours is in it."""
    engine = create_engine(database())
    with engine.begin() as connection:
        schema.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    return database()
