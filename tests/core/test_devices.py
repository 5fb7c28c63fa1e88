"""Laws of devices: which ones a job is given, whose they are then, and who keeps away from them."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from agent.runtimes.runtime import Ref
from controller.core.placement.fit import Place, Usage, choose, fit
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests
from headrace.nodes import Device, Engine, Health, Load, Node, NodeState
from tests.core.one_agent import Agent, kinds, placement
from tests.core.small_world import AMD64, FIRST, GIB, PINS, World, description, spec

H100 = 'model == "H100"'


def gpu(number: int, **changes: object) -> Device:
    plain = Device(f"gpu-{number}", "gpu", "nvidia", "H100", index=number, health=Health.HEALTHY)
    return replace(plain, **changes)  # type: ignore[arg-type]


def needs(count: int, where: str = "") -> Requests:
    return Requests(1000, GIB, AcceleratorRequest(count, where))


def asking_for(requests: Requests) -> JobSpec:
    return spec(resources=requests)


def job(requests: Requests) -> Job:
    return Job("jobs/train-1", asking_for(requests), images=PINS)


def node(*devices: Device, name: str = "a") -> Node:
    return Node(f"nodes/{name}", NodeState.READY, description=description(), devices=devices, engine=Engine(True))


def given(requests: Requests, *devices: Device, usage: Usage | None = None) -> tuple[str, ...] | str:
    """The devices that a node of these gives to a job, or why it gives none."""
    found = fit(job(requests), node(*devices), usage or Usage(), now_wall_ms=0)
    return found.devices if isinstance(found, Place) else found.reason


def world_with(*devices: Device) -> World:
    """Node a, which has these."""
    world = World(a=AMD64)
    world._queue.append(("a", agent.Sensed(description(), devices, Load())))
    world.pass_time(6_000)
    return world


# Which ones.


def test_a_job_that_asks_for_no_device_is_given_none() -> None:
    assert given(Requests(1000, GIB), gpu(0)) == ()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_job_is_given_as_many_devices_as_it_asks_for(count: int) -> None:
    assert given(needs(count), gpu(0), gpu(1), gpu(2)) == ("gpu-0", "gpu-1", "gpu-2")[:count]


def test_a_job_is_given_only_devices_that_are_what_it_asks_for() -> None:
    assert given(needs(1, H100), gpu(0, model="L4"), gpu(1)) == ("gpu-1",)


@pytest.mark.parametrize("health", [Health.UNKNOWN, Health.DEGRADED, Health.HEALTHY])
def test_a_device_is_given_that_is_not_known_to_be_ill(health: Health) -> None:
    assert given(needs(1), gpu(0, health=health)) == ("gpu-0",)


def test_a_device_that_is_ill_is_not_given() -> None:
    assert given(needs(1), gpu(0, health=Health.UNHEALTHY), gpu(1)) == ("gpu-1",)


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        (needs(1), "has no device free"),
        (needs(2), "has fewer than 2 devices free"),
        (needs(1, H100), f"has no device free with {H100}"),
        (needs(3, H100), f"has fewer than 3 devices free with {H100}"),
    ],
)
def test_a_node_that_has_too_few_says_which_ones_were_wanted(requests: Requests, reason: str) -> None:
    assert given(requests, gpu(0, model="L4"), usage=Usage(devices=("gpu-0",))) == reason


# Whose they are.


def test_a_device_that_another_job_has_is_not_given() -> None:
    assert given(needs(1), gpu(0), gpu(1), usage=Usage(devices=("gpu-0",))) == ("gpu-1",)


def test_what_a_job_that_is_about_to_come_will_have_is_not_given() -> None:
    coming = Usage().with_coming(asking_for(needs(1)))

    assert given(needs(1), gpu(0), gpu(1), usage=coming) == ("gpu-1",)
    assert given(needs(2), gpu(0), gpu(1), usage=coming) == "has fewer than 2 devices free"


def test_each_job_that_is_about_to_come_will_have_its_own() -> None:
    coming = Usage().with_coming(asking_for(needs(1))).with_coming(asking_for(needs(1)))

    assert given(needs(1), gpu(0), gpu(1), usage=coming) == "has no device free"


def test_a_job_that_is_about_to_come_and_needs_no_device_takes_none() -> None:
    assert given(needs(1), gpu(0), usage=Usage().with_coming(asking_for(Requests(1000, GIB)))) == ("gpu-0",)


def test_a_job_that_is_about_to_come_takes_none_that_it_cannot_use() -> None:
    coming = Usage().with_coming(asking_for(needs(1, H100)))

    assert given(needs(1), gpu(0, model="L4"), usage=coming) == ("gpu-0",)


def test_a_device_is_one_jobs_until_that_job_has_ended() -> None:
    world = world_with(gpu(0))
    first = world.submit("first-1", resources=needs(1))
    second = world.submit("second-1", resources=needs(1))
    assert first.attempts[-1].devices == ("gpu-0",)
    assert (second.state, second.reason) == (JobState.QUEUED, "waits: 1 node: has no device free")

    world.exit(Ref("first-1", 0, 1), 0)

    assert world.job("second-1").attempts[-1].devices == ("gpu-0",)


def test_a_device_is_not_used_before_the_container_that_had_it_is_gone() -> None:
    one = Agent()
    one.run(placement(devices=("gpu-0",)))
    second = Ref("second-1", 0, 1)

    one.assign(replace(placement(devices=("gpu-0",)), job="second-1"))
    before = one.tell(agent.Prepared(second))
    after = one.tell(agent.Removed(FIRST))

    assert agent.Start not in kinds(before)
    assert agent.Start in kinds(after)


# Who keeps away.


def busier(*devices: Device, name: str) -> tuple[Node, Usage]:
    return node(*devices, name=name), Usage(cpu_millis=2000)


def chosen(requests: Requests, *sites: tuple[Node, Usage]) -> str:
    """The node that the job goes to."""
    held = {site.id: usage for site, usage in sites}
    found = choose(job(requests), [site for site, _ in sites], held.__getitem__, now_wall_ms=0)
    assert isinstance(found, Place)
    return found.node


def test_a_job_that_needs_no_device_keeps_away_from_nodes_that_have_some() -> None:
    assert chosen(Requests(1000, GIB), (node(gpu(0), name="a"), Usage()), busier(name="b")) == "b"


def test_a_job_that_needs_a_device_goes_where_there_is_most_room_however_many_there_are() -> None:
    few, many = busier(gpu(0), name="a"), (node(gpu(0), gpu(1), name="b"), Usage())

    assert chosen(needs(1), few, many) == "b"
