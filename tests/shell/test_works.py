"""What an agent's works come to where the engine does not do as it is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from grpc import aio

from agent.checkpoints import Checkpoints
from agent.core.model import Event, Interrupted, Pause, Remove
from agent.runtimes.runtime import Ref, RuntimeRefused
from agent.works import Work, Works
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime

REF = Ref("train", 0, 1)


class UnwillingRuntime(FakeRuntime):
    """An engine that answers, and says no."""

    async def pause(self, ref: Ref) -> None:
        raise RuntimeRefused("PAUSE_FAILED", f"{ref.job}: unable to freeze")

    async def remove(self, ref: Ref) -> None:
        raise RuntimeRefused("REMOVE_FAILED", f"{ref.job}: device or resource busy")


@dataclass
class Bench:
    """Works on an engine, and what they told."""

    works: Works
    told: list[Event] = field(default_factory=list)

    async def after(self, work: Work) -> list[Event]:
        """All that was told once the work is over."""
        async with asyncio.TaskGroup() as tasks:
            self.works.begin(work, tasks)
        return self.told


@asynccontextmanager
async def bench(state: Path) -> AsyncIterator[Bench]:
    # Nobody answers there, and nobody is asked.
    async with aio.insecure_channel("unix:/nowhere") as channel:
        told: list[Event] = []
        checkpoints = Checkpoints(CheckpointServiceStub(channel), state / "chunks")
        stub = NodeServiceStub(channel)
        yield Bench(Works("node", state, UnwillingRuntime(), checkpoints, stub, told.append, lambda _devices: ""), told)


@pytest.mark.parametrize(
    ("work", "said"), [(Pause(REF), "unable to freeze"), (Remove(REF), "resource busy")], ids=["pause", "remove"]
)
async def test_what_the_engine_refuses_is_told_so_that_it_is_asked_for_again(
    tmp_path: Path, work: Work, said: str
) -> None:
    async with bench(tmp_path) as unwilling:
        [event] = await unwilling.after(work)

    assert isinstance(event, Interrupted)
    assert (event.ref, event.asked) == (REF, type(work))
    assert said in event.message
