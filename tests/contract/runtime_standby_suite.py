"""What every Runtime's standbys are, as laws: containers that are started ahead, and run nothing before their word."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.folders import Folders
from agent.runtimes.runtime import ContainerSpec, ContainerState, ContainerStatus, Mount, RuntimeRefused
from agent.standbys import init_for
from headrace.jobs import JobSpec
from headrace.sessions import Placement
from tests.contract.programs import NO_SUCH_PROGRAM, AtSigterm, Program
from tests.contract.runtime_bench import REF, WAITS, Bench


async def stood_by(
    bench: Bench, state: Path, program: Program | tuple[str, ...], *more: Mount, **changes: object
) -> ContainerSpec:
    """The spec of a container that stands by for REF, with folders as an agent makes them, and more of them."""
    await bench.runtime.pull(bench.engine.image, bench.engine.platform)
    folders = Folders(state, REF)
    placement = Placement(REF.job, REF.epoch, bench.engine.image, bench.engine.platform, JobSpec("job", "image"))
    folders.make(placement, init=init_for(bench.engine.platform.architecture) or b"")
    plain = replace(bench.spec(program), mounts=(*folders.mounts(placement), *more))
    spec: ContainerSpec = replace(plain, **changes)  # type: ignore[arg-type]
    await bench.runtime.stand_by(spec, folders.waiting)
    return spec


class StandbyLaws:
    async def test_what_stands_by_is_no_attempts(self, bench: Bench, tmp_path: Path) -> None:
        await stood_by(bench, tmp_path, WAITS)
        await bench.runtime.signal(REF, "SIGKILL")
        await bench.runtime.pause(REF)

        assert await bench.runtime.containers() == ()
        with pytest.raises(RuntimeRefused, match="never made") as refused:
            await bench.runtime.start(REF)
        assert refused.value.reason == "CONTAINER_MISSING"

    async def test_what_was_taken_over_has_not_run_before_it_is_started(self, bench: Bench, tmp_path: Path) -> None:
        spec = await stood_by(bench, tmp_path, WAITS)

        await bench.runtime.create(spec)
        assert await bench.status() == ContainerStatus(REF, ContainerState.CREATED)
        with pytest.raises(RuntimeRefused) as refused:
            await bench.read_all()
        assert refused.value.reason == "CONTAINER_NOT_STARTED"
        await bench.runtime.start(REF)

        await bench.read_until(b"ready\n")
        assert await bench.status() == ContainerStatus(REF, ContainerState.RUNNING)

    async def test_what_stood_by_is_started_once(self, bench: Bench, tmp_path: Path) -> None:
        spec = await stood_by(bench, tmp_path, Program(lines=1))
        await bench.runtime.create(spec)

        await asyncio.gather(bench.runtime.start(REF), bench.runtime.start(REF))
        await bench.ended()
        await bench.runtime.start(REF)

        assert (await bench.status()).state is ContainerState.EXITED
        assert (await bench.read_all())[1] == b"line 0\n"

    async def test_what_stood_by_ends_as_its_job_does(self, bench: Bench, tmp_path: Path) -> None:
        spec = await stood_by(bench, tmp_path, Program(waits=True, exit_code=85, at_sigterm=AtSigterm.EXITS))
        await bench.runtime.create(spec)
        await bench.runtime.start(REF)
        await bench.read_until(b"ready\n")

        await bench.runtime.signal(REF, "SIGTERM")

        assert await bench.ended() == ContainerStatus(REF, ContainerState.EXITED, 85)

    async def test_a_command_that_the_image_does_not_hold_is_told_of_what_stood_by_too(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        spec = await stood_by(bench, tmp_path, (NO_SUCH_PROGRAM, "-v"))
        await bench.runtime.create(spec)
        await bench.runtime.start(REF)

        assert (await bench.ended()).exec_failed == "COMMAND_NOT_FOUND"

    async def test_what_stands_by_for_something_else_is_not_taken_over(self, bench: Bench, tmp_path: Path) -> None:
        spec = await stood_by(bench, tmp_path, Program(exit_code=7))

        await bench.runtime.create(replace(spec, command=Program(exit_code=3).command))
        await bench.runtime.start(REF)

        assert (await bench.ended()).exit_code == 3

    async def test_what_stood_down_is_made_anew(self, bench: Bench, tmp_path: Path) -> None:
        spec = await stood_by(bench, tmp_path, Program(exit_code=7))

        await bench.runtime.stand_down(REF)
        await bench.runtime.stand_down(REF)
        await bench.runtime.create(spec)
        await bench.runtime.start(REF)

        assert (await bench.ended()).exit_code == 7

    async def test_what_was_taken_over_is_removed_like_any_other(self, bench: Bench, tmp_path: Path) -> None:
        await bench.runtime.create(await stood_by(bench, tmp_path, WAITS))

        await bench.runtime.remove(REF)

        assert await bench.runtime.containers() == ()

    async def test_nothing_stands_by_without_its_image(self, bench: Bench, tmp_path: Path) -> None:
        with pytest.raises(RuntimeRefused) as refused:
            await stood_by(bench, tmp_path, WAITS, image=bench.engine.missing_image)

        assert refused.value.reason == "STANDBY_FAILED"
