"""What every Runtime does, as laws. An implementation's tests inherit RuntimeSuite and give it an `engine`."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.runtimes.runtime import ContainerState, ContainerStatus, Ref, RuntimeRefused
from agent.state_folders import StateFolder, alone
from headrace.refusals import Refusal
from tests.contract.programs import NO_SUCH_PROGRAM, AtSigterm, Program
from tests.contract.runtime_bench import REF, TICKS, WAITS, Bench, Engine
from tests.contract.runtime_log_suite import ExitLaws, LogLaws, OutageLaws
from tests.contract.runtime_standby_suite import StandbyLaws


class _Images:
    async def test_an_engine_says_its_name_and_version(self, bench: Bench) -> None:
        name, _, version = (await bench.runtime.version()).rpartition(" ")

        assert name
        assert version[0].isdigit()

    async def test_an_image_that_is_there_brings_no_bytes(self, bench: Bench) -> None:
        await bench.runtime.pull(bench.engine.image, bench.engine.platform)

        assert await bench.runtime.pull(bench.engine.image, bench.engine.platform) == 0

    async def test_an_image_that_no_registry_has_is_refused(self, bench: Bench) -> None:
        with pytest.raises(RuntimeRefused) as refused:
            await bench.runtime.pull(bench.engine.missing_image, bench.engine.platform)

        assert refused.value.reason == "IMAGE_PULL_FAILED"
        assert bench.engine.missing_image in refused.value.message


class _Owners:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        return tmp_path / "first", tmp_path / "second"

    async def test_what_another_agent_has_that_is_there_is_no_stray(
        self, bench: Bench, folders: tuple[Path, Path]
    ) -> None:
        first, second = (bench.engine.of(StateFolder(one, "node")) for one in folders)
        with alone(folders[0]), alone(folders[1]):
            await first.pull(bench.engine.image, bench.engine.platform)
            await first.create(bench.spec(WAITS))

            with pytest.raises(Refusal, match=f"another agent of node node .* {folders[0]}, is in use") as refused:
                await second.containers()

            assert refused.value.reason == "NODE_IN_USE"
            assert [one.ref for one in await first.containers()] == [REF]

    async def test_what_another_agent_had_that_is_gone_is_left_over(
        self, bench: Bench, folders: tuple[Path, Path]
    ) -> None:
        first, second = (bench.engine.of(StateFolder(one, "node")) for one in folders)
        await first.pull(bench.engine.image, bench.engine.platform)
        with alone(folders[0]):
            await first.create(bench.spec(WAITS))

        with alone(folders[1]):
            assert [one.ref for one in await second.containers()] == [REF]


class _Starts:
    async def test_a_created_container_has_never_run(self, bench: Bench) -> None:
        await bench.created(Program(exit_code=7))

        assert await bench.status() == ContainerStatus(REF, ContainerState.CREATED)

    async def test_a_container_of_an_image_that_is_not_there_is_refused(self, bench: Bench) -> None:
        with pytest.raises(RuntimeRefused) as refused:
            await bench.runtime.create(replace(bench.spec(WAITS), image=bench.engine.missing_image))

        assert refused.value.reason == "CREATE_FAILED"

    async def test_a_container_that_is_there_is_kept_when_created_again(self, bench: Bench) -> None:
        await bench.started(Program(exit_code=7))
        before = await bench.ended()

        await bench.runtime.create(bench.spec(WAITS))

        assert await bench.status() == before

    async def test_one_that_waits_is_running(self, bench: Bench) -> None:
        await bench.ready(WAITS)

        assert await bench.status() == ContainerStatus(REF, ContainerState.RUNNING)

    async def test_started_twice_is_started_once(self, bench: Bench) -> None:
        await bench.started(Program(lines=1))
        await bench.ended()

        await bench.runtime.start(REF)

        assert (await bench.status()).state is ContainerState.EXITED
        assert (await bench.read_all())[1] == b"line 0\n"

    async def test_started_twice_at_once_is_started_once(self, bench: Bench) -> None:
        await bench.created(Program(lines=1))

        await asyncio.gather(bench.runtime.start(REF), bench.runtime.start(REF), bench.runtime.start(REF))

        assert (await bench.read_all())[1] == b"line 0\n"

    async def test_one_that_was_given_no_device_holds_none(self, bench: Bench) -> None:
        await bench.ready(WAITS)

        assert [holder for holder in await bench.runtime.holders() if holder.ref == REF] == []

    async def test_one_that_is_paused_stays_so_when_started(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        await bench.runtime.pause(REF)

        await bench.runtime.start(REF)

        assert (await bench.status()).state is ContainerState.PAUSED

    async def test_one_that_was_never_made_cannot_start(self, bench: Bench) -> None:
        with pytest.raises(RuntimeRefused) as refused:
            await bench.runtime.start(REF)

        assert refused.value.reason == "CONTAINER_MISSING"

    async def test_a_command_that_the_image_does_not_hold_is_told_from_a_failed_job(self, bench: Bench) -> None:
        reason = ""
        try:
            await bench.started((NO_SUCH_PROGRAM, "-v"))
        except RuntimeRefused as refused:
            reason = refused.reason

        assert reason or (await bench.ended()).exec_failed == "COMMAND_NOT_FOUND"

    async def test_a_job_that_fails_as_a_missing_command_does_has_run(self, bench: Bench) -> None:
        await bench.started(Program(lines=1, exit_code=127))

        assert await bench.ended() == ContainerStatus(REF, ContainerState.EXITED, 127)


class _Ends:
    @pytest.mark.parametrize("code", [0, 7, 85, 255])
    async def test_a_containers_exit_code_is_its_jobs(self, bench: Bench, code: int) -> None:
        await bench.started(Program(exit_code=code))

        assert await bench.ended() == ContainerStatus(REF, ContainerState.EXITED, code)

    @pytest.mark.parametrize(("at_sigterm", "code"), [(AtSigterm.DIES, 143), (AtSigterm.EXITS, 85)])
    async def test_sigterm_reaches_the_job(self, bench: Bench, at_sigterm: AtSigterm, code: int) -> None:
        await bench.ready(Program(waits=True, exit_code=85, at_sigterm=at_sigterm))

        await bench.runtime.signal(REF, "SIGTERM")

        assert (await bench.ended()).exit_code == code

    async def test_sigkill_ends_a_job_that_ignores_sigterm(self, bench: Bench) -> None:
        await bench.ready(Program(waits=True, at_sigterm=AtSigterm.STAYS))

        await bench.runtime.signal(REF, "SIGTERM")
        await bench.runtime.signal(REF, "SIGUSR1")
        await bench.read_until(b"SIGUSR1\n")
        await bench.runtime.signal(REF, "SIGKILL")

        assert (await bench.ended()).exit_code == 137

    async def test_a_job_goes_on_after_a_signal_that_it_heeds(self, bench: Bench) -> None:
        await bench.ready(TICKS)

        await bench.runtime.signal(REF, "SIGUSR1")
        cursor, _ = await bench.read_until(b"SIGUSR1\n")

        await bench.read_until(b"tick", cursor=cursor)

    async def test_a_signal_to_what_does_not_run_is_no_error(self, bench: Bench) -> None:
        await bench.runtime.signal(REF, "SIGTERM")
        await bench.created(Program(exit_code=7))
        await bench.runtime.signal(REF, "SIGTERM")
        await bench.runtime.start(REF)
        before = await bench.ended()

        await bench.runtime.signal(REF, "SIGKILL")

        assert await bench.status() == before

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
    async def test_one_that_is_paused_can_be_ended(self, bench: Bench, name: str) -> None:
        await bench.ready(WAITS)
        await bench.runtime.pause(REF)

        await bench.runtime.signal(REF, name)

        assert (await bench.ended()).state is ContainerState.EXITED


class _Pauses:
    async def test_a_paused_job_makes_no_progress_and_goes_on_when_unpaused(self, bench: Bench) -> None:
        await bench.ready(TICKS)

        await bench.runtime.pause(REF)
        begin = bench.engine.now()
        assert (await bench.status()).state is ContainerState.PAUSED
        end = bench.engine.now()
        await bench.runtime.unpause(REF)

        times = await _tick_times(bench, after=end)
        assert times[-1] > end
        assert not [time for time in times if begin < time < end]
        assert (await bench.status()).state is ContainerState.RUNNING

    async def test_pausing_and_unpausing_again_change_nothing(self, bench: Bench) -> None:
        await bench.ready(WAITS)

        await bench.runtime.unpause(REF)
        assert (await bench.status()).state is ContainerState.RUNNING
        await bench.runtime.pause(REF)
        await bench.runtime.pause(REF)

        assert (await bench.status()).state is ContainerState.PAUSED

    async def test_what_does_not_run_is_neither_paused_nor_unpaused(self, bench: Bench) -> None:
        await bench.runtime.pause(REF)
        await bench.runtime.unpause(REF)
        await bench.created(Program())
        await bench.runtime.pause(REF)
        await bench.runtime.unpause(REF)
        assert (await bench.status()).state is ContainerState.CREATED
        await bench.runtime.start(REF)
        before = await bench.ended()

        await bench.runtime.pause(REF)
        await bench.runtime.unpause(REF)

        assert await bench.status() == before

    async def test_sigusr1_does_not_let_a_paused_job_go_on(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        await bench.runtime.pause(REF)

        await bench.runtime.signal(REF, "SIGUSR1")
        assert (await bench.status()).state is ContainerState.PAUSED
        await bench.runtime.unpause(REF)

        await bench.read_until(b"SIGUSR1\n")


class _Removals:
    async def test_what_is_removed_is_gone_whatever_it_did(self, bench: Bench) -> None:
        created, running, paused, exited = (Ref("job", task, 1) for task in range(4))
        await bench.created(WAITS, created)
        await bench.started(WAITS, running)
        await bench.started(WAITS, paused)
        await bench.runtime.pause(paused)
        await bench.started(Program(), exited)
        await bench.ended(exited)
        states = [(status.ref.task, status.state.name) for status in await bench.runtime.containers()]
        assert states == [(0, "CREATED"), (1, "RUNNING"), (2, "PAUSED"), (3, "EXITED")]

        for ref in (created, running, paused, exited):
            await bench.runtime.remove(ref)

        assert await bench.runtime.containers() == ()

    async def test_removing_what_is_not_there_is_no_error(self, bench: Bench) -> None:
        await bench.created(WAITS)
        await bench.runtime.remove(REF)

        await bench.runtime.remove(REF)

    async def test_a_node_neither_sees_nor_touches_anothers_containers(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        other = bench.engine.other

        assert await other.containers() == ()
        await other.signal(REF, "SIGKILL")
        await other.pause(REF)
        await other.remove(REF)

        assert (await bench.status()).state is ContainerState.RUNNING

    async def test_two_nodes_may_have_an_attempt_of_one_name_each(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        other = bench.engine.other
        await other.create(bench.spec(Program()))

        await bench.runtime.remove(REF)

        assert [status.state for status in await other.containers()] == [ContainerState.CREATED]


class RuntimeSuite(_Images, _Owners, _Starts, _Ends, _Pauses, _Removals, StandbyLaws, LogLaws, ExitLaws, OutageLaws):
    """Every law. A subclass gives the fixture `engine`."""

    @pytest.fixture
    def bench(self, engine: Engine) -> Bench:
        return Bench(engine)


async def _tick_times(bench: Bench, *, after: float) -> list[float]:
    """When the job ticked, as far as one tick after that time."""
    data = b""
    async with aclosing(bench.runtime.log(REF, "")) as log:
        async for chunk in log:
            data += chunk.data
            whole = data[: data.rfind(b"\n") + 1]
            times = [float(line.split()[2]) for line in whole.splitlines() if line.startswith(b"tick")]
            if times and times[-1] > after:
                return times
    raise AssertionError("the log ended")
