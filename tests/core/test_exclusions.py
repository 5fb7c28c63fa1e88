"""Laws of what a job keeps away from after it failed: the node, or the device that failed under it."""

from dataclasses import replace

import pytest

from controller.core.exclusions import WHOLE_NODE, blamed, with_exclusions
from controller.core.placement.fit import Place, Unfit, fit
from controller.core.policy import Policy
from headrace.attempts import Attempt
from headrace.jobs import Exclusion, Job, JobSpec, JobState, RetryCause
from headrace.nodes import Health, Node
from tests.core.small_world import AMD64, FIRST, World
from tests.core.test_devices import gpu, needs, world_with
from tests.core.test_lost_devices import AGAIN, fail, lost, start

NODE = Node("nodes/a", devices=(gpu(0), gpu(1)))
JOB = Job("jobs/a", JobSpec("a", "image"), epoch=1, attempts=(Attempt("a", 1, "a", devices=("gpu-0", "gpu-1")),))


def test_a_job_whose_device_failed_goes_on_with_another_one_of_its_node() -> None:
    world = world_with(gpu(0), gpu(1))
    first = start(world, retry=AGAIN).attempts[-1].devices
    broken = lost(gpu(0)) if first == ("gpu-0",) else lost(gpu(1))
    well = gpu(1) if first == ("gpu-0",) else gpu(0)

    job = fail(world, broken, well)

    assert (job.state, job.node, job.epoch, job.failures) == (JobState.RUNNING, "a", 2, 1)
    assert job.attempts[-1].devices == (well.id,)
    assert [(one.node, one.device) for one in job.exclusions] == [("a", broken.id)]


def test_a_device_that_seems_well_again_is_not_given_to_that_job_at_once() -> None:
    world = world_with(gpu(0))
    start(world, retry=AGAIN)
    fail(world, lost(gpu(0)))
    job, node = world.job(), replace(world.cluster.book.nodes["a"], devices=(gpu(0),))
    book = world.cluster.book

    found = fit(job, node, book.usage("a"), now_wall_ms=book.wall_ms)
    later = fit(job, node, book.usage("a"), now_wall_ms=job.exclusions[0].expire_time_ms)

    assert isinstance(found, Unfit)
    assert "has no device free; gpu-0 is kept away from for now (its device gpu-0 was lost" in found.reason
    assert isinstance(later, Place)


def test_of_several_devices_those_are_blamed_that_are_not_well() -> None:
    node = replace(NODE, devices=(gpu(0), replace(gpu(1), health=Health.UNHEALTHY)))

    assert blamed(JOB, node, RetryCause.DEVICE_ERROR) == ("gpu-1",)
    assert blamed(JOB, replace(NODE, devices=(gpu(1),)), RetryCause.DEVICE_ERROR) == ("gpu-0",)
    assert blamed(JOB, NODE, RetryCause.DEVICE_ERROR) == ("gpu-0", "gpu-1")


def test_a_failure_of_another_kind_is_the_nodes() -> None:
    assert blamed(JOB, NODE, RetryCause.EXIT_NONZERO) == WHOLE_NODE
    assert blamed(replace(JOB, attempts=()), NODE, RetryCause.DEVICE_ERROR) == WHOLE_NODE


def test_an_exclusion_takes_the_place_of_an_older_one_of_the_same() -> None:
    job = replace(
        JOB, exclusions=(Exclusion("a", "old", 50, "gpu-0"), Exclusion("a", "node", 50), Exclusion("b", "x", 5))
    )

    found = with_exclusions(job, [Exclusion("a", "new", 90, "gpu-0")], wall_ms=10)

    assert found.exclusions == (Exclusion("a", "node", 50), Exclusion("a", "new", 90, "gpu-0"))


def test_a_job_that_fails_by_itself_keeps_away_from_the_whole_node() -> None:
    world = world_with(gpu(0), gpu(1))
    retry = replace(AGAIN, on=(RetryCause.EXIT_NONZERO,))
    world.submit(resources=needs(1), retry=retry)

    world.exit(FIRST, 1)
    world.pass_time(20_000)

    assert [(one.node, one.device) for one in world.job().exclusions] == [("a", "")]
    assert world.job().state is JobState.QUEUED


@pytest.mark.parametrize("task_count", [1, 2], ids=["a job", "a gang"])
def test_a_clock_that_is_set_back_has_nothing_kept_away_from_for_longer(task_count: int) -> None:
    world = World(a=AMD64)
    world.sites["a"].engine.pulls = False
    world.submit(task_count=task_count)
    assert world.job().state is JobState.QUEUED

    world.wall_began_ms -= 3_600_000
    world.restart_controller()
    world.sites["a"].engine.pulls = True
    world.pass_time(Policy().exclusion_ms + 5_000)

    assert world.job().state is JobState.RUNNING
