"""Two agents of one name: the one that is heard has the node, and the other one is told so."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from grpc import aio

from agent.journal import Journal
from agent.state_folders import alone_with
from headrace.refusals import Refusal
from headrace.status import refusal_of
from tests.shell.running_controller import PATIENCE_SECONDS, HandWritten, Running, agent, attempt, controller
from tests.shell.test_controller import placed

# As a journal that is empty has an agent begin.
FIRST = 170_000_000_000_000_000
# A second later.
LATER = FIRST + 100_000_000


async def reason_of(node: HandWritten) -> str:
    with pytest.raises(aio.AioRpcError) as caught:
        await node.say()
    return refusal_of(caught.value).reason


def silent(running: Running) -> None:
    """The node has not been heard for so long that it cannot count on its lease."""
    book = running.parts.shell.cluster.book
    book.heard_ms["n1"] -= book.leases.longest.node_ms + 1


async def streams_over(running: Running) -> None:
    """The controller has noticed that the node has no stream."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while running.parts.shell._outboxes:
            await running.client.node("n1")


def begins_at(state: Path) -> int:
    """The first session of an agent with this state folder, which is empty."""
    state.mkdir()
    with contextlib.closing(Journal(state / "journal.db")) as journal:
        return journal.recall().memory.session


async def test_an_agent_without_state_does_not_take_a_node_whose_agent_is_heard(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, session=FIRST) as first:
        job, placement = await placed(running, first)
        await first.say(attempt(placement))

        async with agent(running, session=LATER) as second:
            assert await reason_of(second) == "NODE_TAKEN"

        # It was not put out, and its job is as it was.
        await first.say(attempt(placement))
        assert (await running.client.job(job.name)).epoch == 1


async def test_of_two_agents_whose_state_folders_are_new_at_one_time_the_first_one_keeps_the_node(
    tmp_path: Path,
) -> None:
    begun = [await asyncio.to_thread(begins_at, tmp_path / name) for name in ("a", "b")]
    async with controller(tmp_path / "c") as running, agent(running, session=begun[0]) as first:
        await first.say()

        async with agent(running, session=begun[1]) as second:
            assert await reason_of(second) == "NODE_TAKEN"
        await first.say()


async def test_that_of_a_new_node_is_the_first_one_whose_report_is_still_to_be_judged(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        running.parts.shell.open_session("n1", FIRST)

        async with agent(running, session=LATER) as second:
            assert await reason_of(second) == "NODE_TAKEN"


async def test_an_agent_keeps_its_node_while_its_stream_is_broken(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        async with agent(running, session=FIRST) as before:
            await before.say()
        await streams_over(running)

        async with agent(running, session=LATER) as second:
            assert await reason_of(second) == "NODE_TAKEN"
        async with agent(running, session=FIRST + 1) as after:
            await after.say()


async def test_an_agent_keeps_its_node_while_the_controller_is_started_anew(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, session=FIRST) as before:
        await before.say()

    async with controller(tmp_path) as running:
        async with agent(running, session=LATER) as second:
            assert await reason_of(second) == "NODE_TAKEN"
        async with agent(running, session=FIRST + 1) as after:
            await after.say()


async def test_an_agent_that_begins_its_next_session_before_the_last_one_is_over_has_its_node(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, session=FIRST) as before:
        await before.say()

        async with agent(running, session=FIRST + 2) as after:
            await after.say()
        assert await reason_of(before) == "SESSION_SUPERSEDED"


async def test_an_agent_without_state_takes_a_node_whose_agent_cannot_count_on_its_lease_any_more(
    tmp_path: Path,
) -> None:
    async with controller(tmp_path) as running, agent(running, session=FIRST) as first:
        await first.say()
        silent(running)

        async with agent(running, session=LATER) as second:
            await second.say()
            # Whoever is back finds it taken in turn.
            async with agent(running, session=FIRST + 1) as back:
                assert await reason_of(back) == "SESSION_SUPERSEDED"
            await second.say()


def test_one_agent_of_a_node_runs_with_an_engine() -> None:
    with alone_with("unix:///run/test-engine.sock", "n1"):
        with (
            pytest.raises(Refusal, match="another agent of node n1 runs here") as refused,
            alone_with("unix:///run/test-engine.sock", "n1"),
        ):
            pass
        with alone_with("unix:///run/test-engine.sock", "n2"), alone_with("unix:///run/other.sock", "n1"):
            pass

    assert refused.value.reason == "NODE_IN_USE"
    with alone_with("unix:///run/test-engine.sock", "n1"):
        pass
