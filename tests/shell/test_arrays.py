"""Arrays and dependencies as the controller's callers and an element's program meet them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.contract import environment
from agent.runtimes.runtime import ContainerSpec
from headrace import elements
from headrace.attempts import Platform
from headrace.jobs import Condition, Dependency, JobSpec, JobState, Requests
from headrace.refusals import Refusal
from headrace.sessions import Placement
from tests.contract.fake_runtime import FakeRuntime
from tests.contract.programs import Program
from tests.shell.running_controller import SPEC, controller
from tests.shell.test_device_ledger import agent, node_that

ARRAY = replace(SPEC, element_count=5_000)


def after(name: str, condition: Condition = Condition.SUCCEEDED) -> JobSpec:
    return replace(SPEC, after=(Dependency(name, condition),))


async def test_a_job_that_is_not_there_is_not_followed_and_the_field_that_names_it_is_told(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal) as refused:
            await running.client.create_job(after("nobody"))

    assert (refused.value.reason, refused.value.metadata) == ("JOB_NOT_FOUND", {"field": "after"})
    assert str(refused.value) == "after: there is no job 'nobody'; `headrace jobs` lists them"


async def test_a_list_of_jobs_has_an_array_once(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        assert [one.name async for one in running.client.jobs()] == [array.name]
        begun = [one async for one in running.client.tasks(array.name)]

    assert {one.array for one in begun} == {array.id}
    assert len(begun) == 64


async def test_an_element_is_found_whether_it_has_had_its_turn_or_not(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        first, last = [await running.client.job(f"{array.id}-{number}") for number in (0, 4_999)]
        with pytest.raises(Refusal, match="there is no job"):
            await running.client.job(f"{array.id}-5000")

    assert (first.array_index, last.array_index) == (0, 4_999)
    assert last.reason == "waits for its turn among the elements of its array"


async def test_an_element_that_waits_for_its_turn_is_cancelled_alone(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        cancelled = await running.client.cancel(f"{array.id}-4999")
        known = (await running.client.job(array.name)).elements

    assert cancelled.state is JobState.CANCELLED
    assert known is not None
    assert elements.described(known.cancelled) == "4999"


async def test_an_array_is_cancelled_with_all_its_elements(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        await running.client.cancel(array.name)
        ended = await running.client.wait(array.name)

    assert (ended.state, ended.elements is not None and ended.elements.cancelled_count) == (JobState.CANCELLED, 5_000)


async def test_an_element_is_watched_before_its_turn_and_until_its_end(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)
        waits = asyncio.create_task(running.client.wait(f"{array.id}-4999"))
        await asyncio.sleep(0)

        await running.client.cancel(array.name)

        assert (await waits).state is JobState.CANCELLED


async def test_an_element_that_waits_for_its_turn_cannot_move(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        with pytest.raises(Refusal, match="waits for its turn") as caught:
            await running.client.migrate(f"{array.id}-4999")

    assert caught.value.reason == "JOB_NOT_RUNNING"


async def test_what_each_node_is_for_an_array_is_told(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        assert await running.client.explain(array.name) == ()


async def test_the_log_of_an_element_that_has_not_begun_is_empty(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)

        assert [part async for part in running.client.read_log(f"{array.id}-4999")] == []


async def test_a_job_names_what_it_follows_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        first = await running.client.create_job(replace(SPEC, display_name="prepare"))

        second = await running.client.create_job(after("prepare"))
        await running.client.cancel(first.name)
        ended = await running.client.wait(second.name)

    assert second.waits_for == (Dependency(first.id),)
    assert second.reason == f"waits until {first.name} has succeeded"
    assert (ended.state, ended.reason) == (
        JobState.CANCELLED,
        f"after: {first.name} is CANCELLED, and was to be one that has succeeded",
    )


async def test_a_job_that_follows_one_that_has_ended_is_judged_at_once(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        first = await running.client.create_job(replace(SPEC, display_name="prepare"))
        await running.client.cancel(first.name)

        second = await running.client.create_job(after("prepare", Condition.ENDED))
        with pytest.raises(Refusal, match="would never start") as caught:
            await running.client.create_job(after("prepare"))
        with pytest.raises(Refusal, match="there is no job 'nothing'"):
            await running.client.create_job(after("nothing"))

    assert second.waits_for == ()
    assert caught.value.reason == "DEPENDENCY_IMPOSSIBLE"


def test_an_element_is_told_its_array_its_number_and_how_many_there_are() -> None:
    spec = JobSpec("train", "image", element_count=100)
    placement = Placement("train-1-7", 1, "image", Platform("linux", "amd64"), spec, array="train-1", array_index=7)

    told = environment(placement, accelerator="")

    assert (told["HEADRACE_JOB"], told["HEADRACE_RANK"], told["HEADRACE_WORLD_SIZE"]) == ("train-1-7", "0", "1")
    assert [told[f"HEADRACE_ARRAY{what}"] for what in ("", "_INDEX", "_SIZE")] == ["train-1", "7", "100"]
    assert "HEADRACE_ARRAY" not in environment(replace(placement, array=""), accelerator="")


class Recording(FakeRuntime):
    """Remembers what its containers were told."""

    def __init__(self) -> None:
        super().__init__("n1")
        self.told: dict[str, str] = {}

    async def create(self, spec: ContainerSpec) -> None:
        self.told[spec.ref.job] = spec.env.get("HEADRACE_ARRAY_INDEX", "")
        await super().create(spec)


async def test_an_array_runs_on_a_real_agent_and_what_follows_it_runs_after_it(tmp_path: Path) -> None:
    runtime, small = Recording(), Requests(100, 16 << 20)
    spec = replace(SPEC, resources=small, command=Program(lines=1).command, element_count=5)
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", runtime, running.address):
        await node_that(running.client, lambda node: bool(node.devices))
        array = await running.client.create_job(spec)
        last = await running.client.create_job(replace(spec, element_count=1, after=(Dependency(array.id),)))
        async with asyncio.timeout(60):
            ended, followed = await running.client.wait(array.name), await running.client.wait(last.name)
        log = b"".join([part.data async for part in running.client.read_log(f"{array.id}-3")])

    assert (ended.state, followed.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert runtime.told == {f"{array.id}-{number}": str(number) for number in range(5)} | {last.id: ""}
    assert log == b"line 0\n"
    assert (followed.start_time_ms or 0) >= (ended.end_time_ms or 0)


async def test_a_controller_that_starts_anew_has_the_array_as_it_was(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        array = await running.client.create_job(ARRAY)
        await running.client.cancel(f"{array.id}-7")
        follows = await running.client.create_job(after(array.id))
        before = [(job.name, job.epoch) async for job in running.client.tasks(array.name)]
    async with controller(tmp_path) as running:
        again = [(job.name, job.epoch) async for job in running.client.tasks(array.name)]
        waits = await running.client.job(follows.name)
        await running.client.cancel(array.name)
        ended = await running.client.wait(array.name)
        followed = await running.client.wait(follows.name)

    assert again == before
    assert waits.waits_for == (Dependency(array.id),)
    assert (ended.elements is not None and ended.elements.cancelled_count, followed.state) == (
        5_000,
        JobState.CANCELLED,
    )
