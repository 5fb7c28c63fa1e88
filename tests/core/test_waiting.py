"""Laws of jobs that wait: when they are looked at again, what they say, and what is kept for a job that is to come."""

from dataclasses import replace

import pytest

from controller.core import model as controller
from controller.core import placing
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.placement.costs import Costs
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import AcceleratorRequest, Condition, Dependency, Job, JobSpec, JobState, MigrationState, Requests
from headrace.nodes import Device, Engine, Health
from headrace.sessions import Prefetched, PrefetchState, Report
from tests.core.small_world import GIB, PINS, description, spec

GPU = Device("GPU-1", "gpu", "nvidia", "H100", memory_bytes=80 * GIB, temperature_celsius=40.0, health=Health.HEALTHY)
ON_A_GPU = spec(resources=Requests(1000, GIB, AcceleratorRequest(1)))
ON_A_COOL_GPU = spec(resources=Requests(1000, GIB, AcceleratorRequest(1, "temperature < 50")))


class Controller:
    """A controller's core, to which nodes report and users talk as the test says."""

    def __init__(self) -> None:
        self.cluster = Cluster(Book("cluster-1", Policy(), (), ()))
        self.now_ms = 0
        self.sequence = 0
        self.tick()

    def tick(self, millis: int = 500) -> list[controller.Effect]:
        self.now_ms += millis
        return self.cluster.handle(controller.Ticked(self.now_ms, 1_700_000_000_000 + self.now_ms))

    def report(self, node: str, *devices: Device, **changes: object) -> list[controller.Effect]:
        self.sequence += 1
        plain = Report(node, 1, self.sequence, description(), devices, engine=Engine(reachable=True, message="test"))
        return self.cluster.handle(controller.Reported(replace(plain, **changes)))  # type: ignore[arg-type]

    def submit(self, job_id: str, job: JobSpec) -> list[controller.Effect]:
        return self.cluster.handle(controller.Submitted(1, job_id, job, PINS, job_id))

    def job(self, job_id: str) -> Job:
        return self.cluster.book.jobs[job_id]

    def move(self, job_id: str, target: str) -> None:
        """To where the target has all that it needs."""
        self.cluster.handle(controller.MoveAsked(2, job_id, target))
        move = self.job(job_id).migration
        assert move is not None
        ready = Prefetched(job_id, move.image, "", PrefetchState.READY)
        self.report(target, replace(GPU, id=f"GPU-{target}"), prefetched=(ready,))


def saved_jobs(effects: list[controller.Effect]) -> list[str]:
    records = [effect.record for effect in effects if isinstance(effect, controller.Save)]
    return [record.id for record in records if isinstance(record, Job)]


def test_a_job_that_waits_starts_at_the_tick_after_a_node_has_come() -> None:
    one = Controller()
    one.submit("train-1", spec())

    one.report("a")
    assert one.job("train-1").state is JobState.QUEUED
    one.tick()

    assert one.job("train-1").node == "a"


def test_a_job_that_comes_after_a_node_does_not_take_the_place_of_a_more_urgent_one_that_waits() -> None:
    one = Controller()
    one.submit("urgent", spec(resources=Requests(4_000, GIB), priority=90))
    one.report("a")

    one.submit("later", spec(resources=Requests(4_000, GIB)))

    assert one.job("urgent").node == "a"
    assert one.job("later").state is JobState.QUEUED


def test_nodes_that_come_together_have_the_queue_looked_at_once() -> None:
    one = Controller()
    for number in range(3):
        one.submit(f"train-{number}", spec(resources=Requests(64_000, GIB)))

    said = [saved_jobs(one.report(node)) for node in ("a", "b", "c")]

    assert said == [[], [], []]
    assert one.job("train-0").reason == "waits for a node: none has reported yet"
    assert saved_jobs(one.tick()) == ["train-0", "train-1", "train-2"]
    assert one.job("train-0").reason == "waits: 3 nodes: has less than 64 cores free"


@pytest.mark.parametrize(
    ("before", "where"),
    [
        ({"health": Health.UNHEALTHY}, ""),
        ({"memory_bytes": 40 * GIB}, "memory >= 50GiB"),
        ({"model": "A100"}, 'model == "H100"'),
        ({"vendor": "amd"}, 'vendor == "nvidia"'),
        ({"kind": "npu"}, 'kind == "gpu"'),
    ],
    ids=["health", "memory", "model", "vendor", "kind"],
)
def test_a_device_that_becomes_what_a_job_waits_for_is_seen(before: dict[str, object], where: str) -> None:
    one = Controller()
    one.report("a", replace(GPU, **before))  # type: ignore[arg-type]
    one.tick()
    one.submit("train-1", spec(resources=Requests(1000, GIB, AcceleratorRequest(1, where))))
    assert one.job("train-1").state is JobState.QUEUED

    one.report("a", GPU)
    one.tick()

    assert one.job("train-1").node == "a"


def test_a_reading_of_a_sensor_has_nobody_looked_at_again() -> None:
    one = Controller()
    one.report("a", GPU)
    one.tick()
    one.submit("train-1", ON_A_COOL_GPU)
    one.submit("train-2", ON_A_GPU)

    one.report("a", replace(GPU, temperature_celsius=41.0, memory_used_bytes=1, busy_percent=7.0, power_watts=90.0))

    assert not placing.retry_due(one.cluster.book)


def test_a_job_that_asks_for_a_reading_is_looked_at_again_now_and_then() -> None:
    one = Controller()
    one.report("a", replace(GPU, temperature_celsius=80.0))
    one.tick()
    one.submit("train-1", ON_A_COOL_GPU)
    one.report("a", replace(GPU, temperature_celsius=40.0))

    one.tick()
    assert one.job("train-1").state is JobState.QUEUED
    one.tick(Policy().readings_ms)

    assert one.job("train-1").node == "a"


def test_a_job_that_is_placed_changes_no_record_of_those_that_wait() -> None:
    one = Controller()
    one.report("a")
    one.tick()
    for number in range(5):
        one.submit(f"large-{number}", spec(resources=Requests(4_000, GIB)) if number else spec())

    effects = one.submit("small", spec(resources=Requests(100, GIB)))

    assert one.job("small").node == "a"
    assert saved_jobs(effects) == ["small"]


def test_devices_at_the_target_of_a_move_are_no_other_jobs() -> None:
    one = Controller()
    one.report("a", replace(GPU, id="GPU-a"))
    one.tick()
    one.submit("train-1", ON_A_GPU)
    one.report("a", replace(GPU, id="GPU-a"), attempts=(Attempt("train-1", 1, state=AttemptState.RUNNING),))
    one.report("b", replace(GPU, id="GPU-b"))
    one.move("train-1", "b")
    assert one.job("train-1").state is JobState.FREEZING

    one.submit("other", ON_A_GPU)
    exited = Attempt("train-1", 1, state=AttemptState.EXITED, exit_code=85, stop_requested=True)
    one.report("a", replace(GPU, id="GPU-a"), attempts=(exited,))

    assert (one.job("train-1").node, one.job("train-1").attempt.devices) == ("b", ("GPU-b",))  # type: ignore[union-attr]
    assert one.job("other").node == "a"


def test_of_two_devices_at_the_target_of_a_move_the_other_one_is_free() -> None:
    one = Controller()
    one.report("a", replace(GPU, id="GPU-a"))
    one.tick()
    one.submit("train-1", ON_A_GPU)
    one.report("a", replace(GPU, id="GPU-a"), attempts=(Attempt("train-1", 1, state=AttemptState.RUNNING),))
    one.report("b", replace(GPU, id="GPU-b"), replace(GPU, id="GPU-c"))
    one.cluster.handle(controller.MoveAsked(2, "train-1", "b"))

    one.submit("other", ON_A_GPU)

    assert one.job("other").node == "b"


def test_what_was_kept_for_a_move_that_is_aborted_is_given_to_who_waits() -> None:
    one = Controller()
    one.report("a")
    one.tick()
    one.submit("train-1", spec(resources=Requests(4_000, GIB)))
    one.report("a", attempts=(Attempt("train-1", 1, state=AttemptState.RUNNING),))
    one.report("b")
    one.cluster.handle(controller.MoveAsked(2, "train-1", "b"))
    one.submit("other", spec(resources=Requests(4_000, GIB)))
    move = one.job("train-1").migration
    assert move is not None

    one.report("b", prefetched=(Prefetched("train-1", move.image, "", PrefetchState.FAILED, "", "no such image"),))

    assert one.job("train-1").migrations[-1].state is MigrationState.ABORTED
    assert one.job("other").node == "b"


def test_readings_are_looked_at_though_the_clock_was_put_back() -> None:
    world = Controller()
    world.report("a", replace(GPU, temperature_celsius=60.0))
    world.submit("cool", ON_A_COOL_GPU)
    world.cluster.handle(controller.Ticked(world.now_ms + 1, 1_800_000_000_000))
    for _ in range(30):
        world.report("a", GPU)
        world.tick()

    assert world.job("cool").state is JobState.STARTING


def test_what_is_usual_is_learned_from_arrays_too_and_from_what_waits_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned: list[int] = []
    monkeypatch.setattr(Costs, "asked", lambda _, __, times, **_kept: learned.append(times))
    world = Controller()
    world.report("a", GPU)
    world.submit("one", ON_A_GPU)
    world.submit("array", replace(ON_A_GPU, element_count=10))
    world.submit("gang", replace(ON_A_GPU, task_count=3, after=(Dependency("one", Condition.SUCCEEDED),)))

    assert learned == [1, 10, 3]
