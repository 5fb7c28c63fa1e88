"""Laws of the controller as its callers meet it: the real one, on loopback."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from controller.services import nodes
from controller.services.jobs import JobService
from headrace import wire
from headrace.attempts import AttemptState, Checkpoint
from headrace.jobs import CheckpointPolicy, Job, JobSpec, JobState
from headrace.refusals import Code, Refusal
from headrace.sessions import Goal, Placement, Report
from headrace.status import refusal_of
from headrace.v1 import job_service_pb2
from headrace.v1 import node_service_pb2 as node_pb
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.shell.running_controller import SPEC, HandWritten, Running, agent, attempt, controller


async def refused(call: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def placed(running: Running, node: HandWritten, spec: JobSpec = SPEC) -> tuple[Job, Placement]:
    """A job of the only node there is, and what that was told of it."""
    await node.say()
    job = await running.client.create_job(spec)
    return job, await node.takes(job.id)


async def test_a_job_is_kept_before_its_submission_is_answered(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        job = await running.client.create_job(SPEC)

    async with controller(tmp_path) as again:
        assert (await again.client.job(job.name)).state is JobState.QUEUED


async def test_a_submission_sent_twice_is_one_job(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        first = await running.client.create_job(SPEC, request_id="r")
        second = await running.client.create_job(SPEC, request_id="r")

        assert first.name == second.name
        assert len([job async for job in running.client.jobs()]) == 1


async def test_a_submission_sent_twice_over_a_restart_is_one_job(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        first = await running.client.create_job(SPEC, request_id="r")

    async with controller(tmp_path) as again:
        assert (await again.client.create_job(SPEC, request_id="r")).name == first.name


async def test_a_check_creates_nothing(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        job = await running.client.check_job(SPEC)

        assert [str(pin.platform) for pin in job.images] == ["linux/amd64", "linux/arm64"]
        assert [one async for one in running.client.jobs()] == []


async def test_an_image_that_is_not_there_is_refused_and_nothing_is_created(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        refusal = await refused(running.client.create_job(replace(SPEC, image="team/train:2")))

        assert refusal.reason == "IMAGE_NOT_FOUND"
        assert [one async for one in running.client.jobs()] == []


async def test_a_spec_that_came_over_the_wire_is_checked_like_a_file(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        refusal = await refused(running.client.create_job(replace(SPEC, priority=1000)))

    assert refusal.code is Code.INVALID_ARGUMENT
    assert "priority" in refusal.message


async def test_jobs_are_listed_page_by_page_without_gap_or_repetition(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        made = {(await running.client.create_job(SPEC)).name for _ in range(7)}
        stub = running.client._connection.jobs
        seen: list[str] = []
        token = ""
        while True:
            page = await stub.ListJobs(_page(token))
            seen += [job.name for job in page.jobs]
            token = page.next_page_token
            if not token:
                break

    assert len(seen) == 7
    assert {*seen} == made


def _page(token: str) -> job_service_pb2.ListJobsRequest:
    return job_service_pb2.ListJobsRequest(page_size=3, page_token=token, filter='state == "queued"')


async def test_an_agents_report_is_acknowledged_and_its_node_is_listed(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        assignment = await node.say()

        assert (assignment.session, assignment.acked_sequence) == (1, 1)
        assert assignment.cluster == running.parts.store.cluster
        assert [one.id async for one in running.client.nodes()] == ["n1"]


async def test_a_job_goes_from_submission_to_its_end_through_one_node(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)
        await node.say(attempt(placement))
        assert (await running.client.job(job.name)).state is JobState.RUNNING

        assignment = await node.say(attempt(placement, AttemptState.EXITED, exit_code=0))

        assert assignment.placements == ()
        assert (await running.client.job(job.name)).state is JobState.SUCCEEDED


async def test_a_node_is_given_the_image_of_its_own_platform_by_digest(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)

        pins = {str(pin.platform): pin.image for pin in job.images}
        assert placement.image == pins["linux/amd64"]
        assert "@sha256:" in placement.image


async def test_what_an_older_epoch_says_is_not_heard(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node, replace(SPEC, checkpoint=CheckpointPolicy("/checkpoint")))
        first = Checkpoint("sha256:" + "1" * 64, 1, 1)
        await node.say(attempt(placement, AttemptState.EXITED, exit_code=85, checkpoint=first))
        assert (await running.client.job(job.name)).epoch == 2

        late = Checkpoint("sha256:" + "2" * 64, 1, 2)
        await node.say(attempt(placement, AttemptState.EXITED, exit_code=0, checkpoint=late))

        now = await running.client.job(job.name)
        assert now.state is JobState.STARTING
        assert now.checkpoint == first


async def test_a_newer_session_ends_an_older_one(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as old, agent(running, session=2) as new:
        await old.say()
        await new.say()

        with pytest.raises(aio.AioRpcError) as caught:
            await old.hears(lambda _: False)

    assert refusal_of(caught.value).reason == "SESSION_SUPERSEDED"


@pytest.mark.parametrize("session", [0, -1, 2**63 - 1])
async def test_a_session_has_a_number_with_room_above_it(tmp_path: Path, session: int) -> None:
    async with controller(tmp_path) as running, agent(running, session=session) as node:
        with pytest.raises(aio.AioRpcError) as caught:
            await node.say()

    assert refusal_of(caught.value).reason == "SESSION_INVALID"


async def test_a_bug_in_what_hears_an_agent_ends_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        monkeypatch.delattr(nodes._Reports, "put")

        with pytest.raises(aio.AioRpcError) as caught:
            await node.say()

    assert refusal_of(caught.value).reason == "BUG"
    assert "AttributeError" in caplog.text


async def test_a_job_with_a_word_that_this_version_does_not_know_is_refused_by_its_field(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        request = job_service_pb2.CreateJobRequest(spec=wire.dump(SPEC))
        request.spec.retry.on.append(9)  # type: ignore[arg-type]

        with pytest.raises(aio.AioRpcError) as caught:
            await running.client._connection.jobs.CreateJob(request)

    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "FIELD_INVALID")
    assert "headrace.v1.Retry.on: 9" in refusal.message


async def test_an_older_session_is_refused(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running, session=5) as new, agent(running) as old:
        await new.say()

        with pytest.raises(aio.AioRpcError) as caught:
            await old.say()

    refusal = refusal_of(caught.value)
    assert refusal.reason == "SESSION_SUPERSEDED"
    assert "do two agents have the same `node`" in refusal.message


@pytest.mark.parametrize("node", ["", "Node", "a/b", "-a", "n" * 64])
async def test_a_node_must_have_an_id(tmp_path: Path, node: str) -> None:
    async with controller(tmp_path) as running, agent(running, node=node) as unnamed:
        with pytest.raises(aio.AioRpcError) as caught:
            await unnamed.say()

    assert refusal_of(caught.value).reason == "NODE_INVALID"


async def test_a_report_of_another_node_in_one_stream_is_refused(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        await node.say()
        await node.stream.write(wire.dump(Report("n2", 1, 1)))

        with pytest.raises(aio.AioRpcError) as caught:
            await node.hears(lambda _: False)

    assert refusal_of(caught.value).reason == "SESSION_MIXED"


async def test_a_log_is_taken_from_the_jobs_own_node_and_epoch_alone(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)
        await node.say(attempt(placement))

        cursor = await _append(node.stub, job.id, node="n1", epoch=1, cursor="a", data=b"one\n")
        with pytest.raises(aio.AioRpcError) as of_another_node:
            await _append(node.stub, job.id, node="n2", epoch=1, cursor="a", data=b"two\n")
        with pytest.raises(aio.AioRpcError) as of_another_epoch:
            await _append(node.stub, job.id, node="n1", epoch=2, cursor="a", data=b"two\n")

        assert cursor == "a"
        assert refusal_of(of_another_node.value).reason == "STALE_EPOCH"
        assert refusal_of(of_another_epoch.value).reason == "STALE_EPOCH"
        assert await _log(running, job.name) == b"one\n"


async def _append(stub: NodeServiceStub, job: str, *, node: str, epoch: int, cursor: str, data: bytes) -> str:
    request = node_pb.AppendLogRequest(job=job, node=node, epoch=epoch, cursor=cursor, data=data)
    return (await stub.AppendLog(request)).cursor


async def _log(running: Running, name: str, *, follow: bool = False) -> bytes:
    return b"".join([part.data async for part in running.client.read_log(name, follow=follow)])


async def test_a_log_that_is_followed_ends_with_the_job(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)
        await node.say(attempt(placement))
        following = asyncio.create_task(_log(running, job.name, follow=True))
        await _append(node.stub, job.id, node="n1", epoch=1, cursor="a", data=b"one\n")

        await node.say(attempt(placement, AttemptState.EXITED, exit_code=0))

        async with asyncio.timeout(10):
            assert await following == b"one\n"


async def test_a_job_that_is_watched_is_told_of_until_it_has_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)
        watching = asyncio.create_task(running.client.wait(job.name))

        await node.say(attempt(placement))
        await node.say(attempt(placement, AttemptState.EXITED, exit_code=3))

        async with asyncio.timeout(10):
            ended = await watching
        assert ended.state is JobState.FAILED
        assert ended.exit_code == 3


async def test_cancelling_a_job_asks_its_node_and_cancelling_an_ended_one_changes_nothing(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)
        await node.say(attempt(placement))

        await running.client.cancel(job.name)
        asked = await node.hears(lambda one: bool(one.placements) and one.placements[0].goal is Goal.CANCEL)
        await node.say(attempt(placement, AttemptState.EXITED, exit_code=143, stop_requested=True))

        assert asked.placements[0].epoch == placement.epoch
        assert (await running.client.cancel(job.name)).state is JobState.CANCELLED


async def test_a_move_to_an_unknown_node_is_refused_and_names_those_there_are(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, agent(running) as node:
        job, placement = await placed(running, node)
        await node.say(attempt(placement))

        refusal = await refused(running.client.migrate(job.name, target="mars"))

    assert refusal.reason == "NODE_NOT_FOUND"
    assert "n1" in refusal.message


async def test_a_where_that_cannot_be_read_is_refused_and_names_the_field(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal) as caught:
            [one async for one in running.client.nodes('arhc == "arm64"')]

    assert caught.value.reason == "QUERY_INVALID"
    assert "arch" in caught.value.message


async def test_events_go_on_where_a_watch_had_ended(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        job = await running.client.create_job(SPEC)
        first = [event async for event in running.client.events(job.name)]
        await running.client.cancel(job.name)

        async with asyncio.timeout(10):
            watch = running.client.watch_events(job.name, after_sequence=first[-1].sequence)
            assert (await anext(watch)).reason == "JOB_CANCELLED"


async def test_the_newest_events_are_told_oldest_first_page_by_page(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        for _ in range(3):
            await running.client.create_job(SPEC)
        every = [event.sequence async for event in running.client.events()]

        newest = [event.sequence async for event in running.client.events(newest=2)]
        watch = running.client.watch_events(after_sequence=every[-2])

        assert newest == every[-2:]
        assert (await anext(watch)).sequence == every[-1]
        assert [event async for event in running.client.events(since_ms=1 << 45)] == []


async def test_events_of_a_node_that_there_never_was_are_refused(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        with pytest.raises(Refusal) as caught:
            [event async for event in running.client.events("nodes/nowhere")]

    assert caught.value.reason == "NODE_NOT_FOUND"


async def test_health_and_reflection_answer(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, aio.insecure_channel(running.address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
        services = {one.name async for answer in answers for one in answer.list_services_response.service}

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert {"headrace.v1.JobService", "headrace.v1.NodeService", "headrace.v1.CheckpointService"} <= services


async def test_errors_are_a_status_with_one_error_info(tmp_path: Path) -> None:
    async with controller(tmp_path) as running, aio.insecure_channel(running.address) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await NodeServiceStub(channel).GetNode(node_pb.GetNodeRequest(name="nodes/x"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert refusal_of(caught.value).reason == "NODE_NOT_FOUND"


async def test_no_call_is_cancelled_because_thousands_wait(tmp_path: Path) -> None:
    # gRPC's own limit is 3,000 calls that nobody has taken up.
    async with controller(tmp_path) as running:
        call = running.client._connection.nodes.ListNodes
        answers = await asyncio.gather(*(call(node_pb.ListNodesRequest()) for _ in range(4_000)))

    assert len(answers) == 4_000


async def test_a_cancel_that_comes_just_after_the_end_answers_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controller(tmp_path) as running:
        job = await running.client.create_job(SPEC)
        ended = await running.client.cancel(job.name)

        async def as_it_was(_service: object, _name: str) -> Job:
            return job

        monkeypatch.setattr(JobService, "_job", as_it_was)
        assert await running.client.cancel(job.name) == ended
