"""`headrace explain`, and what the controller answers it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from headrace import wire
from headrace.attempts import Platform
from headrace.client import Client
from headrace.explanations import Change, Edit, Explanation, JointChange, Obstacle, Outlook
from headrace.jobs import Candidate, Condition, Dependency, JobSpec, Requests, Work
from headrace.jobs import Job as JobRecord
from headrace.nodes import Capacity, Cpu, Figure, NodeDescription, Origin
from headrace.projects import Declared
from headrace.refusals import Code, Refusal
from headrace.v1.job_pb2 import Job
from headrace.v1.job_service_pb2 import ExplainJobResponse
from tests.shell import running_controller
from tests.shell.controller_double import Controller, headrace, job

WORK = Work(1e11, "fp64")
ANSWER = ExplainJobResponse(
    job=Job(spec=wire.dump(JobSpec("pi", "registry.example/pi:1"))),
    candidates=[
        wire.dump(Candidate("east-1", "", Platform("linux", "amd64"), ("GPU-1",), 5_400_000, "3 past runs here")),
        wire.dump(Candidate("west-1", "takes no jobs (cordoned)")),
    ],
)


def job_file(folder: Path) -> str:
    file = folder / "pi.yaml"
    file.write_text("name: pi\nimage: registry.example/pi:1\nwork: {flops: 1e11, precision: fp64}\n")
    return str(file)


async def test_a_job_file_is_explained_node_by_node(controller: Controller, tmp_path: Path) -> None:
    controller.answer("ExplainJob", ANSWER)

    ended = await headrace("explain", job_file(tmp_path), "--set", "priority=70", controller=controller.address)

    assert [" ".join(line.split()) for line in ended.lines] == [
        "pi fits 1 of 2 nodes",
        "",
        "NODE FITS PLATFORM RUNS FOR FROM WHY NOT",
        "east-1 yes amd64 about 90m 3 past runs here -",
        "west-1 no - unknown - takes no jobs (cordoned)",
    ]
    (request,) = controller.requests
    assert (request.name, request.spec.priority) == ("", 70)
    assert (request.spec.work.operation_count, request.spec.work.precision) == (1e11, "fp64")


async def test_what_would_change_it_and_when_it_starts_fit_on_a_screen(controller: Controller) -> None:
    changes = [
        Change("resources.memory", "24GiB", "16GiB", ("n7",), 1),
        Change("where", 'region == "north"', "", ("n1", "n2", "n3", "n4"), 1),
    ]
    whole = Explanation(
        job=JobRecord("jobs/pi-1a2b", JobSpec("pi", "registry.example/pi:1")),
        candidates=tuple(Candidate(f"n{number}", "has less than 1 core free") for number in range(8)),
        node_count=10_000,
        fitting_count=0,
        fitting_empty_count=900,
        obstacles=(Obstacle("has less than 1 core free", 9_990), Obstacle("takes no jobs (cordoned)", 10)),
        changes=tuple(changes),
        outlook=Outlook(None, (), "jobs/a would have to end, and nothing says when", 3),
        standing=("room is kept before it for jobs/b",),
    )
    controller.answer("ExplainJob", wire.dump(whole))

    ended = await headrace("explain", "pi", controller=controller.address)

    assert ended.lines[:6] == [
        "pi-1a2b fits 0 of 10000 nodes, and would fit 900 if nothing else ran there; it is QUEUED",
        "  room is kept before it for jobs/b",
        "  when it will start cannot be told: jobs/a would have to end, and nothing says when (3 jobs before it)",
        "  with resources.memory 16GiB instead of 24GiB it would start now on n7",
        '  with no where: region == "north" it would start now on n1, n2, n3 and 1 other',
        "",
    ]
    assert ended.lines[-3:] == [
        "8 of 10000 nodes are shown; in all",
        "  9990 nodes: has less than 1 core free",
        "  10 nodes: takes no jobs (cordoned)",
    ]
    assert len(ended.lines) <= 24


async def test_a_node_that_would_have_to_take_jobs_again_is_told_with_the_command_for_it(
    controller: Controller,
) -> None:
    closed = [
        Change(f"nodes/{node} drain", was, "none", (node,), 1) for node, was in (("a", "cordoned"), ("b", "drained"))
    ]
    whole = Explanation(
        job=JobRecord("jobs/pi-1a2b", JobSpec("pi", "registry.example/pi:1")),
        candidates=(),
        node_count=2,
        fitting_count=0,
        fitting_empty_count=0,
        changes=tuple(closed),
    )
    controller.answer("ExplainJob", wire.dump(whole))

    ended = await headrace("explain", "pi", controller=controller.address)

    assert ended.lines[1:3] == [
        "  with nodes/a drain none instead of cordoned (headrace uncordon a) it would start now on a",
        "  with nodes/b drain none instead of drained (headrace undrain b) it would start now on b",
    ]


async def test_a_change_that_has_others_leave_names_them(controller: Controller) -> None:
    later_ms = round(time.time() * 1000) + 10 * 60_000 + 59_000
    whole = Explanation(
        job=JobRecord("jobs/pi-1a2b", JobSpec("pi", "registry.example/pi:1")),
        candidates=(Candidate("n7", "has less than 1 core free"),),
        node_count=1,
        fitting_count=0,
        fitting_empty_count=1,
        changes=(Change("priority", "60", "80", ("n7",), later_ms, ("dn-1",)),),
    )
    controller.answer("ExplainJob", wire.dump(whole))

    ended = await headrace("explain", "pi", controller=controller.address)

    assert (
        ended.lines[1] == "  with priority 80 instead of 60 it would have jobs/dn-1 leave, and start in about 10m on n7"
    )


async def test_two_changes_that_help_only_together_are_one_sentence(controller: Controller) -> None:
    edits = (Edit("resources.memory", "24GiB", "16GiB"), Edit("where", 'region == "west"', ""))
    whole = Explanation(
        job=JobRecord("jobs/pi-1a2b", JobSpec("pi", "registry.example/pi:1")),
        candidates=(Candidate("n7", "has less than 24GiB memory free"),),
        node_count=1,
        fitting_count=0,
        fitting_empty_count=0,
        joint_changes=(JointChange(edits, ("n7",), 1),),
    )
    controller.answer("ExplainJob", wire.dump(whole))

    ended = await headrace("explain", "pi", controller=controller.address)

    assert (
        ended.lines[1] == "  with resources.memory 16GiB instead of 24GiB, and "
        'no where: region == "west", it would start now on n7'
    )


async def test_the_controller_says_what_would_have_a_job_start_and_it_does(tmp_path: Path) -> None:
    able = NodeDescription(platforms=(Platform("linux", "amd64"),), capacity=Capacity(4000, 8 << 30))
    wanted = JobSpec("train", "team/train:1", resources=Requests(6000, 1 << 30))
    async with running_controller.controller(tmp_path) as running, running_controller.agent(running, "east-1") as node:
        await node.say(description=able)
        found = await running.client.explanation(wanted)
        waits = await running.client.explanation((await running.client.create_job(wanted)).name)
        placed = await running.client.create_job(replace(wanted, resources=Requests(4000, 1 << 30)))

    assert [(one.field, one.to_value, one.nodes) for one in found.changes] == [("resources.cpu", "4", ("east-1",))]
    assert (waits.changes[0].to_value, waits.fitting_count, waits.node_count) == ("4", 0, 1)
    assert waits.obstacles == (Obstacle("has less than 6 cores free", 1),)
    assert waits.outlook == Outlook(None, (), "no node that there is could run it, though it were empty")
    assert placed.node == "east-1"


async def test_a_job_that_was_submitted_is_explained_by_its_name(controller: Controller) -> None:
    controller.answer("ExplainJob", ExplainJobResponse(job=job(node="east-1"), candidates=ANSWER.candidates))

    ended = await headrace("explain", "pi", "-o", "wide", controller=controller.address)

    assert ended.lines[0].startswith("pi-1a2b fits 1 of 2 nodes; it is ")
    assert ended.lines[3].endswith("GPU-1")
    assert controller.requests[0].name == "jobs/pi"


async def test_settings_are_for_files(controller: Controller) -> None:
    ended = await headrace("explain", "pi", "--set", "priority=70", controller=controller.address)

    assert ended.code == 2
    assert "--set is for job files" in ended.complaint


async def test_where_no_node_is_known_that_is_said(controller: Controller) -> None:
    controller.answer("ExplainJob", ExplainJobResponse(job=ANSWER.job))

    ended = await headrace("explain", "pi", controller=controller.address)

    assert ended.lines[0] == "pi: no node has reported yet"


async def test_the_controller_explains_a_job_it_was_not_given(tmp_path: Path) -> None:
    figures = (Figure("fp64_gflops", 100.0, Origin.MEASURED, "NumPy"),)
    cpu = Cpu("EPYC", threads=4, figures=figures)
    able = NodeDescription(cpu=cpu, platforms=(Platform("linux", "amd64"),), capacity=Capacity(4000, 8 << 30))
    wanted = JobSpec("train", "team/train:1", work=WORK)
    async with running_controller.controller(tmp_path) as running, running_controller.agent(running, "east-1") as node:
        await node.say(description=able)
        (found,) = await running.client.explain(wanted)
        assert [one async for one in running.client.jobs()] == []
        created = await running.client.create_job(wanted)
        (same,) = await running.client.explain(created.name)

    assert (found.node, found.reason, found.platform) == ("east-1", "", Platform("linux", "amd64"))
    assert found.run_basis == "declared work, measured figure (NumPy)"
    assert found.run_millis == 5_000
    assert same == found


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [("nobody", "JOB_NOT_FOUND"), (JobSpec("Train", "team/train:1"), "JOB_INVALID")],
)
async def test_what_cannot_be_explained_is_refused(tmp_path: Path, wanted, reason: str) -> None:
    async with running_controller.controller(tmp_path) as running:
        with pytest.raises(Refusal) as caught:
            await running.client.explain(wanted)

    assert caught.value.reason == reason
    assert caught.value.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


async def test_what_a_file_would_wait_for_is_told_and_what_would_be_refused_is(tmp_path: Path) -> None:
    able = NodeDescription(platforms=(Platform("linux", "amd64"),), capacity=Capacity(4000, 8 << 30))
    spec = JobSpec("train", "team/train:1", project="bio")
    declared = {"bio": Declared()}
    async with (
        running_controller.controller(tmp_path, projects=declared) as running,
        running_controller.agent(running, "east-1") as node,
    ):
        await node.say(description=able)
        first = await running.client.create_job(spec)
        follows = replace(spec, after=(Dependency(first.id, Condition.FAILED),))
        found = await running.client.explanation(follows)
        waits = await running.client.create_job(follows)
        await running.client.cancel(first.name)
        other = await running.client.create_job(replace(spec, where="free.cpu > 99"))
        await running.client.cancel(other.name)
        refused = []
        for wanted in (replace(spec, after=(Dependency(other.id, Condition.FAILED),)), replace(spec, project="zzz")):
            with pytest.raises(Refusal) as caught:
                await running.client.explanation(wanted)
            refused.append(caught.value.reason)

    assert waits.reason == f"waits until {first.name} has failed"
    assert (found.outlook, found.standing) == (None, (waits.reason,))
    assert refused == ["DEPENDENCY_IMPOSSIBLE", "PROJECT_UNKNOWN"]


async def test_a_client_has_candidates_as_records(controller: Controller) -> None:
    controller.answer("ExplainJob", ANSWER)

    async with Client(controller.address) as client:
        first, second = await client.explain("pi")

    assert (first.node, first.devices, first.run_millis) == ("east-1", ("GPU-1",), 5_400_000)
    assert (second.reason, second.run_millis, second.platform) == ("takes no jobs (cordoned)", None, None)
