"""A controller that can save nothing: what was asked before goes on once it can, what is asked meanwhile is refused."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from headrace.refusals import Code, Refusal
from tests.shell.running_controller import SPEC, controller
from tests.shell.test_controller import refused

FULL = Refusal(Code.RESOURCE_EXHAUSTED, "STORE_FULL", "the database is full; free space on its disk")


class Disk:
    """On which there is no room, however often it is tried."""

    def __init__(self) -> None:
        self._times = 0
        self.tried_twice = threading.Event()

    def commit(self, _: Sequence[object]) -> None:
        self._times += 1
        if self._times == 2:
            self.tried_twice.set()
        raise FULL


async def test_what_is_asked_of_a_controller_that_can_save_nothing_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controller(tmp_path) as running:
        # What a controller writes down at its first tick is in the store with this.
        before = await running.client.create_job(SPEC)
        with monkeypatch.context() as patched:
            disk = Disk()
            patched.setattr(running.parts.store, "commit", disk.commit)
            waits = asyncio.ensure_future(running.client.create_job(SPEC))
            assert await asyncio.to_thread(disk.tried_twice.wait, 10)

            refusal = await refused(running.client.create_job(SPEC))

            assert refusal.reason == "STORE_FULL"
            assert refusal.message.startswith("this was not done, as the controller can save nothing: ")
            assert not waits.done()
        first = await waits
        second = await running.client.create_job(SPEC)

        names = [job.name async for job in running.client.jobs()]
        assert names == [one.name for one in (second, first, before)]  # type: ignore[attr-defined]
