"""Two agents of one name: the one that is heard has the node, and the other one is told so."""

import contextlib
from pathlib import Path

import pytest
from grpc import aio

from agent.assembly import _alone_with
from headrace.refusals import Refusal
from headrace.status import refusal_of
from tests.shell.running_controller import HandWritten, agent, attempt, controller
from tests.shell.test_controller import placed

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
