"""Laws of a job's end while the controller's checkpoint store can take nothing: it waits until that can."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.model import Collect, Collected, Declined, Event, Held
from agent.folders import Folders
from controller import checkpoint_store
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import JobSpec
from headrace.sessions import Goal, Placement
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime
from tests.core.small_world import AMD64, spec
from tests.shell.agent_parts import works_and_prefetches
from tests.shell.checkpoint_world import World


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def read_only(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def at_its_end(folder: Path, job: JobSpec, *, goal: Goal = Goal.RUN, exit_code: int = 0) -> Held:
    """An attempt whose container has exited, with a file of output and one of checkpoint."""
    asked = exit_code == 85
    placement = Placement("train", 3, "image", AMD64, job, goal)
    attempt = Attempt("train", 3, state=AttemptState.SAVING, exit_code=exit_code, stop_requested=asked)
    held = Held(placement, attempt, fingerprint="before")
    folders = Folders(folder, held.ref)
    folders.make(placement)
    (folders.outputs / "model").write_text("model")
    (folders.checkpoint / "state").write_text("state")
    return held


async def collected(world: World, held: Held) -> Event:
    """What an agent's works tell of the end of an attempt whose log is carried over."""
    told: list[Event] = []
    stub = NodeServiceStub(world.channel)
    works, _ = works_and_prefetches(world.folder, FakeRuntime(), world.agent(), stub, told.append)
    works._carried.add(held.ref)
    async with asyncio.TaskGroup() as tasks:
        works.begin(Collect(held, 1), tasks)
    [event] = told
    return event


@pytest.mark.parametrize("exit_code", [0, 85], ids=["done", "frozen"])
@pytest.mark.parametrize(
    ("fails", "said"), [(no_room, "there is no room left"), (read_only, "see whether its disk is mounted")]
)
async def test_what_a_job_left_is_asked_for_again_once_the_store_may_take_it(
    world: World, monkeypatch: pytest.MonkeyPatch, exit_code: int, fails: Callable[..., None], said: str
) -> None:
    held = at_its_end(world.folder, spec(output_path="/output"), exit_code=exit_code)
    with monkeypatch.context() as full:
        full.setattr(checkpoint_store, "write_whole", fails)
        declined = await collected(world, held)

    after = await collected(world, held)

    assert isinstance(declined, Declined)
    assert declined.asked is Collect
    assert said in declined.message
    assert isinstance(after, Collected)
    assert (after.outputs if exit_code == 0 else after.checkpoint) is not None


async def test_a_job_that_is_cancelled_does_not_wait_for_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = at_its_end(world.folder, spec(output_path="/output"), goal=Goal.CANCEL)
    monkeypatch.setattr(checkpoint_store, "write_whole", no_room)

    assert await collected(world, held) == Collected(held.ref)
