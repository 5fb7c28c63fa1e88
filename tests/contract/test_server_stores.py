"""A store on PostgreSQL whose server declines, locks, ends connections; and two controllers on one database."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Connection, text

from controller import database_server, reads, shell
from controller.store import Store
from headrace.refusals import Code, Refusal
from tests.cluster.relay import Relay
from tests.contract.postgres import database, emptied, on_postgres
from tests.contract.store_suite import happened, job
from tests.shell.running_controller import SPEC, controller
from tests.shell.test_reads import answered

pytestmark = on_postgres

SLOW = Refusal(
    Code.UNAVAILABLE,
    "STORE_SLOW",
    "the store has not answered for 0.2 s; look at it and its locks, then ask again",
)

END_OURS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name = 'headrace-controller'
"""


@pytest.fixture
def url() -> str:
    return emptied()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url)
    yield store
    store.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock for long."""
    monkeypatch.setattr(database_server, "LOCK_SECONDS", 1)
    monkeypatch.setattr(database_server, "_OPTIONS", "-c lock_timeout=200ms")


@contextmanager
def session() -> Iterator[Connection]:
    """Somebody else's transaction on the same server."""
    engine = sqlalchemy.create_engine(database())
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def end_sessions() -> int:
    """The server ends the controller's connections; answers how many it had."""
    with session() as connection:
        return len(connection.execute(text(END_OURS)).all())


@contextmanager
def relayed(url: str) -> Iterator[tuple[str, Callable[[Callable[[Relay], None]], object]]]:
    """The URL of a relay to the server; and what has the relay do something. It has a loop of its own."""
    there = sqlalchemy.make_url(url)
    relay, over = Relay(f"{there.host}:{there.port}"), asyncio.Event()
    opened: Future[asyncio.AbstractEventLoop] = Future()

    async def passes() -> None:
        await relay.open()
        opened.set_result(asyncio.get_running_loop())
        await over.wait()
        await relay.close()

    with ThreadPoolExecutor(1, "relay") as thread:
        passing = thread.submit(asyncio.run, passes())
        loop = opened.result(10)
        host, _, port = relay.address.rpartition(":")
        own = there.set(host=host, port=int(port), query={"connect_timeout": "2"}).render_as_string(hide_password=False)
        try:
            yield own, lambda act: loop.call_soon_threadsafe(act, relay)
        finally:
            loop.call_soon_threadsafe(over.set)
            passing.result(10)


def saved(store: Store) -> list[str]:
    return [each.id for each in store.load()[0]]


@pytest.mark.usefixtures("hasty")
def test_a_database_that_another_controller_has_is_refused(url: str, store: Store) -> None:
    with pytest.raises(Refusal, match="another controller has it open; end that one") as refused:
        Store.open(url)

    assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "STORE_IN_USE")
    store.commit([job("a")])
    assert saved(store) == ["a"]


def test_a_database_is_the_next_controllers_once_the_one_before_has_ended(url: str) -> None:
    Store.open(url).close()

    Store.open(url).close()


def test_a_store_whose_connections_the_server_has_ended_goes_on_with_others(store: Store) -> None:
    store.commit([job("a", created=1)])
    assert saved(store) == ["a"]
    assert end_sessions() == 2

    store.commit([job("b", created=2)])

    assert saved(store) == ["a", "b"]


@pytest.mark.usefixtures("hasty")
def test_a_store_that_another_controller_has_had_meanwhile_takes_nothing_of_the_first_any_more(
    url: str, store: Store
) -> None:
    end_sessions()
    second = Store.open(url)
    for is_open in (True, False):
        if not is_open:
            second.close()

        with pytest.raises(Refusal, match="another controller has had it since") as refused:
            store.commit([job("a")])

        assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "STORE_IN_USE")
    Store.open(url).close()


def test_a_server_that_takes_no_writes_is_named_and_the_store_goes_on_once_it_does(store: Store) -> None:
    name = sqlalchemy.make_url(database()).database
    with session() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    try:
        end_sessions()
        with pytest.raises(Refusal, match="have the server take writes again") as refused:
            store.commit([job("a"), happened("jobs/a")])
    finally:
        with session() as connection:
            connection.execute(text("SET TRANSACTION READ WRITE"))
            connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
    end_sessions()

    assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "STORE_NOT_WRITABLE")
    assert store.commit([job("a"), happened("jobs/a")])[0].sequence == 1


@pytest.mark.usefixtures("hasty")
def test_whoever_locks_our_tables_is_told_of_and_nothing_of_the_batch_is_saved(url: str) -> None:
    store = Store.open(url)
    with session() as other:
        other.execute(text("LOCK TABLE jobs"))
        for use in (lambda: store.commit([happened("jobs/a"), job("a")]), store.load):
            with pytest.raises(Refusal, match="pg_stat_activity and pg_locks tell which") as refused:
                use()

            assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "STORE_BUSY")

    assert store.commit([happened("jobs/a"), job("a")])[0].sequence == 1
    store.close()


def test_a_text_that_the_database_cannot_hold_is_no_name_of_anything(store: Store) -> None:
    for look in (lambda: store.job("a\0"), lambda: store.find_jobs("a\0"), lambda: store.jobs_of([("a\0", "b")])):
        with pytest.raises(Refusal, match="a zero byte; leave that out") as refused:
            look()

        assert refused.value.reason == "TEXT_INVALID"
    assert store.load() == ((), ())


def test_what_the_operator_has_written_in_the_url_counts(url: str) -> None:
    more = sqlalchemy.make_url(url).update_query_dict({"options": "-c lock_timeout=7s", "application_name": "mine"})
    store = Store.open(more.render_as_string(hide_password=False))

    with store._database.reader.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "7s"
        assert connection.scalar(text("SHOW application_name")) == "mine"
        assert connection.scalar(text("SHOW tcp_keepalives_idle")) == "10"
    store.close()


async def test_what_was_answered_is_there_once_however_often_the_server_ends_connections(
    url: str, tmp_path: Path
) -> None:
    answered: dict[str, str] = {}
    async with controller(tmp_path, store=url) as running:
        while len(answered) < 20:
            request_id = f"r{len(answered)}"
            ending = asyncio.create_task(asyncio.to_thread(end_sessions))
            with suppress(Refusal):
                answered[request_id] = (await running.client.create_job(SPEC, request_id=request_id)).name
            await ending
    async with controller(tmp_path, store=url) as again:
        found = {job.request_id: job.name async for job in again.client.jobs()}

    assert found == answered


async def test_while_the_server_is_held_still_who_asks_is_told_no_thread_is_lost_and_afterwards_it_answers(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relayed(url) as (relay, does):
        async with controller(tmp_path, store=relay) as running:
            made = await running.client.create_job(SPEC)
            await running.client.cancel(made.name)
            assert (await running.client.job(made.name)).ended
            does(Relay.hold)
            with monkeypatch.context() as hasty:
                hasty.setattr(reads, "READING_SECONDS", 0.2)
                asked = [running.client.job(made.name) for _ in range(2 * reads.THREADS)]
                answers = await asyncio.gather(*asked, anext(running.client.events()), return_exceptions=True)
                assert {repr(one) for one in answers} == {repr(SLOW)}
            looking, all_threads = running.parts.reads, threading.Barrier(reads.THREADS)
            await asyncio.gather(*[looking._answered(all_threads.wait) for _ in range(reads.THREADS)])

            does(Relay.go_on)
            await answered(looking)
            assert (await running.client.job(made.name)).ended


async def test_a_controller_ends_while_the_server_is_held_still(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "READING_SECONDS", 1000)
    monkeypatch.setattr(shell, "ENDING_SECONDS", 0.1)
    with relayed(url) as (relay, does):
        async with controller(tmp_path, store=relay) as running:
            made = await running.client.create_job(SPEC)
            does(Relay.hold)
            asks = (running.client.cancel(made.name), running.client.job("gone"))
            asked = [asyncio.create_task(one) for one in asks]
            assert await asyncio.wait(asked, timeout=0.5) == (set(), set(asked))
        running.parts.reads._threads.shutdown()

    assert all(one.cancelled() for one in asked)
