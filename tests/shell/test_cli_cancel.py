"""headrace cancel --where: what is refused of one job is no reason to leave the others."""

from headrace.refusals import Code, Refusal
from headrace.v1.job_service_pb2 import ListJobsResponse
from tests.shell.controller_double import Controller, headrace, job


async def test_all_others_are_cancelled_and_told_where_one_is_refused(controller: Controller) -> None:
    names = [f"job-{number:02}" for number in range(40)]
    controller.answer("ListJobs", ListJobsResponse(jobs=[job(name, "QUEUED") for name in names]))
    refusal = Refusal(Code.NOT_FOUND, "JOB_NOT_FOUND", "there is no job 'job-00'")
    controller.answer("CancelJob", refusal, job("job-01", "CANCELLED"))

    ended = await headrace("cancel", "--where", "priority < 50", controller=controller.address)

    _, *asked = controller.requests
    assert sorted(one.name for one in asked) == [f"jobs/{name}" for name in names]
    assert (ended.code, len(ended.lines)) == (1, 39)
    assert "39 jobs cancelled" in ended.complaint
    assert "there is no job 'job-00'" in ended.complaint


async def test_a_query_that_means_nothing_is_told_as_it_was_written_and_cancels_nobody(controller: Controller) -> None:
    for where, told in (
        ("state ==", "a field or a value stands here, not the end, at character 9 of `state ==`"),
        ('state == "queued") or (state == "running"', "')' is one word too many, at character 18 of"),
    ):
        ended = await headrace("cancel", "--where", where, controller=controller.address)

        assert (ended.code, controller.requests) == (1, [])
        assert told in ended.complaint
        assert "not in" not in ended.complaint
