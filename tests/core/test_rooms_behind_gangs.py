"""Room in columns for one gang behind another: what was looked at holds no longer than what it was looked at beside."""

import pytest

from controller.core import keeping
from controller.core.explanations import explained
from controller.core.stills import still
from headrace.jobs import AcceleratorRequest, Job, Requests, Timeouts
from headrace.nodes import Device
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import GIB
from tests.core.test_gang_rooms import LARGE

ONE = Requests(1_000, GIB, AcceleratorRequest(1, 'kind == "gpu"'))


@pytest.fixture(autouse=True)
def _in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "is_wide", lambda _book, job: job.is_gang)


def full(minutes: dict[str, int]) -> Controller:
    """Nodes of one GPU and one device of another kind, each with a job that goes in so many minutes."""
    controller = Controller()
    for name in minutes:
        gpu = Device(f"gpu-{name}", "gpu", "nvidia", "H100", 0, memory_bytes=80 * GIB)
        other = Device(f"npu-{name}", "npu", "huawei", "Ascend", 1, memory_bytes=80 * GIB)
        controller.node(name, LARGE, (gpu, other))
    controller.tick()
    for name, count in minutes.items():
        limit = Timeouts(run_ms=count * 60_000)
        controller.submit(wanted(resources=ONE, where=f'node == "{name}"', timeouts=limit))
    controller.settle()
    return controller


def gang(controller: Controller, tasks: int, **more: int) -> Job:
    job = controller.submit(wanted(resources=ONE, task_count=tasks, **more))
    controller.settle()
    return job


def places(controller: Controller, job: Job) -> set[str]:
    return set(controller.book.turns.kept[job.id].places)


def test_room_that_is_kept_for_a_more_urgent_one_is_nobody_elses() -> None:
    controller = full({"a": 10, "b": 10, "c": 20, "d": 20})
    first = gang(controller, 2)
    urgent = gang(controller, 2, priority=60)

    for _ in range(70):
        for job in (first, urgent):
            controller.book.queue.due(job.id)
        controller.book.room_changed = True
        controller.tick(1_000)

    assert places(controller, urgent) == {"a", "b"}
    assert places(controller, first) == {"c", "d"}


def test_what_a_still_looks_at_is_not_the_cores() -> None:
    controller = full(dict.fromkeys("abcd", 10))
    gang(controller, 4)
    small = controller.submit(wanted(resources=Requests(1_000, GIB), timeouts=Timeouts(run_ms=60_000)))
    # As a second or two after the last look, before the core looks again.
    controller.book.now_ms += 2_000
    before = {job: dict(its) for job, its in controller.book.turns.checked.items()}

    explained(still(controller.book), controller.book.jobs[small.id])

    assert any(before.values())
    assert controller.book.turns.checked == before
