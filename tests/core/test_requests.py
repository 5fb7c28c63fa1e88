"""Laws of requests: one request makes one job, however often it comes, and whatever has become of the job meanwhile."""

from controller.core.model import Submitted, SubmittedTogether
from headrace.jobs import Job, JobState
from tests.core.small_world import AMD64, FIRST, PINS, World, refusal, spec


def submit(world: World, job_id: str = "train-1", request_id: str = "r", earlier: Job | None = None) -> object:
    return world.ask(lambda token: Submitted(token, job_id, spec(), PINS, request_id, earlier=earlier))


def submit_together(world: World, *jobs: Submitted) -> object:
    return world.ask(lambda token: SubmittedTogether(token, jobs))


def ended_job(world: World) -> Job:
    submit(world)
    world.exit(FIRST, 0)
    assert world.job().state is JobState.SUCCEEDED
    return world.job()


def test_a_request_that_is_repeated_finds_its_live_job() -> None:
    world = World(a=AMD64)
    submit(world)

    assert submit(world) == world.job()
    assert world.running() == {"a": [FIRST]}


def test_a_request_that_is_repeated_finds_its_job_that_has_ended() -> None:
    world = World(a=AMD64)
    ended = ended_job(world)

    answer = submit(world, earlier=ended)

    assert answer == world.job() == ended
    assert world.running() == {}


def test_a_request_that_is_repeated_finds_its_job_over_a_restart() -> None:
    world = World(a=AMD64)
    submit(world)
    world.restart_controller()

    assert submit(world) == world.job()


def test_a_request_that_is_repeated_under_another_name_finds_the_job_of_the_first() -> None:
    world = World(a=AMD64)
    submit(world)

    assert submit(world, "other-1") == world.job()
    assert "jobs/other-1" not in world.store


def test_a_request_is_forgotten_with_its_job_so_that_the_core_does_not_grow() -> None:
    world = World(a=AMD64)
    ended_job(world)

    assert world.cluster.book._requests == {}


def test_a_request_that_would_get_the_id_of_a_live_job_is_refused() -> None:
    world = World(a=AMD64)
    submit(world)
    before = world.job()

    refused = refusal(submit(world, request_id="another"))

    assert refused.reason == "JOB_ID_TAKEN"
    assert "submit it again" in refused.message
    assert world.job() == before


def test_a_request_that_would_get_the_id_of_a_job_that_has_ended_is_refused() -> None:
    world = World(a=AMD64)
    ended = ended_job(world)

    refused = refusal(submit(world, request_id="another", earlier=ended))

    assert refused.reason == "JOB_ID_TAKEN"
    assert world.job() == ended


def test_jobs_that_are_submitted_together_are_all_made_in_their_order() -> None:
    world = World(a=AMD64)
    submit(world)
    several = [
        Submitted(0, f"train-{number}", spec(), PINS, "r" if number == 1 else f"r-{number}") for number in range(4)
    ]

    answer = submit_together(world, *several)

    assert answer == tuple(world.store[f"jobs/train-{number}"] for number in range(4))


def test_of_jobs_that_are_submitted_together_none_is_made_where_one_cannot_be() -> None:
    world = World(a=AMD64)
    submit(world)
    before = dict(world.store)
    taken = Submitted(0, "train-1", spec(), PINS, "another")

    refused = refusal(submit_together(world, Submitted(0, "train-2", spec(), PINS, "r-2"), taken))

    assert refused.reason == "JOB_ID_TAKEN"
    assert refused.message.startswith("requests[1]: ")
    assert world.store == before


def test_jobs_that_are_only_checked_together_are_not_made() -> None:
    world = World(a=AMD64)
    before = dict(world.store)

    answer = submit_together(world, Submitted(0, "train-2", spec(), PINS, "r-2", dry_run=True))

    assert answer == (Job(name="", spec=spec(), images=PINS),)
    assert world.store == before
