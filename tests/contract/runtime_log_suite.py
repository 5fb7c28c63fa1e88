"""What every Runtime's logs, exits and outages are, as laws; tests/contract/runtime_suite.py has the others."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from agent.runtimes.runtime import ContainerState, ContainerStatus, EngineUnreachable, Ref, RuntimeRefused, Waiting
from tests.contract.programs import Program
from tests.contract.runtime_bench import REF, TICKS, WAITS, Bench

_CALLS: dict[str, Callable[[Bench], Awaitable[object]]] = {
    "version": lambda bench: bench.runtime.version(),
    "pull": lambda bench: bench.runtime.pull(bench.engine.image, bench.engine.platform),
    "create": lambda bench: bench.runtime.create(bench.spec(WAITS)),
    "start": lambda bench: bench.runtime.start(REF),
    "stand_by": lambda bench: bench.runtime.stand_by(bench.spec(WAITS), Waiting("/headrace/init", "/nowhere/word")),
    "stand_down": lambda bench: bench.runtime.stand_down(REF),
    "signal": lambda bench: bench.runtime.signal(REF, "SIGTERM"),
    "pause": lambda bench: bench.runtime.pause(REF),
    "unpause": lambda bench: bench.runtime.unpause(REF),
    "remove": lambda bench: bench.runtime.remove(REF),
    "containers": lambda bench: bench.runtime.containers(),
    "exits": lambda bench: anext(bench.runtime.exits()),
    "log": lambda bench: anext(bench.runtime.log(REF, "")),
}


class LogLaws:
    async def test_a_log_has_what_the_job_printed_and_ends_with_it(self, bench: Bench) -> None:
        program = Program(lines=100)
        await bench.started(program)

        assert (await bench.read_all())[1] == program.out

    async def test_a_log_has_both_streams(self, bench: Bench) -> None:
        program = Program(lines=3, errors=3)
        await bench.started(program)

        _, log = await bench.read_all()

        assert sorted(log.splitlines()) == sorted((program.out + program.err).splitlines())

    async def test_a_line_of_any_length_is_whole(self, bench: Bench) -> None:
        program = Program(dots=200_000)
        await bench.started(program)

        assert (await bench.read_all())[1] == program.out

    async def test_a_second_reader_goes_on_where_the_first_left(self, bench: Bench) -> None:
        program = Program(lines=30_000)
        await bench.started(program)
        cursor, first = await bench.read_until(b"\n")
        assert len(first) < len(program.out)

        _, second = await bench.read_all(cursor=cursor)

        assert first + second == program.out

    async def test_a_log_is_followed_without_a_hole_over_many_readers(self, bench: Bench) -> None:
        await bench.ready(TICKS)
        cursor, log = "", b""

        for _ in range(10):
            cursor, more = await bench.read_until(b"tick", cursor=cursor)
            log += more

        numbers = [int(line.split()[1]) for line in log.splitlines() if line.startswith(b"tick")]
        assert len(numbers) >= 10
        assert numbers == list(range(len(numbers)))

    async def test_nothing_comes_after_the_last_cursor(self, bench: Bench) -> None:
        await bench.started(Program(lines=5, errors=5))
        cursor, _ = await bench.read_all()

        assert (await bench.read_all(cursor=cursor))[1] == b""

    async def test_a_log_is_read_while_its_container_is_paused(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        await bench.runtime.pause(REF)

        assert (await bench.read_until(b"ready\n"))[1] == WAITS.out

    async def test_a_log_ends_when_its_container_is_removed(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        reading = asyncio.create_task(bench.read_all())
        await bench.read_until(b"ready\n")

        await bench.runtime.remove(REF)

        assert (await reading)[1] in (b"", WAITS.out)

    async def test_there_is_no_log_before_the_start(self, bench: Bench) -> None:
        await bench.created(WAITS)

        with pytest.raises(RuntimeRefused) as refused:
            await bench.read_all()

        assert refused.value.reason == "CONTAINER_NOT_STARTED"

    async def test_there_is_no_log_of_what_was_never_made(self, bench: Bench) -> None:
        with pytest.raises(RuntimeRefused) as refused:
            await bench.read_all()

        assert refused.value.reason == "CONTAINER_MISSING"

    @pytest.mark.parametrize("cursor", ["yesterday", "#x", "2026-11-23#1"])
    async def test_a_cursor_of_someone_else_is_refused(self, bench: Bench, cursor: str) -> None:
        await bench.started(Program())

        with pytest.raises(RuntimeRefused) as refused:
            await bench.read_all(cursor=cursor)

        assert refused.value.reason == "LOG_CURSOR_INVALID"


class ExitLaws:
    async def test_an_exit_is_told_with_its_code(self, bench: Bench) -> None:
        async with aclosing(bench.runtime.exits()) as exits:
            await bench.started(Program(exit_code=7))

            assert await anext(exits) == ContainerStatus(REF, ContainerState.EXITED, 7)

    async def test_exits_are_told_from_the_call_on(self, bench: Bench) -> None:
        await bench.started(Program(exit_code=1), Ref("earlier", 0, 1))
        await bench.ended(Ref("earlier", 0, 1))

        async with aclosing(bench.runtime.exits()) as exits:
            await bench.started(Program(exit_code=2), Ref("later", 0, 1))

            assert (await anext(exits)).exit_code == 2

    async def test_another_nodes_exits_are_not_told(self, bench: Bench) -> None:
        await bench.created(Program(exit_code=2))
        await bench.engine.other.create(bench.spec(Program(exit_code=1)))

        async with aclosing(bench.runtime.exits()) as exits:
            async with aclosing(bench.engine.other.exits()) as others:
                await bench.engine.other.start(REF)
                assert (await anext(others)).exit_code == 1
            await bench.runtime.start(REF)

            assert (await anext(exits)).exit_code == 2

    async def test_a_removed_containers_exit_is_told(self, bench: Bench) -> None:
        await bench.ready(WAITS)

        async with aclosing(bench.runtime.exits()) as exits:
            await bench.runtime.remove(REF)

            assert (await anext(exits)).ref == REF


class OutageLaws:
    @pytest.mark.parametrize("call", _CALLS)
    async def test_an_engine_that_is_not_there_is_unreachable_and_nothing_else(self, bench: Bench, call: str) -> None:
        await bench.engine.cut()

        with pytest.raises(EngineUnreachable):
            await _CALLS[call](bench)

    async def test_a_container_outlives_its_engines_silence(self, bench: Bench) -> None:
        await bench.ready(WAITS)

        await bench.engine.cut()
        with pytest.raises(EngineUnreachable):
            await bench.status()
        await bench.engine.mend()

        assert (await bench.status()).state is ContainerState.RUNNING

    async def test_exits_break_off_with_the_engine(self, bench: Bench) -> None:
        async with aclosing(bench.runtime.exits()) as exits:
            await bench.started(Program())
            await anext(exits)

            await bench.engine.cut()

            with pytest.raises(EngineUnreachable):
                await anext(exits)

    async def test_a_log_breaks_off_with_the_engine_and_goes_on_after_it(self, bench: Bench) -> None:
        await bench.ready(WAITS)
        async with aclosing(bench.runtime.log(REF, "")) as log:
            chunk = await anext(log)
            await bench.engine.cut()

            with pytest.raises(EngineUnreachable):
                await anext(log)
        await bench.engine.mend()
        await bench.runtime.signal(REF, "SIGUSR1")

        _, rest = await bench.read_until(b"SIGUSR1\n", cursor=chunk.cursor)
        assert chunk.data + rest == WAITS.out + b"SIGUSR1\n"
