"""Two agents of one name: the one that is heard has the node, and the other one is told so."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from grpc import aio

from agent import daemon
from agent.assembly import _alone_with
from agent.runtimes.runtime import ContainerStatus, Ref
from headrace.jobs import JobState
from headrace.refusals import Refusal
from headrace.status import refusal_of
from tests.contract.fake_runtime import FakeEngine, FakeRuntime
from tests.shell.running_controller import SPEC, HandWritten, agent, attempt, controller
from tests.shell.test_controller import placed
from tests.shell.test_device_ledger import agent as real_agent
from tests.shell.test_device_ledger import job_that

# As one that has no state begins: with the time.
OF_THE_TIME = 1_700_000_000


async def reason_of(node: HandWritten) -> str:
    with pytest.raises(aio.AioRpcError) as caught:
        await node.say()
    return refusal_of(caught.value).reason


async def test_an_agent_without_state_does_not_take_a_node_whose_agent_is_heard(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, session=OF_THE_TIME) as first:
        job, placement = await placed(running, first)
        await first.say(attempt(placement))

        async with agent(running, session=OF_THE_TIME + 1_000) as second:
            assert await reason_of(second) == "NODE_TAKEN"

        # It was not put out, and its job is as it was.
        await first.say(attempt(placement))
        assert (await running.client.job(job.name)).epoch == 1


async def test_an_agent_that_begins_its_next_session_before_the_last_one_is_over_has_its_node(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, session=OF_THE_TIME) as before:
        await before.say()

        async with agent(running, session=OF_THE_TIME + 2) as after:
            await after.say()
        assert await reason_of(before) == "SESSION_SUPERSEDED"


async def test_an_agent_without_state_takes_a_node_whose_agent_has_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        async with agent(running, session=OF_THE_TIME) as first:
            await first.say()
        # The controller hears of the end within a moment, and the agent asks again and again.
        for number in range(100):
            async with agent(running, session=OF_THE_TIME + 1_000 + number) as second:
                with contextlib.suppress(aio.AioRpcError):
                    await second.say()
                    return
    pytest.fail("it is refused for ever")


class Watched(FakeRuntime):
    """The runtime of an agent, which tells how often it has listed its containers."""

    def __init__(self, node: str, engine: FakeEngine) -> None:
        super().__init__(node, engine=engine)
        self.lists = asyncio.Semaphore(0)

    async def containers(self) -> tuple[ContainerStatus, ...]:
        found = await super().containers()
        self.lists.release()
        return found


async def test_an_agent_that_is_refused_touches_nothing_of_the_engine_that_it_shares_under_whatever_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "RELIST_SECONDS", 0.05)
    first = FakeRuntime("n1")
    second = Watched("n1", first.engine)
    async with controller(tmp_path / "c") as running, real_agent(tmp_path / "a", first, running.address):
        made = await running.client.create_job(SPEC)
        await job_that(running.client, made, lambda job: job.state is JobState.RUNNING)

        async with real_agent(tmp_path / "b", second, running.address, session=OF_THE_TIME):
            async with asyncio.timeout(10):
                for _ in range(20):
                    await second.lists.acquire()

        assert list(first.engine.containers) == [("n1", Ref(made.id, 0, 1))]
        job = await running.client.job(made.name)
        assert (job.state, job.epoch) == (JobState.RUNNING, 1)


def test_one_agent_of_a_node_runs_with_an_engine() -> None:
    with _alone_with("unix:///run/test-engine.sock", "n1"):
        with (
            pytest.raises(Refusal, match="another agent of node n1 runs here") as refused,
            _alone_with("unix:///run/test-engine.sock", "n1"),
        ):
            pass
        with _alone_with("unix:///run/test-engine.sock", "n2"), _alone_with("unix:///run/other.sock", "n1"):
            pass

    assert refused.value.reason == "NODE_IN_USE"
    with _alone_with("unix:///run/test-engine.sock", "n1"):
        pass
