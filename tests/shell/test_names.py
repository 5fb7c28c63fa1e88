"""Which job a name means that is not all of its id."""

from dataclasses import replace
from pathlib import Path

from headrace.jobs import Condition, Dependency
from tests.shell.running_controller import SPEC, controller
from tests.shell.test_controller import refused


async def test_names_may_be_shortened_as_far_as_they_are_unambiguous(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        one = await running.client.create_job(replace(SPEC, display_name="one"))
        await running.client.create_job(replace(SPEC, display_name="only"))

        assert (await running.client.job("jobs/one")).name == one.name
        assert (await refused(running.client.job("on"))).reason == "NAME_AMBIGUOUS"
        assert (await refused(running.client.job("two"))).reason == "JOB_NOT_FOUND"


async def test_a_name_means_the_job_that_is_called_exactly_so(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        one = await running.client.create_job(replace(SPEC, display_name="train"))
        await running.client.create_job(replace(SPEC, display_name="train-large"))

        assert (await running.client.job("train")).name == one.name


async def test_of_jobs_of_one_name_the_one_that_has_not_ended_is_meant(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        for _ in range(2):
            await running.client.cancel((await running.client.create_job(replace(SPEC, display_name="train"))).name)
        refusal = await refused(running.client.job("train"))
        last = await running.client.create_job(replace(SPEC, display_name="train"))

        assert refusal.reason == "NAME_AMBIGUOUS"
        assert (await running.client.job("train")).name == last.name
        after = replace(SPEC, display_name="then", after=(Dependency("train", Condition.ENDED),))
        assert (await running.client.create_job(after)).waits_for == (Dependency(last.id, Condition.ENDED),)
