"""Laws of placement as a function of a snapshot: what keeps a node from a job, and which of two places is better."""

from dataclasses import replace

import pytest

from controller.core.placement.fit import Place, Usage, choose, fit, free
from headrace.jobs import AcceleratorRequest, Job, Network, Preference, Requests
from headrace.nodes import Capacity, Engine, Load, Node, NodeState
from tests.core.small_world import GIB, PINS, description, spec

HERE = Node("nodes/a", NodeState.READY, description=description(), engine=Engine(reachable=True))
WHERE = 'region == "north"'


def job(**changes: object) -> Job:
    return Job("jobs/train-1", spec(**changes), images=PINS)


def at(region: str, name: str = "a") -> Node:
    return replace(HERE, name=f"nodes/{name}", description=replace(HERE.description, region=region))


def refused(wanted: Job, node: Node = HERE, usage: Usage | None = None) -> str:
    """Why the node cannot run the job; empty where it can."""
    found = fit(wanted, node, usage or Usage(), now_wall_ms=0)
    return "" if isinstance(found, Place) else found.reason


def chosen(wanted: Job, *nodes: Node, held: dict[str, Usage] | None = None) -> str:
    """The node that the job goes to."""
    found = choose(wanted, nodes, lambda node: (held or {}).get(node, Usage()), now_wall_ms=0)
    assert isinstance(found, Place)
    return found.node


# What keeps a node from a job.


def test_a_job_goes_only_where_what_it_says_of_nodes_holds() -> None:
    assert refused(job(where=WHERE), at("north")) == ""
    assert refused(job(where=WHERE), at("south")) == f"does not match where: {WHERE}"


def test_a_node_whose_engine_does_not_answer_takes_no_job_and_says_why() -> None:
    node = replace(HERE, engine=Engine(reachable=False, message="no such socket"))

    assert refused(job(), node) == "has an engine that does not answer (no such socket)"


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        (Requests(3000, 6 * GIB), ""),
        (Requests(3001, 6 * GIB), "has less than 3.001 cores free"),
        (Requests(3000, 6 * GIB + 1), "has less than 6144 MiB of memory free"),
    ],
    ids=["all of it", "more cpu", "more memory"],
)
def test_a_job_is_given_no_more_than_what_the_others_leave(requests: Requests, reason: str) -> None:
    assert refused(job(resources=requests), usage=Usage(1000, 2 * GIB)) == reason


def test_what_no_end_of_a_job_can_change_is_said_before_what_one_may() -> None:
    full = Usage(3000, 6 * GIB)
    device = Requests(2000, GIB, AcceleratorRequest(1, 'kind == "gpu"'))

    assert (
        refused(job(where=WHERE, resources=Requests(2000, GIB)), at("south"), full) == f"does not match where: {WHERE}"
    )
    assert (
        refused(job(network=Network.HOST, resources=Requests(2000, GIB)), usage=full) == "does not allow network: host"
    )
    assert refused(job(resources=device), usage=full) == 'has no device free with kind == "gpu"'


def test_memory_is_told_as_jobs_write_it() -> None:
    assert refused(job(resources=Requests(1000, 100 * GIB))) == "has less than 100 GiB of memory free"


def test_a_node_that_holds_more_than_it_has_has_nothing_free() -> None:
    assert free(HERE, Usage(64_000, 64 * GIB)) == Capacity(0, 0, 100 * GIB)


def test_the_disk_that_is_free_is_what_the_node_last_read_and_all_of_it_where_it_read_none() -> None:
    read = replace(HERE, load=Load(disk_free_bytes=0))

    assert free(read, Usage()).disk_bytes == 0
    assert free(HERE, Usage()).disk_bytes == 100 * GIB


@pytest.mark.parametrize("network", [Network.BRIDGE, Network.NONE])
def test_a_network_of_its_own_is_given_to_a_job_everywhere(network: Network) -> None:
    assert refused(job(network=network)) == ""


def test_the_network_of_a_node_is_given_to_a_job_only_where_its_owner_allows_it() -> None:
    allowing = replace(HERE, description=replace(HERE.description, host_network=True))

    assert refused(job(network=Network.HOST)) == "does not allow network: host"
    assert refused(job(network=Network.HOST), allowing) == ""


def test_an_image_of_which_no_platform_is_left_runs_nowhere() -> None:
    assert refused(replace(job(), images=())) == "cannot run the image, which is made for no platform"


# Which place is better.


def test_a_job_goes_to_the_node_that_has_the_most_room_in_what_it_has_least_of() -> None:
    held = {"a": Usage(cpu_millis=2000, memory_bytes=GIB), "b": Usage(cpu_millis=1000, memory_bytes=GIB)}
    assert chosen(job(), at("", "a"), at("", "b"), held=held) == "b"

    held = {"a": Usage(cpu_millis=1000, memory_bytes=6 * GIB), "b": Usage(cpu_millis=2000, memory_bytes=GIB)}
    assert chosen(job(), at("", "a"), at("", "b"), held=held) == "b"


def test_a_job_goes_to_a_node_that_it_likes_though_another_one_has_more_room() -> None:
    wanted = job(prefer=(Preference(WHERE, 1.0),))

    assert chosen(wanted, at("south", "a"), at("north", "b"), held={"b": Usage(cpu_millis=2000)}) == "b"


def test_what_a_job_likes_adds_up() -> None:
    wanted = job(prefer=(Preference(WHERE, 1.0), Preference('region == "south"', 3.0), Preference(WHERE, 1.0)))

    assert chosen(wanted, at("north", "a"), at("south", "b")) == "b"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_two_places_that_are_as_good_the_choice_does_not_depend_on_the_order(order: tuple[str, str]) -> None:
    assert chosen(job(), *(at("", name) for name in order)) == "a"


def test_a_job_that_no_node_can_run_says_how_many_nodes_lack_what() -> None:
    nodes = (at("south", "a"), at("south", "b"), replace(HERE, name="nodes/c", state=NodeState.SUSPECT))

    found = choose(job(where=WHERE), nodes, lambda _: Usage(), now_wall_ms=0)

    assert found == f"waits: 2 nodes: does not match where: {WHERE}; 1 node: does not report"


def test_a_job_that_waits_for_the_first_node_says_so() -> None:
    found = choose(job(), (), lambda _: Usage(), now_wall_ms=0)

    assert found == "waits for a node: none has reported yet"
