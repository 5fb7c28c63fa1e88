"""The PostgreSQL server that tests have, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from deploy.local import packages, postgres, sharing, tests
from headrace.refusals import Code, Refusal
from tests.contract.postgres import on_postgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[postgres.OwnPostgres]:
    server = postgres.OwnPostgres(tmp_path / "closed" / "postgres")
    yield server
    sharing.end_if_unused(server)


def served(url: str) -> str:
    """Who serves there, by the folder that it says it has."""
    engine = create_engine(url)
    with engine.connect() as connection:
        folder = connection.scalar(text("SHOW data_directory"))
    engine.dispose()
    return str(folder)


@on_postgres
def test_it_serves_also_from_where_root_alone_may_go_and_leaves_nothing(server: postgres.OwnPostgres) -> None:
    server.folder.mkdir(parents=True)
    server.folder.parent.chmod(0o700)

    with sharing.used(server):
        process = server.process()
        assert process is not None
        assert psutil.Process(process.pid).uids().effective != 0
        assert served(server.create("some")) == f"{server.folder}/data"

    assert not process.alive()
    assert not server.is_left()
    assert {path.name for path in server.folder.iterdir()} == {"alone.lock", "users.lock", "postgres.log"}


@on_postgres
def test_nothing_of_one_that_was_held_still_outlives_it(server: postgres.OwnPostgres) -> None:
    with sharing.used(server):
        process = server.process()
        assert process is not None
        all_of_it = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        for one in all_of_it[:2]:
            one.suspend()

    gone, alive = psutil.wait_procs(all_of_it, timeout=5)

    assert (len(gone), alive) == (len(all_of_it), [])


@on_postgres
def test_the_next_one_begins_where_one_was_killed(server: postgres.OwnPostgres) -> None:
    held = sharing.use(server)
    process = server.process()
    assert process is not None
    process.kill()
    assert server.is_left()
    held.release()

    with sharing.used(server):
        assert server.answers()


def test_the_database_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tests.DATABASE, "postgresql+psycopg://me@db.example/tests")
    monkeypatch.setattr(postgres, "database", lambda: pytest.fail("another one was started"))

    with tests._database() as told:
        assert told == {}


def test_where_its_programs_cannot_be_had_tests_are_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_needs: object) -> None:
        raise Refusal(Code.FAILED_PRECONDITION, packages.MISSING, "not root: run `sudo apt-get install postgresql`")

    monkeypatch.delenv(tests.DATABASE, raising=False)
    monkeypatch.setattr(packages, "ensure", cannot)

    with tests._database() as told:
        assert told == {tests.NO_DATABASE: "not root: run `sudo apt-get install postgresql`"}


@pytest.mark.parametrize("versions", [["9.6", "15", "17"], ["17", "9.6"]])
def test_of_several_versions_the_newest_that_can_serve_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: list[str]
) -> None:
    monkeypatch.setattr(packages, "POSTGRES_VERSIONS", tmp_path)
    assert not packages.POSTGRES.met()
    for version in [*versions, "18"]:
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        # Of the newest there are the clients alone.
        (folder / ("postgres" if version != "18" else "psql")).touch()

    assert packages.POSTGRES.folder() == tmp_path / "17" / "bin"


def test_debians_installation_makes_no_cluster_and_later_ones_do_as_its_package_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "postgresql-common" / "createcluster.conf"
    monkeypatch.setattr(packages, "CLUSTERS", settings)

    with packages._no_cluster_of_its_own():
        assert settings.read_text() == "create_main_cluster = false\n"
        # As ucf does that is to keep what is there.
        settings.with_name("createcluster.conf.ucf-dist").write_text("#create_main_cluster = true\n")

    assert settings.read_text() == "#create_main_cluster = true\n"
    assert list(settings.parent.iterdir()) == [settings]


def test_an_operators_own_word_on_clusters_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "createcluster.conf"
    settings.write_text("start_conf = 'manual'\n")
    monkeypatch.setattr(packages, "CLUSTERS", settings)

    with packages._no_cluster_of_its_own():
        pass

    assert settings.read_text() == "start_conf = 'manual'\n"
