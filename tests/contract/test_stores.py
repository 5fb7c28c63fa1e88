"""The store on each database: SQLite always, PostgreSQL where there is one."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import text

from controller.store import JobCursor, Store
from headrace.refusals import Code, Refusal
from tests.contract.postgres import emptied, on_postgres
from tests.contract.store_batch_suite import StoreBatchSuite
from tests.contract.store_suite import StoreSuite, happened, job

ROOT = Path(__file__).parents[2]

# Each commit moves a job's epoch and says so in an event.
COMMITS_UNTIL_KILLED = """
import sys
from dataclasses import replace
from controller.store import Store
from headrace.events import Event
from headrace.jobs import Job, JobSpec
store = Store.open(sys.argv[1])
job = store.job("train") or Job("jobs/train", JobSpec("train", "registry.example/train:1"))
while True:
    job = replace(job, epoch=job.epoch + 1)
    store.commit([job, Event("jobs/train", "MOVED", str(job.epoch))])
    print(job.epoch, flush=True)
"""


@on_postgres
class TestPostgres(StoreSuite, StoreBatchSuite):
    @pytest.fixture
    def url(self) -> str:
        return emptied()


class TestSqlite(StoreSuite, StoreBatchSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/state/100%/headrace.db"

    def test_every_store_is_a_cluster_of_its_own(self, url: str, store: Store) -> None:
        other = Store.open(url + "2")

        assert store.cluster != other.cluster
        other.close()

    def test_a_store_that_another_controller_has_is_refused(self, url: str, store: Store) -> None:
        with pytest.raises(Refusal, match="folder of its own in the setting `state`") as refused:
            Store.open(url)

        assert refused.value.reason == "STORE_IN_USE"
        assert store.commit([job("a")]) == ()

    def test_commits_outlast_a_power_cut(self, store: Store) -> None:
        with store._database.writer.connect() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2

    def test_a_kill_leaves_whole_commits_only(self, url: str) -> None:
        committed = 0
        for commits in (30, 45, 60):
            with subprocess.Popen(
                [sys.executable, "-c", COMMITS_UNTIL_KILLED, url], stdout=subprocess.PIPE, text=True, cwd=ROOT
            ) as writer:
                assert writer.stdout is not None
                for _ in range(commits):
                    committed = int(writer.stdout.readline())
                writer.kill()

        store = Store.open(url)
        ((train,), _) = store.load()
        events = store.events(after=0, limit=10_000)
        store.close()

        assert train.epoch >= committed
        assert [each.message for each in events] == [str(number) for number in range(1, train.epoch + 1)]

    def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(self, url: str) -> None:
        Store.open(url).close()
        run_sql(url, "UPDATE alembic_version SET version_num = '9999'")

        with pytest.raises(Refusal, match=r"wrote it \(schema 9999\); start that version") as refused:
            Store.open(url)

        assert refused.value.reason == "STORE_NEWER"

    def test_another_program_s_database_is_refused(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/other.db"
        run_sql(url, "CREATE TABLE songs (name)")

        with pytest.raises(Refusal, match="it has the table songs") as refused:
            Store.open(url)

        assert refused.value.reason == "STORE_FOREIGN"

    def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "h.db").write_text("A letter, and a long one. " * 100)

        with pytest.raises(Refusal, match="not a database; put back a copy") as refused:
            Store.open(f"sqlite:///{tmp_path}/h.db")

        assert refused.value.reason == "STORE_CORRUPT"

    def test_a_damaged_page_is_refused(self, url: str) -> None:
        store = Store.open(url)
        store.commit([job(f"job-{number}") for number in range(200)])
        store.close()
        path = Path(url.removeprefix("sqlite:///"))
        sound = path.read_bytes()
        path.write_bytes(sound[:4096] + os.urandom(len(sound) - 4096))

        with pytest.raises(Refusal) as refused:
            Store.open(url)

        assert refused.value.reason == "STORE_CORRUPT"

    @pytest.mark.parametrize("path", ["folder", "file/h.db"])
    def test_a_place_that_cannot_be_written_is_refused(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()

        with pytest.raises(Refusal, match="let this user write") as refused:
            Store.open(f"sqlite:///{tmp_path}/{path}")

        assert refused.value.reason == "STORE_NOT_WRITABLE"

    def test_a_full_disk_refuses_the_batch_and_keeps_the_rest(self, store: Store) -> None:
        store.commit([job("a")])
        limit_pages(store, 40)

        with pytest.raises(Refusal) as refused:
            store.commit([happened("jobs/a"), *(job(f"more-{number}") for number in range(2_000))])

        assert (refused.value.code, refused.value.reason) == (Code.RESOURCE_EXHAUSTED, "STORE_FULL")
        limit_pages(store, 100_000)
        assert store.load() == ((job("a"),), ())
        assert store.commit([happened("jobs/a")])[0].sequence == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not the URL of a store"),
        ("state.db", "not the URL of a store"),
        ("mysql://root:secret@host/x", "not the URL of a store"),
        ("sqlite://", "a database in memory forgets"),
        ("sqlite:///:memory:", "a database in memory forgets"),
        ("postgresql+pg8000://user:secret@host/x", "the Python package pg8000 is missing"),
    ],
)
def test_a_url_of_no_store_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        Store.open(url)

    assert "secret" not in refused.value.message


def test_a_page_token_leads_back_to_its_place() -> None:
    cursor = JobCursor(1_700_000_000_000, "train-a1")

    assert JobCursor.from_token(cursor.token()) == cursor


@pytest.mark.parametrize("token", ["", "x", "!!!!", "YWJj", "MS4yLjM=", "eC5h", "ü", JobCursor(1 << 63, "a").token()])
def test_a_broken_page_token_is_refused(token: str) -> None:
    with pytest.raises(Refusal, match=r"^page_token: ") as refused:
        JobCursor.from_token(token)

    assert refused.value.reason == "PAGE_TOKEN_INVALID"


def run_sql(url: str, statement: str) -> None:
    """Does this to the database behind the store's back."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def limit_pages(store: Store, pages: int) -> None:
    """Sets how large the database may grow. Each connection has this limit for itself, so they begin anew."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    sqlalchemy.event.listen(store._database.reader, "connect", limit)
    store._database.reader.dispose()
