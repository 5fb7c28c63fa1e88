"""Laws of submissions as callers meet them: one request is one job, and what no node can run is refused."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controller.submissions import Submissions
from headrace.attempts import AttemptState, Platform
from headrace.jobs import Dependency, Job, JobSpec, JobState
from headrace.projects import Declared
from headrace.refusals import Code, Refusal
from tests.shell.registry_double import AMD64, Request
from tests.shell.running_controller import SPEC, HandWritten, Running, agent, attempt, controller
from tests.shell.test_controller import refused

S390X = Platform("linux", "s390x")


async def ended_job(running: Running, node: HandWritten, request_id: str = "r") -> Job:
    """A job of that request, which has run and succeeded."""
    await node.say()
    job = await running.client.create_job(SPEC, request_id=request_id)
    placement = await node.takes(job.id)
    await node.say(attempt(placement))
    await node.say(attempt(placement, AttemptState.EXITED, exit_code=0))
    return await running.client.job(job.name)


async def jobs(running: Running) -> list[Job]:
    return [job async for job in running.client.jobs()]


async def test_a_request_that_is_repeated_answers_with_its_job_that_has_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        ended = await ended_job(running, node)

        assert await running.client.create_job(SPEC, request_id="r") == ended
        assert await jobs(running) == [ended]


async def test_a_request_that_is_repeated_after_a_restart_answers_with_its_job_that_has_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        ended = await ended_job(running, node)

    async with controller(tmp_path) as again:
        assert await again.client.create_job(SPEC, request_id="r") == ended
        assert await jobs(again) == [ended]


async def test_a_request_that_is_repeated_is_answered_without_the_registry(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        first = await running.client.create_job(SPEC, request_id="r")
        running.registry.contents.clear()

        assert await running.client.create_job(SPEC, request_id="r") == first


async def test_a_creation_goes_on_when_its_caller_has_left_and_the_next_caller_shares_it() -> None:
    submissions = Submissions()
    begun, go_on = asyncio.Event(), asyncio.Event()
    made = (Job(name="jobs/first", spec=SPEC),)

    async def create() -> tuple[Job, ...]:
        assert not begun.is_set()
        begun.set()
        await go_on.wait()
        return made

    left = asyncio.create_task(submissions.once(("r",), create))
    await begun.wait()
    left.cancel()
    again = asyncio.create_task(submissions.once(("r",), create))
    await asyncio.wait([left])
    go_on.set()

    assert await again is made


async def test_a_creation_that_is_over_is_not_shared() -> None:
    submissions = Submissions()
    names = iter(("jobs/first", "jobs/second"))

    async def create() -> tuple[Job, ...]:
        return (Job(name=next(names), spec=SPEC),)

    made = [await submissions.once(("r",), create) for _ in range(2)]

    assert [job.name for (job,) in made] == ["jobs/first", "jobs/second"]


async def test_a_creation_waits_for_another_one_that_has_a_part_of_its_requests() -> None:
    submissions, go_on, said = Submissions(), asyncio.Event(), list[str]()

    async def first() -> tuple[Job, ...]:
        await go_on.wait()
        said.append("first")
        return ()

    async def second() -> tuple[Job, ...]:
        said.append("second")
        return ()

    both = [asyncio.create_task(submissions.once(("a", "b"), first))]
    await asyncio.sleep(0)
    both.append(asyncio.create_task(submissions.once(("b",), second)))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*both)

    assert said == ["first", "second"]


async def test_two_requests_at_once_with_one_id_and_two_names_are_one_job(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        specs = [SPEC, replace(SPEC, display_name="other")]

        first, second = await asyncio.gather(*(running.client.create_job(spec, request_id="r") for spec in specs))

        assert first == second
        assert await jobs(running) == [first]


async def test_jobs_that_are_submitted_together_are_all_created_in_their_order(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        specs = [replace(SPEC, display_name=name) for name in ("one", "two", "three")]

        made = await running.client.create_jobs(specs, request_ids=["1", "2", "3"])

        assert [job.spec.display_name for job in made] == ["one", "two", "three"]
        assert [job.state for job in made] == [JobState.STARTING] * 3
        assert await running.client.create_jobs(specs, request_ids=["1", "2", "3"]) == made
        assert await running.client.create_job(specs[1], request_id="2") == made[1]
        assert len(await jobs(running)) == 3


async def test_a_request_of_several_that_made_a_job_before_is_answered_with_that(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        ended = await ended_job(running, node, "1")

        first, second = await running.client.create_jobs([SPEC, SPEC], request_ids=["1", "2"])

        assert first == ended
        assert second.state is JobState.STARTING


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (replace(SPEC, image="team/train:far"), "requests.1.: no node can run"),
        (replace(SPEC, image="team/none:1"), "requests.1.: .*team/none"),
        (replace(SPEC, project="nobody"), "requests.1.: .*project"),
        (replace(SPEC, display_name=""), "requests.1.: "),
    ],
)
async def test_of_jobs_that_are_submitted_together_none_is_created_if_one_cannot_be(
    tmp_path: Path, second: JobSpec, why: str
) -> None:
    async with controller(tmp_path, projects={"ours": Declared()}) as running, agent(running) as node:
        await node.say()
        running.registry.image(S390X, tag="far")

        with pytest.raises(Refusal, match=why):
            await running.client.create_jobs([SPEC, second])

        assert await jobs(running) == []


def following(name: str, *others: str) -> JobSpec:
    return replace(SPEC, display_name=name, after=tuple(Dependency(one) for one in others))


async def test_jobs_that_are_submitted_together_name_each_other_in_any_order(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        # Of that name there is one that is not meant.
        other = await running.client.create_job(following("first"))
        specs = [following("last", "first", "middle", other.id), following("middle", "first"), following("first")]

        last, middle, first = await running.client.create_jobs(specs, request_ids=["1", "2", "3"])

        assert [one.job for one in last.waits_for] == [first.id, middle.id, other.id]
        assert [one.job for one in middle.waits_for] == [first.id]
        assert first.waits_for == ()
        assert await running.client.create_jobs(specs, request_ids=["1", "2", "3"]) == (last, middle, first)


async def test_what_a_request_made_before_is_followed_by_name_as_well(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        await running.client.create_job(following("first"))
        first = await running.client.create_job(following("first"), request_id="1")

        same, last = await running.client.create_jobs(
            [following("first"), following("last", "first")], request_ids=["1", "2"]
        )

        assert same == first
        assert [one.job for one in last.waits_for] == [first.id]


@pytest.mark.parametrize(
    ("specs", "reason", "why"),
    [
        (
            [following("one", "two"), following("two", "one")],
            "DEPENDENCY_CIRCLE",
            "requests.0.: after: one waits for two, which waits for one: none of them would ever start",
        ),
        (
            [following("one"), following("one"), following("two", "one")],
            "NAME_AMBIGUOUS",
            "requests.2.: after: 'one' may be any of 2 jobs that are submitted with it; give each its own name",
        ),
        ([following("one"), following("two", "three")], "JOB_NOT_FOUND", "requests.1.: after: there is no job 'three'"),
    ],
)
async def test_none_is_created_where_one_follows_what_cannot_be(
    tmp_path: Path, specs: list[JobSpec], reason: str, why: str
) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal, match=why) as refused:
            await running.client.create_jobs(specs)

        assert refused.value.reason == reason
        assert await jobs(running) == []


async def test_a_job_of_a_name_may_follow_the_one_of_that_name_before_it(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        before = await running.client.create_job(following("nightly"))

        after, _ = await running.client.create_jobs([following("nightly", "nightly"), following("other")])

        assert [one.job for one in after.waits_for] == [before.id]


@pytest.mark.parametrize("count", [0, 1001])
async def test_none_or_too_many_jobs_at_a_time_are_refused(tmp_path: Path, count: int) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal, match="send 1 to 1000 at a time"):
            await running.client.create_jobs([SPEC] * count)


async def test_one_request_for_two_jobs_is_refused(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal, match="give each a request_id of its own"):
            await running.client.create_jobs([SPEC, SPEC], request_ids=["r", "r"])


async def test_of_several_jobs_either_each_has_a_request_id_or_none(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal, match="request_ids: 1 of them for 2 jobs; give one for each job, or none"):
            await running.client.create_jobs([SPEC, SPEC], request_ids=["1"])

        assert await jobs(running) == []


async def test_images_of_several_jobs_are_looked_up_at_the_same_time(tmp_path: Path) -> None:
    tags = ("one", "two", "three")
    async with controller(tmp_path) as running:
        for tag in tags:
            running.registry.image(AMD64, tag=tag)
        all_asked = asyncio.Barrier(len(tags))

        async def until_all_are_asked(request: Request) -> None:
            if request.target.endswith(tags):
                await all_asked.wait()

        running.registry.before = until_all_are_asked
        made = await running.client.create_jobs([replace(SPEC, image=f"team/train:{tag}") for tag in tags])

        assert [job.images[0].reference for job in made] == [f"team/train:{tag}" for tag in tags]


async def test_of_several_images_that_are_missing_the_first_is_named_whichever_is_found_out_first(
    tmp_path: Path,
) -> None:
    async with controller(tmp_path) as running:
        second_asked = asyncio.Event()

        async def first_is_slow(request: Request) -> None:
            if request.target.endswith("second"):
                second_asked.set()
            elif request.target.endswith("first"):
                await second_asked.wait()

        running.registry.before = first_is_slow
        with pytest.raises(Refusal, match=r"requests.0.: .*train:first"):
            await running.client.create_jobs([replace(SPEC, image=f"team/train:{tag}") for tag in ("first", "second")])


@pytest.mark.parametrize("how", ["create_job", "check_job"])
async def test_an_image_that_no_node_can_run_is_refused_and_nothing_is_created(tmp_path: Path, how: str) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        running.registry.image(S390X, tag="far")

        with pytest.raises(Refusal, match="for linux/s390x; the nodes that there are run linux/amd64; ") as refused:
            await getattr(running.client, how)(replace(SPEC, image="team/train:far"))

        assert (refused.value.code, refused.value.reason) == (Code.FAILED_PRECONDITION, "IMAGE_NO_NODE")
        assert await jobs(running) == []


async def test_an_image_is_taken_on_while_no_node_is_known(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        running.registry.image(S390X, tag="far")

        job = await running.client.create_job(replace(SPEC, image="team/train:far"))

        assert job.state is JobState.QUEUED


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(SPEC, priority=1 << 40), "priority: 1099511627776 is not from 0"),
        (replace(SPEC, env={"A": "\ud800"}), "env.A: has half a character"),
    ],
)
async def test_what_no_message_can_hold_is_refused_by_its_field(tmp_path: Path, wrong: JobSpec, message: str) -> None:
    async with controller(tmp_path) as running:
        client = running.client
        for submitting in (client.create_job(wrong), client.create_jobs([SPEC, wrong]), client.check_job(wrong)):
            with pytest.raises(Refusal) as refused:
                await submitting

            assert (refused.value.reason, refused.value.message.startswith(message)) == ("JOB_INVALID", True)


@pytest.mark.parametrize("request_id", ["a\0b", 201 * "a"], ids=["zero", "long"])
async def test_a_request_id_that_not_every_store_can_hold_is_refused(tmp_path: Path, request_id: str) -> None:
    async with controller(tmp_path) as running:
        one = await refused(running.client.create_job(SPEC, request_id=request_id))
        several = await refused(running.client.create_jobs([SPEC, SPEC], request_ids=["a", request_id]))

        assert [each.reason for each in (one, several)] == 2 * ["REQUEST_ID_INVALID"]
        assert one.message.startswith("request_id: has a zero byte, or more than 200 characters; send a UUID")
        assert several.message.startswith("requests[1]: request_id: ")
