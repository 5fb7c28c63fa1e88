"""How a real engine gives devices to containers, and what they then see."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent.accelerators.grants import Granted, Grants
from agent.contract import container
from agent.folders import Folders
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.runtime import ContainerSpec, ContainerState, Ref, RuntimeRefused
from agent.standbys import init_for
from headrace.jobs import JobSpec
from headrace.platforms import of_machine
from headrace.sessions import Placement
from tests.contract.given_devices import NODES, Maker, plain
from tests.contract.programs import Program
from tests.contract.test_runtimes import _image

pytestmark = pytest.mark.engine

REAL = Maker("real", NODES[:2])
REF = Ref("train-1", 0, 1)
LOOKS = Program(waits=True).command


@pytest.fixture
async def runtime() -> AsyncIterator[DockerRuntime]:
    host = os.environ.get("HEADRACE_TEST_ENGINE", "")
    if not host:
        pytest.fail("HEADRACE_TEST_ENGINE names no engine; `make test` makes one ready", pytrace=False)
    found = DockerRuntime(host, f"ways-{uuid.uuid4().hex[:6]}", devices=REAL.known)
    yield found
    with suppress(RuntimeRefused):
        await found.remove(REF)
    await found.leave()
    found.close()


def wanted(state: Path, grants: Granted, **env: str) -> tuple[ContainerSpec, Folders]:
    platform = of_machine(os.uname().machine)
    image = _image(os.environ["HEADRACE_TEST_REGISTRY"], platform)
    job = JobSpec("train", "image", command=LOOKS, env=env)
    placement = Placement(REF.job, REF.epoch, image, platform, job, devices=("real-0",))
    folders = Folders(state, REF)
    folders.make(placement, init=init_for(platform.architecture) or b"")
    return container(placement, folders, grants), folders


async def stood_by(runtime: DockerRuntime, made: ContainerSpec, folders: Folders) -> None:
    await runtime.pull(made.image, made.platform)
    await runtime.stand_by(made, folders.waiting)


async def test_a_real_engine_that_knows_no_other_way_gives_the_devices_node_and_no_others(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    made, folders = wanted(tmp_path, granted)

    await stood_by(runtime, made, folders)
    await runtime.create(made)
    before = await runtime.containers()
    await runtime.start(REF)

    assert granted.grant.request is not None, "the engine is asked for this first, and knows no such driver"
    assert [one.state for one in before] == [ContainerState.CREATED]
    assert [one.state for one in await runtime.containers()] == [ContainerState.RUNNING]
    assert [(one.ref, one.vendor, one.claims) for one in await runtime.holders()] == [(REF, "real", ("real-0",))]


async def test_a_runtime_that_is_asked_for_devices_and_gives_none_is_found_out_and_the_next_way_is_taken(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    # Each engine knows this runtime, which knows of no devices.
    by_runtime = replace(plain(granted.grant), runtime="io.containerd.runc.v2")
    made, folders = wanted(tmp_path, granted._replace(grant=by_runtime))

    await stood_by(runtime, made, folders)
    await runtime.create(made)
    await runtime.start(REF)

    assert [(one.vendor, one.claims) for one in await runtime.holders()] == [("real", ("real-0",))]


async def test_a_job_sees_its_own_device_and_no_other_whatever_it_asks_for_itself(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    made, folders = wanted(tmp_path, granted, REAL_VISIBLE_DEVICES="all")
    there = f"[os.path.exists(one) for one in {list(NODES)}]"
    words = f"import os; print({there}, os.environ['REAL_VISIBLE_DEVICES'])"
    made = replace(made, command=("python3", "-c", words))

    await stood_by(runtime, made, folders)
    await runtime.create(made)
    await runtime.start(REF)
    async with aclosing(runtime.log(REF, "")) as log:
        said = b"".join([chunk.data async for chunk in log])

    assert said == b"[True, False, False] void\n"


async def test_a_device_that_the_engine_cannot_give_is_told_before_anything_of_the_job_runs(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    missing = Maker("real", ("/dev/no-such-device",))
    made, folders = wanted(tmp_path, Grants((missing,), lambda: missing.devices).granted(("real-0",)))

    with pytest.raises(RuntimeRefused, match="no-such-device") as waiting:
        await stood_by(runtime, made, folders)
    await runtime.create(made)
    with pytest.raises(RuntimeRefused, match="no-such-device") as refused:
        await runtime.start(REF)

    assert (waiting.value.reason, refused.value.reason) == ("STANDBY_FAILED", "DEVICE_NOT_GIVEN")
    assert await runtime.containers() == ()


async def test_what_was_made_with_devices_before_a_restart_and_not_looked_into_does_not_start(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    made, _ = wanted(tmp_path, Grants((REAL,), lambda: REAL.devices).granted(("real-0",)))
    await runtime.pull(made.image, made.platform)
    await runtime.create(made)
    runtime._made.clear()  # What a process that ends forgets.

    with pytest.raises(RuntimeRefused, match="made anew") as refused:
        await runtime.start(REF)

    assert refused.value.reason == "LEFT_BEFORE_START"


async def test_a_container_that_has_another_device_as_well_does_not_run(runtime: DockerRuntime, tmp_path: Path) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    both = replace(plain(granted.grant), shared_nodes=(NODES[1],))
    made, folders = wanted(tmp_path, granted._replace(grant=both))

    with pytest.raises(RuntimeRefused, match=f"{NODES[1]} is there, which is of another device") as refused:
        await stood_by(runtime, made, folders)

    assert refused.value.reason == "DEVICE_NOT_THERE"
    assert await runtime.containers() == ()


async def test_where_no_init_is_for_an_architecture_the_next_way_is_taken_when_it_does_not_start(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    made, _ = wanted(tmp_path, Grants((REAL,), lambda: REAL.devices).granted(("real-0",)))
    await runtime.pull(made.image, made.platform)

    await runtime.create(made)
    await runtime.start(REF)

    assert [one.state for one in await runtime.containers()] == [ContainerState.RUNNING]
    assert [(one.vendor, one.claims) for one in await runtime.holders()] == [("real", ("real-0",))]


async def test_where_no_init_is_for_an_architecture_it_is_looked_into_once_it_has_started(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    granted = Grants((REAL,), lambda: REAL.devices).granted(("real-0",))
    made, _ = wanted(tmp_path, granted._replace(grant=plain(granted.grant), withheld=("/dev/null",)))
    await runtime.pull(made.image, made.platform)
    await runtime.create(made)

    with pytest.raises(RuntimeRefused, match="/dev/null is there") as refused:
        await runtime.start(REF)

    assert refused.value.reason == "DEVICE_NOT_THERE"
    assert await runtime.containers() == ()
