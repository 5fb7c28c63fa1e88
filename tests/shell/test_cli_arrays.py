"""headrace job, jobs, logs of arrays, and what else of a job's record is new there."""

from headrace import elements
from headrace.v1 import job_pb2
from headrace.v1.job_service_pb2 import ListJobsResponse, ReadLogResponse
from tests.shell.controller_double import Controller, headrace, job


def array() -> job_pb2.Job:
    found = job()
    found.spec.element_count = 100
    found.elements.failed = elements.dumped(elements.bits([3, 17, 18]))
    found.elements.failed_count = 3
    found.elements.succeeded_count = 40
    found.elements.running_count = 8
    return found


COUNTS = "100 elements: 40 succeeded, 3 failed, 8 running, 49 waiting"


async def test_an_array_is_shown_with_its_counts_and_with_what_failed(controller: Controller) -> None:
    controller.answer("GetJob", array())

    shown = (await headrace("job", "pi", controller=controller.address)).out.decode()

    assert COUNTS in shown
    assert "3, 17-18" in shown


async def test_an_array_is_one_line_among_jobs(controller: Controller) -> None:
    controller.answer("ListJobs", ListJobsResponse(jobs=[array()]))

    ended = await headrace("jobs", controller=controller.address)
    shown = ended.out.decode().splitlines()
    assert ended.complaint == ""

    assert len(shown) == 2
    assert COUNTS in shown[1]


async def test_the_elements_that_have_begun_are_listed_by_the_name_of_their_array(controller: Controller) -> None:
    controller.answer("GetJob", array())
    controller.answer("ListJobs", ListJobsResponse(jobs=[job("pi-1a2b-3")]))

    shown = (await headrace("jobs", "--of", "pi", controller=controller.address)).out.decode()

    assert "pi-1a2b-3" in shown
    assert controller.requests[-1].gang == "jobs/pi-1a2b"


async def test_the_log_of_an_element_is_asked_for_by_its_number(controller: Controller) -> None:
    controller.answer("GetJob", array())
    controller.answer("ReadLog", [ReadLogResponse(offset=0, data=b"I am 99\n")])

    good = await headrace("logs", "pi", "--element", "99", controller=controller.address)
    bad = await headrace("logs", "pi", "--element", "100", controller=controller.address)

    assert (good.out, controller.requests[-2].name) == (b"I am 99\n", "jobs/pi-1a2b-99")
    assert "has elements 0 to 99" in bad.complaint


async def test_what_a_job_follows_and_keeps_away_from_is_shown(controller: Controller) -> None:
    found = job()
    found.spec.after.add(job="prepare-1a", condition=job_pb2.Dependency.SUCCEEDED)
    found.spec.retry.limit, found.failures = 3, 1
    found.spec.retry.within.FromSeconds(3600)
    found.exclusions.add(node="n1", device="gpu-7", reason="it was lost")
    controller.answer("GetJob", found)

    shown = (await headrace("job", "pi", controller=controller.address)).out.decode()

    for told in ("prepare-1a: succeeded", "1 of 3 allowed within 1h", "gpu-7 of n1: it was lost"):
        assert told in shown
