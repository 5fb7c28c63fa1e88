"""A gang that would fit though nobody left has nobody leave: it waits for its turn."""

from dataclasses import replace

import pytest

from controller.core import model
from headrace.attempts import AttemptState
from headrace.jobs import AcceleratorRequest, JobState, Requests, Timeouts
from headrace.nodes import Device, Engine
from headrace.sessions import Report
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import CONTRACT, GIB
from tests.core.test_gang_rooms import LARGE

GPU, NPU = AcceleratorRequest(1, 'kind == "gpu"'), AcceleratorRequest(1, 'kind == "npu"')


@pytest.mark.parametrize("tasks", [1, 2])
def test_who_waits_behind_room_that_is_kept_sends_nobody_away_from_its_alternatives(tasks: int) -> None:
    controller = Controller()
    devices = {
        name: (Device(f"{kind}-{name}", kind, "nvidia", "M", 0, memory_bytes=80 * GIB),)
        for kind, names in (("gpu", ("g1", "g2", "g3")), ("npu", ("n1", "n2")))
        for name in names
    }
    for name, its in devices.items():
        controller.node(name, LARGE, its)
    controller.tick()
    limited = {"priority": 99, "timeouts": Timeouts(run_ms=600_000)}
    controller.submit(wanted(resources=Requests(1_000, GIB, GPU), where='node == "g3"', **limited))
    others = [
        controller.submit(
            wanted(resources=Requests(1_000, GIB, NPU), where=f'node == "{name}"', priority=10, checkpoint=CONTRACT)
        )
        for name in ("n1", "n2")
    ]
    controller.settle()
    for one in others:
        job = controller.book.jobs[one.id]
        assert job.attempt is not None
        runs = replace(job.attempt, state=AttemptState.RUNNING)
        report = Report(job.node, 1, 2, LARGE, devices[job.node], engine=Engine(reachable=True), attempts=(runs,))
        controller.cluster.handle(model.Reported(report))
    # Two GPUs are free, and kept for this one.
    controller.submit(wanted(resources=Requests(1_000, GIB, GPU), task_count=3, priority=95))
    controller.settle()

    controller.submit(wanted(resources=Requests(1_000, GIB, GPU, (NPU,)), task_count=tasks, priority=92))
    for _ in range(10):
        controller.settle()

    assert [controller.book.jobs[one.id].state for one in others] == [JobState.RUNNING, JobState.RUNNING]
