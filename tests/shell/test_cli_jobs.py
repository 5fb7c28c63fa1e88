"""headrace submit, run, job, cancel, migrate: each time a process of its own."""

from pathlib import Path

from headrace.refusals import Code, Refusal
from headrace.v1 import attempt_pb2, job_pb2
from headrace.v1.job_service_pb2 import (
    BatchCreateJobsResponse,
    CreateJobRequest,
    ListJobsResponse,
    MigrateJobResponse,
    ReadLogResponse,
)
from tests.shell.controller_double import Controller, headrace, job

JOB_FILE = """\
name: pi
image: registry.example/pi:1
"""


async def test_a_job_is_shown_with_attempts_migrations_and_phases(controller: Controller) -> None:
    platform = attempt_pb2.Platform(os="linux", architecture="arm64", emulated=True)
    attempt = attempt_pb2.Attempt(job="pi-1a2b", epoch=2, node="west-1", state=attempt_pb2.Attempt.EXITED, exit_code=0)
    attempt.platform.CopyFrom(platform)
    controller.answer("GetJob", job(attempts=[attempt], migrations=[moved()], reason="it is under way"))

    ended = await headrace("job", "pi", controller=controller.address)

    shown = ended.out.decode()
    assert "Why:       it is under way" in shown
    assert "2      west-1  arm64 (emulated)  EXITED  0" in shown
    assert "Move:      east-1 -> west-1" in shown
    assert "Downtime:  704 ms" in shown
    assert "freeze  210 ms  1.50MiB" in shown


async def test_a_job_shows_the_program_that_it_runs_and_what_it_asks_for(controller: Controller) -> None:
    shown = job(attempts=[attempt_pb2.Attempt(job="pi-1a2b", epoch=1, node="west-1", variant=5)])
    spec = shown.spec
    spec.image, spec.priority = "registry.example/pi:1", 80
    spec.command[:] = ["echo", "base"]
    spec.variants.add(where='node == "east-1"', image="registry.example/east:1")
    spec.variants.add(where='node == "west-1"', image="registry.example/west:1", command=["echo", "west"])
    spec.resources.cpu_millis, spec.resources.memory_bytes = 1500, 4 << 30
    spec.resources.accelerators.count, spec.resources.accelerators.where = 2, '"h100" in model'
    spec.resources.alternatives.add(count=4, where='"a100" in model')
    spec.neighbours.apart_from[:], spec.neighbours.spread = ["other"], "region"
    spec.timeouts.run.FromSeconds(7200)
    spec.retry.limit = 2
    spec.retry.on[:] = [job_pb2.Retry.NODE_LOST, job_pb2.Retry.EXIT_NONZERO]
    shown.failures, shown.preemptor, shown.preemption_count = 2, "urgent-1a2b", 2
    controller.answer("GetJob", shown)

    ended = await headrace("job", "pi", controller=controller.address)

    facts = [
        (name, fact.strip()) for name, _, fact in (line.partition(":") for line in ended.out.decode().splitlines())
    ]
    for fact in [
        ("Variant", '2 of 2: node == "west-1"'),
        ("Image", "registry.example/west:1"),
        ("Command", "echo west"),
        ("Asks for", '1.5 cores, 4GiB, 2 devices ("h100" in model) or 4 devices ("a100" in model)'),
        ("Apart from", "other"),
        ("Spread", "region"),
        ("Priority", "80"),
        ("Timeouts", "run 2h"),
        ("Retry", "2 times, on node-lost, exit-nonzero"),
        ("Retries", "2 of 2 allowed"),
        ("Had to leave", "for jobs/urgent-1a2b; 2 times for more urgent ones"),
    ]:
        assert fact in facts


async def test_a_job_that_is_tried_again_after_a_lost_node_alone_says_no_number(controller: Controller) -> None:
    shown = job()
    shown.spec.retry.on[:] = [job_pb2.Retry.NODE_LOST]
    controller.answer("GetJob", shown)

    ended = await headrace("job", "pi", controller=controller.address)

    assert [line.split(":")[1].strip() for line in ended.out.decode().splitlines() if line.startswith("Retry")] == [
        "on node-lost"
    ]


async def test_a_part_of_a_device_is_shown_as_advisory(controller: Controller) -> None:
    attempt = attempt_pb2.Attempt(job="pi-1a2b", epoch=1, node="east-1", devices=["GPU-1"])
    shown = job(node="east-1", attempts=[attempt])
    shown.spec.resources.accelerators.share_millis = 500
    controller.answer("GetJob", shown)

    ended = await headrace("job", "pi", controller=controller.address)

    assert "GPU-1: 0.5 of it (advisory: it keeps to that by itself)" in ended.out.decode()


async def test_a_job_of_very_many_moves_counts_those_that_are_no_longer_kept(controller: Controller) -> None:
    much_moved = job(migrations=[moved()] * 11, omitted_migration_count=30)
    controller.answer("GetJob", much_moved)
    controller.answer("ListJobs", ListJobsResponse(jobs=[much_moved]))

    sheet = await headrace("job", "pi", controller=controller.address)
    table = await headrace("jobs", controller=controller.address)

    titles = [line for line in sheet.out.decode().splitlines() if line.startswith("Migration ")]
    assert titles[-2:] == ["Migration 10", "Migration 41"]
    assert table.lines[1].split()[-2] == "41"


async def test_submit_sends_the_file_and_says_the_name(controller: Controller, tmp_path: Path) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    ended = await headrace("submit", job_file(tmp_path), "--set", "priority=70", controller=controller.address)

    assert ended.lines == ["pi-1a2b"]
    request = controller.requests[0]
    assert (request.spec.image, request.spec.priority) == ("registry.example/pi:1", 70)
    assert request.request_id


async def test_submit_sends_several_files_together(controller: Controller, tmp_path: Path) -> None:
    controller.answer("BatchCreateJobs", BatchCreateJobsResponse(jobs=[job(), job("other-9z8y")]))
    file = job_file(tmp_path)

    ended = await headrace("submit", file, file, "--set", "priority=70", controller=controller.address)

    assert ended.lines == ["pi-1a2b", "other-9z8y"]
    [request] = controller.requests
    assert [one.spec.priority for one in request.requests] == [70, 70]
    assert request.requests[0].request_id != request.requests[1].request_id


async def test_of_several_files_the_one_is_named_that_was_refused(controller: Controller, tmp_path: Path) -> None:
    refusal = Refusal(Code.FAILED_PRECONDITION, "NO_NODE", "requests[1]: no node can run it")
    controller.answer("BatchCreateJobs", refusal)
    first = job_file(tmp_path)
    second = tmp_path / "second.yaml"
    second.write_text(JOB_FILE)

    ended = await headrace("submit", first, str(second), controller=controller.address)

    assert ended.code == 1
    assert f"{second}: no node can run it [NO_NODE]" in ended.complaint


async def test_submit_waits_for_one_job_alone(controller: Controller, tmp_path: Path) -> None:
    ended = await headrace("submit", *[job_file(tmp_path)] * 2, "--wait", controller=controller.address)

    assert ended.code == 1
    assert "[WAITS_FOR_ONE]" in ended.complaint
    assert not controller.requests


async def test_submit_reads_standard_input(controller: Controller) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    await headrace("submit", "-", controller=controller.address, typed=JOB_FILE.encode())

    assert controller.requests[0].spec.display_name == "pi"


async def test_a_job_file_that_never_ends_is_refused(controller: Controller) -> None:
    ended = await headrace("submit", "/dev/zero", controller=controller.address)

    assert ended.code == 1
    assert "larger than 1 MiB" in ended.complaint


async def test_a_job_on_standard_input_that_is_no_text_is_told_so(controller: Controller) -> None:
    ended = await headrace("submit", "-", controller=controller.address, typed=b"name: \xff")

    assert ended.complaint == "refused: standard input is no text in UTF-8 [JOB_FILE_INVALID]"


async def test_two_submissions_are_two_jobs(controller: Controller, tmp_path: Path) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    for _ in range(2):
        await headrace("submit", job_file(tmp_path), controller=controller.address)

    first, second = controller.requests
    assert first.request_id != second.request_id


async def test_a_wrong_job_file_is_refused_with_its_line_before_anything_is_sent(
    controller: Controller, tmp_path: Path
) -> None:
    ended = await headrace("submit", job_file(tmp_path, "nmae: pi\n"), controller=controller.address)

    assert ended.code == 1
    assert "job.yaml:3" in ended.complaint
    assert len(ended.complaint.splitlines()) == 1
    assert controller.requests == []


async def test_a_file_that_is_not_there_is_a_refusal(controller: Controller) -> None:
    ended = await headrace("submit", "nowhere.yaml", controller=controller.address)

    assert ended.code == 1
    assert ended.complaint.startswith("refused: nowhere.yaml: No such file")


async def test_a_dry_run_creates_nothing(controller: Controller, tmp_path: Path) -> None:
    controller.answer("CreateJob", job())

    ended = await headrace("submit", job_file(tmp_path), "--dry-run", controller=controller.address)

    assert ended.code == 0
    assert controller.requests == [
        CreateJobRequest(spec=controller.requests[0].spec, validate_only=True),
    ]


async def test_a_dry_run_says_what_each_image_is_for_and_what_the_job_would_wait_for_in_vain(
    controller: Controller, tmp_path: Path
) -> None:
    checked = job(reason="no node could run it now, though it were empty (1 node: does not match where: ...)")
    checked.spec.image = "pi:1"
    for reference in ("pi:1", "other:1"):
        for architecture in ("amd64", "arm64"):
            checked.images.add(reference=reference).platform.architecture = architecture
    controller.answer("CreateJob", checked)

    ended = await headrace("submit", job_file(tmp_path), "--dry-run", controller=controller.address)

    assert ended.out.decode().splitlines() == [
        "pi would be accepted: pi:1 has amd64, arm64; other:1 has amd64, arm64",
        f"pi would wait: {checked.reason}",
    ]


async def test_waiting_for_a_job_that_succeeds_ends_with_0(controller: Controller, tmp_path: Path) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))
    controller.answer("WatchJob", [job(state="QUEUED"), job(state="RUNNING", node="east-1"), job(state="SUCCEEDED")])

    ended = await headrace("submit", job_file(tmp_path), "--wait", controller=controller.address)

    assert ended.code == 0
    assert "pi-1a2b RUNNING on east-1" in ended.complaint


async def test_waiting_for_a_job_that_fails_ends_with_1_and_why(controller: Controller, tmp_path: Path) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))
    controller.answer("WatchJob", [job(state="FAILED", reason="it left with exit code 3")])

    ended = await headrace("submit", job_file(tmp_path), "--wait", controller=controller.address)

    assert ended.code == 1
    assert ended.complaint.endswith("failed: pi-1a2b FAILED: it left with exit code 3 [JOB_NOT_SUCCEEDED]")


async def test_following_a_job_shows_its_log_alone_on_standard_output(controller: Controller, tmp_path: Path) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))
    controller.answer("ReadLog", [ReadLogResponse(data=b"3.14\n")])
    controller.answer("WatchJob", [job(state="SUCCEEDED")])

    ended = await headrace("submit", job_file(tmp_path), "--follow", controller=controller.address)

    assert (ended.code, ended.out) == (0, b"3.14\n")


async def test_run_sends_the_image_and_all_that_follows_two_dashes(controller: Controller) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    await headrace(
        "run", "registry.example:5000/team/pi:1", "--", "sh", "-c", "echo", "--", "-o", controller=controller.address
    )

    spec = controller.requests[0].spec
    assert spec.display_name == "pi"
    assert list(spec.command) == ["sh", "-c", "echo", "--", "-o"]


async def test_run_makes_a_name_of_an_image_that_is_spelled_otherwise(controller: Controller) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    await headrace("run", "registry.example/python_3.11--slim:1", controller=controller.address)

    assert controller.requests[0].spec.display_name == "python-3-11-slim"


async def test_cancel_says_what_becomes_of_the_job(controller: Controller) -> None:
    controller.answer("CancelJob", job(state="CANCELLING", node="east-1", epoch=2))

    ended = await headrace("cancel", "pi", controller=controller.address)

    assert ended.lines == ["pi-1a2b CANCELLING on east-1 (epoch 2)"]


async def test_all_jobs_of_a_query_are_cancelled_that_have_not_ended(controller: Controller) -> None:
    controller.answer("ListJobs", ListJobsResponse(jobs=[job("a", "QUEUED"), job("b", "QUEUED")]))
    controller.answer("CancelJob", job("a", "CANCELLED"), job("b", "CANCELLED"))

    ended = await headrace("cancel", "--where", 'project == "bio"', controller=controller.address)

    listed, *cancelled = controller.requests
    assert listed.filter == '(project == "bio") and state not in ("succeeded", "failed", "cancelled")'
    assert sorted(one.name for one in cancelled) == ["jobs/a", "jobs/b"]
    assert (ended.code, len(ended.lines)) == (0, 2)
    assert ended.complaint.strip() == "2 jobs cancelled"


async def test_a_cancel_of_nothing_in_particular_is_wrong_usage(controller: Controller) -> None:
    neither = await headrace("cancel", controller=controller.address)
    both = await headrace("cancel", "pi", "--where", "priority < 50", controller=controller.address)

    assert (neither.code, both.code) == (2, 2)
    assert controller.requests == []


async def test_a_planned_migration_says_level_loss_bytes_and_time(controller: Controller) -> None:
    plan = job_pb2.MigrationPlan(
        level=job_pb2.Migration.RESTART,
        source="east-1",
        target="west-1",
        level_reason="the job has no checkpoint directory",
        loss="all its work so far",
        lost_millis=61_000,
        bytes=3 << 20,
        downtime_millis=704,
        downtime_basis="5 moves of this job from east-1 to west-1",
    )
    controller.answer("MigrateJob", MigrateJobResponse(plan=plan, job=job()))

    ended = await headrace("migrate", "pi", "--to", "west", "--dry-run", controller=controller.address)

    assert (controller.requests[0].validate_only, controller.requests[0].target) == (True, "west")
    assert ended.lines == [
        "Job:         pi-1a2b",
        "Move:        east-1 -> west-1",
        "Level:       L0 restart",
        "Not better:  the job has no checkpoint directory",
        "Loss:        all its work so far (61.0 s of work since the last save)",
        "Bytes:       about 3.00MiB",
        "Downtime:    about 704 ms (from 5 moves of this job from east-1 to west-1)",
    ]


async def test_a_migration_that_was_waited_for_shows_its_phases(controller: Controller) -> None:
    begun = job_pb2.Migration(source="east-1", target="west-1", source_epoch=1, state=job_pb2.Migration.PREFETCHING)
    controller.answer("MigrateJob", MigrateJobResponse(job=job(migrations=[begun])))
    controller.answer("WatchJob", [job(migrations=[begun]), job(migrations=[moved()])])

    ended = await headrace("migrate", "pi", "--wait", controller=controller.address)

    assert ended.code == 0
    assert ended.lines[-3:] == [
        "PHASE   TIME    BYTES",
        "freeze  210 ms  1.50MiB",
        "start   494 ms  -",
    ]


async def test_a_migration_that_was_aborted_ends_with_1_and_why(controller: Controller) -> None:
    begun = job_pb2.Migration(source="east-1", target="west-1", source_epoch=1, state=job_pb2.Migration.PREFETCHING)
    aborted = job_pb2.Migration(source="east-1", target="west-1", source_epoch=1, reason="west-1 has no disk left")
    aborted.state = job_pb2.Migration.ABORTED
    controller.answer("MigrateJob", MigrateJobResponse(job=job(migrations=[begun])))
    controller.answer("WatchJob", [job(migrations=[aborted])])

    ended = await headrace("migrate", "pi", "--wait", controller=controller.address)

    assert ended.code == 1
    assert ended.complaint.endswith("failed: pi-1a2b was not moved: west-1 has no disk left [MIGRATION_ABORTED]")


async def test_a_move_is_asked_for_once(controller: Controller) -> None:
    controller.answer("MigrateJob", Refusal(Code.UNAVAILABLE, "BUSY", "the controller is busy; ask again"))

    ended = await headrace("migrate", "pi", controller=controller.address)

    assert ended.complaint.endswith("[BUSY]")
    assert len(controller.requests) == 1


def job_file(folder: Path, *lines: str) -> str:
    path = folder / "job.yaml"
    path.write_text(JOB_FILE + "".join(lines))
    return str(path)


def moved() -> job_pb2.Migration:
    return job_pb2.Migration(
        state=job_pb2.Migration.SUCCEEDED,
        level=job_pb2.Migration.CHECKPOINT,
        source="east-1",
        target="west-1",
        source_epoch=1,
        target_epoch=2,
        downtime_millis=704,
        phases=[
            attempt_pb2.Phase(name="freeze", millis=210, bytes=3 << 19),
            attempt_pb2.Phase(name="start", millis=494),
        ],
    )
