"""Laws of placement, both cores at work: which node a job goes to, and what it waits for."""

from agent.core.pace import TOGETHER_MS
from agent.runtimes.runtime import Ref
from controller.core.book import Policy
from headrace.attempts import Platform
from headrace.jobs import Emulation, JobState, Requests
from tests.core.small_world import AMD64, FIRST, GIB, World


def test_a_submitted_job_runs_where_there_is_room() -> None:
    world = World(a=AMD64)

    world.submit()

    assert world.job().state is JobState.RUNNING
    assert world.running() == {"a": [FIRST]}


def test_a_submission_that_is_repeated_is_the_same_job() -> None:
    world = World(a=AMD64)
    world.submit()

    world.submit()

    assert world.running() == {"a": [FIRST]}


def test_a_job_never_goes_to_a_node_that_cannot_run_its_image() -> None:
    world = World()
    world.submit()

    world.join("r", Platform("linux", "riscv64"))

    assert world.job().state is JobState.QUEUED
    assert "linux/amd64, linux/arm64" in world.job().reason


def test_an_emulated_node_is_a_candidate_only_where_the_job_allows_it() -> None:
    world = World()
    world.submit("strict-1")
    world.submit("easy-1", emulation=Emulation.ALLOWED)

    world.join("e", Platform("linux", "arm64", emulated=True))

    assert world.job("strict-1").state is JobState.QUEUED
    assert "emulation: allowed" in world.job("strict-1").reason
    assert world.job("easy-1").node == "e"


def test_a_native_node_comes_before_an_emulated_one() -> None:
    world = World(e=Platform("linux", "arm64", emulated=True), n=AMD64)

    world.submit(emulation=Emulation.ALLOWED)

    assert world.job().node == "n"


def test_a_job_waits_for_room_and_starts_when_there_is_some() -> None:
    world = World(a=AMD64)
    world.submit("big-1", resources=Requests(4000, GIB))
    world.submit()
    assert world.job().reason == "waits: 1 node: has less than 1 core free"

    world.exit(Ref("big-1", 0, 1), 0)
    world.pass_time(TOGETHER_MS)

    assert world.job().state is JobState.RUNNING


def test_the_job_of_higher_priority_goes_first() -> None:
    world = World(a=AMD64)
    world.submit("big-1", resources=Requests(4000, GIB))
    world.submit("low-1", resources=Requests(4000, GIB), priority=1)
    world.submit("high-1", resources=Requests(4000, GIB), priority=99)

    world.exit(Ref("big-1", 0, 1), 0)
    world.pass_time(TOGETHER_MS)

    assert world.job("high-1").state is JobState.RUNNING
    assert world.job("low-1").state is JobState.QUEUED


def test_an_image_that_cannot_be_pulled_is_tried_elsewhere() -> None:
    world = World(a=AMD64, b=AMD64)
    world.sites["a"].engine.pulls = False

    world.submit()
    world.pass_time(2_000)

    assert world.running() == {"b": [world.sites["b"].engine.started[0]]}


def test_a_node_that_refuses_a_job_for_now_is_asked_again_when_that_is_over() -> None:
    world = World(a=AMD64)
    world.sites["a"].engine.pulls = False
    world.submit()
    assert world.job().state is JobState.QUEUED
    world.sites["a"].engine.pulls = True

    world.pass_time(Policy().exclusion_ms + 2_000)

    assert world.job().state is JobState.RUNNING
