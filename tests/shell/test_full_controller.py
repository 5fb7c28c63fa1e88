"""A controller that can save nothing: what was asked before goes on once it can, what is asked meanwhile is refused."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller import daemon, shell
from controller.store import Store
from headrace.jobs import Job
from headrace.refusals import Code, Refusal
from headrace.settings import ControllerSettings
from tests.shell.running_controller import SPEC, Running, controller
from tests.shell.test_controller import refused

FULL = Refusal(Code.RESOURCE_EXHAUSTED, "STORE_FULL", "the database is full; free space on its disk")
AWAY = Refusal(Code.UNAVAILABLE, "STORE_UNAVAILABLE", "connection refused; see whether the database server runs")
BROKEN = Refusal(Code.FAILED_PRECONDITION, "STORE_CORRUPT", "a page is not what it was; put back a copy")


class Declines:
    """A store that saves nothing, however often it is tried."""

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._times = 0
        self.tried_twice = threading.Event()

    def commit(self, _: Sequence[object]) -> None:
        self._times += 1
        if self._times == 2:
            self.tried_twice.set()
        raise self._refusal


class Taken:
    """A store that is another controller's once it has been written to; nothing but a commit tells so."""

    can_be_taken = True

    def __init__(self) -> None:
        self.commits: list[int] = []

    def commit(self, batch: Sequence[object]) -> tuple[()]:
        self.commits.append(len(batch))
        if not batch:
            raise BROKEN
        return ()


class Hangs:
    """A store that saves what it is given once it may."""

    def __init__(self, store: Store) -> None:
        self._commit = store.commit
        self.may = threading.Event()

    def commit(self, batch: Sequence[Job]) -> object:
        assert self.may.wait(10)
        return self._commit(batch)


class Told(logging.Handler):
    """What the controller's log says; sets an event with the first of it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self.first = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.first.set()


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    handler = Told()
    loggers = [logging.getLogger(one) for one in (shell.__name__, daemon.__name__)]
    for one in loggers:
        one.addHandler(handler)
    yield handler
    for one in loggers:
        one.removeHandler(handler)


@asynccontextmanager
async def held_up(
    running: Running, patch: pytest.MonkeyPatch, commit: Callable[[Sequence[Job]], object]
) -> AsyncIterator[asyncio.Task[Job]]:
    """A job that somebody asks for while the store saves in that way."""
    with patch.context() as patched:
        patched.setattr(running.parts.store, "commit", commit)
        yield asyncio.ensure_future(running.client.create_job(SPEC))  # type: ignore[arg-type]


async def names(running: Running) -> list[str]:
    return [job.name async for job in running.client.jobs()]


@pytest.mark.parametrize("refusal", [FULL, AWAY], ids=lambda one: one.reason)
async def test_what_is_asked_of_a_controller_that_can_save_nothing_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told, refusal: Refusal
) -> None:
    async with controller(tmp_path) as running:
        # What a controller writes down at its first tick is in the store with this.
        before = await running.client.create_job(SPEC)
        store = Declines(refusal)
        async with held_up(running, monkeypatch, store.commit) as waits:
            assert await asyncio.to_thread(store.tried_twice.wait, 10)

            answer = await refused(running.client.create_job(SPEC))

            assert answer.reason == refusal.reason
            assert answer.message.startswith("this was not done, as the controller can save nothing: ")
            assert not waits.done()
        first = await waits
        second = await running.client.create_job(SPEC)

        assert await names(running) == [one.name for one in (second, first, before)]
        # Not with each try.
        assert told.said == [
            f"nothing can be saved, and so nothing is done: {refusal.message}",
            "what was held up is saved; it goes on",
        ]


async def test_of_a_store_that_does_not_answer_it_is_told_and_what_it_saves_in_the_end_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setattr(shell, "SAVING_SECONDS", 0.05)
    async with controller(tmp_path) as running:
        before = await running.client.create_job(SPEC)
        store = Hangs(running.parts.store)
        async with held_up(running, monkeypatch, store.commit) as waits:
            await asyncio.wait_for(told.first.wait(), 10)

            answer = await refused(running.client.create_job(SPEC))
            store.may.set()
            first = await waits

        assert answer.reason == "STORE_SLOW"
        assert "has not answered for 0.05 s; look at it, and at what locks it" in answer.message
        assert await names(running) == [first.name, before.name]


async def test_a_controller_whose_store_is_broken_ends_with_the_stores_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = daemon.assemble(ControllerSettings(state=tmp_path))
    monkeypatch.setattr(parts.store, "commit", Declines(BROKEN).commit)

    # What a controller writes down at its first tick is the first that cannot be.
    assert await refused(asyncio.wait_for(parts.shell.run(), 10)) is BROKEN

    parts.store.close()


async def test_a_controller_that_has_nothing_to_save_looks_whether_the_store_is_still_its_own(tmp_path: Path) -> None:
    parts = daemon.assemble(ControllerSettings(state=tmp_path, lease_ms=1000))
    store = Taken()
    shelled = shell.Shell(parts.shell.cluster, store, parts.logs)  # type: ignore[arg-type]

    assert await refused(asyncio.wait_for(shelled.run(), 10)) is BROKEN

    # What a controller writes down at its first tick, and then nothing.
    assert store.commits == [1, 0]
    parts.store.close()


async def test_a_controller_waits_for_a_database_server_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    monkeypatch.setattr(daemon, "STORE_SECONDS", 0.01)
    opened, tries = Store.open, iter([AWAY, AWAY])

    def opens(url: str) -> Store:
        for refusal in tries:
            raise refusal
        return opened(url)

    monkeypatch.setattr(Store, "open", opens)

    parts = await asyncio.wait_for(daemon.assemble_once_answered(ControllerSettings(state=tmp_path)), 10)
    parts.store.close()

    assert told.said == [f"{AWAY.message}; the controller waits for it, and serves nobody until then"]


async def test_a_controller_does_not_wait_for_a_store_that_nothing_will_come_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens(_url: str) -> Store:
        raise BROKEN

    monkeypatch.setattr(Store, "open", opens)

    assert await refused(daemon.assemble_once_answered(ControllerSettings(state=tmp_path))) is BROKEN
