"""Gangs on a real engine: tasks that meet over the hosts' network, and all of which run or none."""

from dataclasses import replace

import pytest

from headrace.ids import task_id
from headrace.jobs import Job, JobSpec, JobState, Network, Requests, Retry, RetryCause
from tests.cluster.jobs import program
from tests.cluster.observer import Observer
from tests.cluster.world import World

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

AGENTS: tuple[str, ...] = ()
NODES = ("one", "other")
TASKS = 3

# Each brings its rank to the first one, which adds them up and tells all: what a collective operation does.
ADDS_UP = """
import json, os, socket, time
rank, size = int(os.environ["HEADRACE_RANK"]), int(os.environ["HEADRACE_WORLD_SIZE"])
where = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
def met():
    while True:
        try:
            return socket.create_connection(where)
        except OSError:
            time.sleep(0.1)
if rank == 0:
    with socket.create_server(where) as server:
        others = [server.accept()[0] for _ in range(size - 1)]
    lines = [one.makefile("rw") for one in others]
    total = sum(int(line.readline()) for line in lines)
    for line in lines:
        line.write(f"{total}\\n")
        line.flush()
else:
    line = met().makefile("rw")
    line.write(f"{rank}\\n")
    line.flush()
    total = int(line.readline())
print(os.environ["HEADRACE_JOB"], "task", rank, "of", size, "in epoch", os.environ["HEADRACE_EPOCH"], "got", total)
open("/output/total", "w").write(str(total))
"""
# The last task fails at first; all wait for each other, for ever.
FAILS_ONCE = """
import os, time
print("epoch", os.environ["HEADRACE_EPOCH"], flush=True)
if os.environ["HEADRACE_EPOCH"] == "1":
    if os.environ["HEADRACE_RANK"] == "1":
        time.sleep(1)
        exit(3)
    while True:
        time.sleep(1)
"""


@pytest.fixture(scope="module")
def world(world: World) -> World:
    """With two agents whose jobs may have the hosts' network."""
    for name in NODES:
        world.start_agent(name, settings={"host_network": True})
    return world


@pytest.fixture(autouse=True)
async def _ready(eyes: Observer) -> None:
    await eyes.ready(*NODES)


def gang(name: str, text: str, count: int = TASKS) -> JobSpec:
    return replace(program(name, text), network=Network.HOST, task_count=count)


async def tasks(eyes: Observer, job: Job, count: int = TASKS) -> list[Job]:
    return [await eyes.client.job(task_id(job.name, number)) for number in range(count)]


async def test_the_tasks_of_a_gang_meet_over_the_hosts_network_between_nodes(eyes: Observer) -> None:
    # So much that no node has room for two.
    free = [(await eyes.client.node(eyes.world.node(name))).free.cpu_millis for name in NODES]
    wanted = Requests(cpu_millis=min(free) // 2 + 10, memory_bytes=128 << 20)

    job = await eyes.ended(await eyes.client.create_job(replace(gang("adds-up", ADDS_UP, 2), resources=wanted)))

    done = await tasks(eyes, job, 2)
    assert sorted(task.node for task in done) == sorted(map(eyes.world.node, NODES))
    for task in done:
        assert task.outputs is not None
        assert await eyes.log(task) == f"{job.id} task {task.task} of 2 in epoch 1 got 1\n"


async def test_tasks_meet_on_one_node_too(eyes: Observer) -> None:
    job = await eyes.ended(await eyes.client.create_job(gang("adds-up", ADDS_UP)))

    assert [(await eyes.log(task)).split()[-1] for task in await tasks(eyes, job)] == ["3"] * TASKS
    assert job.rendezvous.startswith("127.0.0.1:29")


async def test_when_one_task_fails_all_are_ended_and_begin_again(eyes: Observer) -> None:
    spec = gang("fails-once", FAILS_ONCE, 2)
    job = await eyes.client.create_job(replace(spec, retry=Retry(1, (RetryCause.EXIT_NONZERO,))))

    job = await eyes.ended(job)

    assert job.failures == 1
    for task in await tasks(eyes, job, 2):
        assert task.epoch == 2
        assert await eyes.log(task) == "epoch 1\nepoch 2\n"
        assert eyes.world.starts(task.id) == [1, 2]


async def test_a_gang_that_does_not_fit_as_a_whole_starts_nothing(eyes: Observer) -> None:
    free = [(await eyes.client.node(eyes.world.node(name))).free.cpu_millis for name in NODES]
    wanted = Requests(cpu_millis=max(free) // 2 + 10, memory_bytes=128 << 20)

    job = await eyes.client.create_job(replace(gang("too-large", ADDS_UP), resources=wanted))
    assert "3 tasks at once" in (await eyes.until(job, lambda now: bool(now.reason), "says why it waits")).reason
    await eyes.client.cancel(job.name)
    job = await eyes.ended(job, JobState.CANCELLED)

    assert [task.attempts for task in await tasks(eyes, job)] == [()] * TASKS
