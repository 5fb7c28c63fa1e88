"""What an agent's works come to where the engine, the disk or the job does not do as it should."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from grpc import aio

from agent.checkpoints import Checkpoints
from agent.core.losses import NODE_REBOOTED
from agent.core.model import (
    AskToLeave,
    Declined,
    Event,
    Fingerprint,
    Fingerprinted,
    Kill,
    NotStarted,
    Pause,
    Prepare,
    Prepared,
    Remove,
    Start,
    Unpause,
)
from agent.folders import Folders
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, RuntimeRefused, Waiting
from agent.works import Work, Works, _left_in_order
from headrace.attempts import EXIT_SIGKILL, Attempt, AttemptState
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime
from tests.core.one_agent import placement
from tests.core.small_world import FIRST
from tests.shell.agent_parts import works_and_prefetches

REF = FIRST


class UnwillingRuntime(FakeRuntime):
    """An engine that answers, and says no."""

    async def pause(self, ref: Ref) -> None:
        raise RuntimeRefused("PAUSE_FAILED", f"{ref.job}: unable to freeze")

    async def remove(self, ref: Ref) -> None:
        raise RuntimeRefused("REMOVE_FAILED", f"{ref.job}: device or resource busy")


class BrokenRuntime(FakeRuntime):
    """An engine behind a library that lets an error of the system pass."""

    async def _reach(self) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


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
async def bench(state: Path, runtime: FakeRuntime | None = None) -> AsyncIterator[Bench]:
    # Nobody answers there, and nobody is asked.
    async with aio.insecure_channel("unix:/nowhere") as channel:
        told: list[Event] = []
        checkpoints = Checkpoints(CheckpointServiceStub(channel), state / "chunks")
        stub = NodeServiceStub(channel)
        engine = runtime or UnwillingRuntime()
        works, _ = works_and_prefetches(state, engine, checkpoints, stub, told.append)
        yield Bench(works, told)


@pytest.mark.parametrize(
    ("work", "said"), [(Pause(REF), "unable to freeze"), (Remove(REF), "resource busy")], ids=["pause", "remove"]
)
async def test_what_the_engine_refuses_is_told_so_that_it_is_asked_for_again(
    tmp_path: Path, work: Work, said: str
) -> None:
    async with bench(tmp_path) as unwilling:
        [event] = await unwilling.after(work)

    assert isinstance(event, Declined)
    assert (event.ref, event.asked) == (REF, type(work))
    assert said in event.message


@pytest.mark.parametrize(
    "work",
    [Start(placement()), Kill(REF), Pause(REF), Unpause(REF), AskToLeave(placement()), Remove(REF)],
    ids=lambda work: type(work).__name__,
)
async def test_an_error_of_the_system_ends_no_agent_but_is_told_and_tried_again(tmp_path: Path, work: Work) -> None:
    async with bench(tmp_path, BrokenRuntime()) as broken:
        [event] = await broken.after(work)

    assert isinstance(event, Declined)
    assert event.asked is type(work)


def _link_outside(checkpoint: Path) -> None:
    (checkpoint / "passwd").symlink_to("/etc/passwd")


def _too_deep(checkpoint: Path) -> None:
    folder = checkpoint
    for _ in range(70):
        folder /= "d"
        folder.mkdir()


def _no_directory(checkpoint: Path) -> None:
    checkpoint.rmdir()
    checkpoint.write_text("")


@pytest.mark.parametrize("spoil", [_link_outside, _too_deep, _no_directory])
async def test_a_job_is_asked_to_leave_whatever_it_has_put_into_its_checkpoint_directory(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folders = Folders(tmp_path, REF)
    folders.make(placement())
    spoil(folders.checkpoint)

    async with bench(tmp_path) as works:
        assert await works.after(Fingerprint(placement())) == [Fingerprinted(REF, "unreadable")]


async def test_a_job_whose_id_is_a_path_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as works:
        [event] = await works.after(Prepare(replace(placement(), job="../train-1")))

    assert isinstance(event, NotStarted)
    assert event.reason == "JOB_ID_INVALID"


async def test_an_attempt_that_is_removed_leaves_nothing_behind_in_the_agent(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeRuntime()) as works:
        await works.after(Remove(REF))

    assert works.works._tasks == {}


def test_what_a_job_left_that_crashed_before_it_was_killed_is_not_taken() -> None:
    ended = Attempt("train-1", 1, state=AttemptState.SAVING, stop_requested=True, killed=True)

    assert _left_in_order(replace(ended, exit_code=EXIT_SIGKILL))
    assert not _left_in_order(replace(ended, exit_code=1))
    assert not _left_in_order(replace(ended, reason=NODE_REBOOTED))


class Given(FakeRuntime):
    """An engine that refuses what waits with devices in this way, if in any, and remembers what waited."""

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason
        self.waited: list[tuple[str, ...]] = []

    async def stand_by(self, spec: ContainerSpec, waiting: Waiting) -> None:
        self.waited.append(spec.devices)
        if self.reason:
            raise RuntimeRefused(self.reason, "not here")
        await super().stand_by(spec, waiting)


@pytest.mark.parametrize(("devices", "waited"), [((), []), (("gpu-0",), [("gpu-0",)])])
async def test_a_job_with_devices_waits_until_they_were_looked_for_and_one_without_does_not(
    tmp_path: Path, devices: tuple[str, ...], waited: list[tuple[str, ...]]
) -> None:
    runtime = Given()
    async with bench(tmp_path, runtime) as works:
        [event] = await works.after(Prepare(placement(devices=devices)))

    assert isinstance(event, Prepared)
    assert runtime.waited == waited
    assert runtime.container(REF).status.state is ContainerState.CREATED
    assert not runtime.engine.standbys


@pytest.mark.parametrize("reason", ["DEVICE_NOT_GIVEN", "DEVICE_NOT_THERE"])
async def test_a_job_whose_devices_are_not_there_is_not_started(tmp_path: Path, reason: str) -> None:
    async with bench(tmp_path, Given(reason)) as works:
        [event] = await works.after(Prepare(placement(devices=("gpu-0",))))

    assert event == NotStarted(REF, reason, "not here")


async def test_where_no_container_can_wait_a_job_with_devices_is_started_as_any_other(tmp_path: Path) -> None:
    async with bench(tmp_path, Given("STANDBY_FAILED")) as works:
        [event] = await works.after(Prepare(placement(devices=("gpu-0",))))

    assert isinstance(event, Prepared)
