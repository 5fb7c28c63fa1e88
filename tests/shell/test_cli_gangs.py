"""headrace job, logs, outputs of gangs: one job for people, its tasks below it."""

from pathlib import Path

from headrace.v1 import job_pb2
from headrace.v1.job_service_pb2 import ListJobsResponse, ReadLogResponse
from tests.shell.controller_double import Controller, headrace, job


def gang() -> job_pb2.Job:
    found = job(rendezvous="10.0.0.7:29500")
    found.spec.task_count = 3
    return found


def task(number: int, **fields: object) -> job_pb2.Job:
    found = gang()
    found.name, found.gang, found.task = f"{found.name}-{number}", "pi-1a2b", number
    found.MergeFrom(job_pb2.Job(**fields))  # type: ignore[arg-type]
    return found


async def test_a_gang_is_shown_with_its_tasks_by_their_numbers(controller: Controller) -> None:
    controller.answer("GetJob", gang())
    controller.answer("ListJobs", ListJobsResponse(jobs=[task(2, node="west-1"), task(1, node="east-1"), task(0)]))

    ended = await headrace("job", "pi", controller=controller.address)

    shown = ended.out.decode()
    assert "Tasks:     3" in shown
    assert "Meets at:  10.0.0.7:29500" in shown
    rows = [line.split() for line in shown.partition("\nTasks\n")[2].splitlines()]
    assert [(row[0], row[2]) for row in rows[1:]] == [
        ("pi-1a2b-0", "-"),
        ("pi-1a2b-1", "east-1"),
        ("pi-1a2b-2", "west-1"),
    ]
    assert controller.requests[-1].gang == "jobs/pi-1a2b"


async def test_the_log_of_a_task_is_asked_for_by_its_number(controller: Controller) -> None:
    controller.answer("GetJob", gang())
    controller.answer("ReadLog", [ReadLogResponse(offset=0, data=b"I am 2\n")])

    ended = await headrace("logs", "pi", "--task", "2", controller=controller.address)

    assert ended.out == b"I am 2\n"
    assert controller.requests[-1].name == "jobs/pi-1a2b-2"


async def test_a_task_that_a_gang_does_not_have_is_refused(controller: Controller) -> None:
    controller.answer("GetJob", gang())

    ended = await headrace("logs", "pi", "--task", "3", controller=controller.address)

    assert ended.code == 1
    assert "jobs/pi-1a2b has tasks 0 to 2" in ended.complaint


async def test_a_job_that_is_no_gang_has_no_tasks(controller: Controller) -> None:
    controller.answer("GetJob", job())

    ended = await headrace("logs", "pi", "--task", "0", controller=controller.address)

    assert ended.code == 1
    assert "is no gang and no array; leave --task out" in ended.complaint


async def test_outputs_of_a_gang_are_those_of_a_task(controller: Controller, tmp_path: Path) -> None:
    whole = gang()
    whole.spec.output_path = "/output"
    controller.answer("GetJob", whole)

    ended = await headrace("outputs", "pi", str(tmp_path / "out"), controller=controller.address)

    assert ended.code == 1
    assert "name one: --task 0" in ended.complaint
