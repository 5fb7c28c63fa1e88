"""Gangs as the controller's callers and a task's program meet them."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.contract import environment, meeting
from agent.reachability import own_address
from headrace.attempts import Platform
from headrace.jobs import JobSpec, JobState
from headrace.refusals import Refusal
from headrace.sessions import Placement
from headrace.settings import load_agent
from tests.shell.running_controller import SPEC, controller

GANG = replace(SPEC, task_count=3)


async def test_a_list_of_jobs_has_gangs_and_not_their_tasks(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        gang = await running.client.create_job(GANG)
        other = await running.client.create_job(SPEC)

        assert {job.name async for job in running.client.jobs()} == {gang.name, other.name}
        tasks = [job async for job in running.client.tasks(gang.name)]

    assert [(job.name, job.task, job.gang) for job in tasks] == [(f"{gang.name}-{n}", n, gang.id) for n in range(3)]


async def test_a_gangs_name_may_be_shortened_and_its_tasks_are_named_in_full(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        gang = await running.client.create_job(GANG)

        assert (await running.client.job(gang.id[:-2])).name == gang.name
        assert (await running.client.job(f"{gang.id}-1")).task == 1
        with pytest.raises(Refusal, match="there is no job"):
            await running.client.job(f"{gang.id}-")


async def test_a_gang_is_cancelled_with_all_its_tasks(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        gang = await running.client.create_job(GANG)
        await running.client.cancel(gang.name)
        ended = await running.client.wait(gang.name)

        assert ended.state is JobState.CANCELLED
        assert {job.state async for job in running.client.tasks(gang.name)} == {JobState.CANCELLED}


def placement(**changes: object) -> Placement:
    plain = Placement(
        "train-1-2", 4, "image", Platform("linux", "amd64"), JobSpec("train", "image", task_count=3), task=2
    )
    return replace(plain, gang="train-1", **changes)  # type: ignore[arg-type]


def test_a_task_is_told_its_gang_its_number_and_where_all_meet() -> None:
    told = environment(placement(rendezvous="10.0.0.7:29500"), accelerator="")

    assert (told["HEADRACE_JOB"], told["HEADRACE_TASK"], told["HEADRACE_EPOCH"]) == ("train-1", "2", "4")
    assert (told["HEADRACE_RANK"], told["HEADRACE_WORLD_SIZE"]) == ("2", "3")
    assert told["HEADRACE_RENDEZVOUS"] == "10.0.0.7:29500"


def test_a_task_that_has_no_meeting_point_is_told_of_none() -> None:
    assert "HEADRACE_RENDEZVOUS" not in environment(placement(), accelerator="")
    assert meeting(placement()) == {}


@pytest.mark.parametrize(("at", "host"), [("10.0.0.7:29500", "10.0.0.7"), ("[fd00::7]:29500", "fd00::7")])
def test_pytorch_is_told_where_all_meet(at: str, host: str) -> None:
    assert meeting(placement(rendezvous=at)) == {"MASTER_ADDR": host, "MASTER_PORT": "29500"}


@pytest.mark.parametrize("controller_address", ["127.0.0.1:7400", "unix:/run/headrace.sock", "localhost:7400"])
def test_with_a_controller_on_this_machine_a_node_is_reached_on_it(controller_address: str) -> None:
    assert own_address(controller_address) == "127.0.0.1"


def test_a_node_that_does_not_find_the_controllers_name_knows_no_address() -> None:
    assert own_address("controller.invalid:7400") == ""


def test_a_nodes_address_is_a_host_without_a_port(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('node = "n"\naddress = "10.0.0.7:29500"\n')

    with pytest.raises(Refusal, match="write it without a port"):
        load_agent(file, {})
