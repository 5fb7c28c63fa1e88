"""Laws of finding capacity: what is listed, counted, summed, grouped and ordered, and what counts as free."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.capacity import SCHEMAS, Question, Site, find, meant
from headrace import query
from headrace.attempts import Attempt, Platform
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests
from headrace.nodes import Capacity, Device, Drain, Engine, Health, Node, NodeDescription, NodeState
from headrace.searches import CapacityGroup, Found, Over

GIB = 1 << 30
NOW_MS = 1_000_000


def gpu(name: str, model: str = "H100", **changes: object) -> Device:
    changes = {"memory_bytes": 80 * GIB, "memory_used_bytes": 10 * GIB} | changes
    return Device(name, "gpu", "nvidia", model, **changes)  # type: ignore[arg-type]


def node(name: str, *devices: Device, region: str = "east", **changes: object) -> Node:
    about = NodeDescription(
        region=region,
        owner="lab",
        platforms=(Platform("linux", "amd64"),),
        capacity=Capacity(8_000, 64 * GIB, 100 * GIB),
    )
    changes = {"state": NodeState.READY, "engine": Engine(reachable=True)} | changes
    return Node(f"nodes/{name}", description=about, devices=devices, **changes)  # type: ignore[arg-type]


def job(name: str, node_id: str, *devices: str, cpu_millis: int = 1_000, **changes: object) -> Job:
    spec = JobSpec(name, "x", resources=Requests(cpu_millis, GIB))
    attempts = (Attempt(name, 1, node=node_id, devices=devices),)
    changes = {"state": JobState.RUNNING} | changes
    return Job(f"jobs/{name}", spec, node=node_id, epoch=1, attempts=attempts, **changes)  # type: ignore[arg-type]


JOBS = (job("train", "a", "g1", cpu_millis=6_000), job("infer", "b"))
NODES = (
    node("a", gpu("g1"), gpu("g2")),
    node("b", gpu("g3", "T4", memory_bytes=16 * GIB, memory_used_bytes=None), region="west"),
    node("c"),
)


def ask(text: str = "", over: Over = Over.NODES, *, nodes: tuple[Node, ...] = NODES, **asked: Any) -> Found:
    """`order`, `sums` and `group` are written as users write them."""
    schema = SCHEMAS[over]
    if "order" in asked:
        asked["order"] = query.parse_order(asked["order"], schema)
    if "group" in asked:
        asked["group"] = query.parse_field(asked["group"], schema)
    asked["sums"] = tuple(query.parse_sum(one, schema) for one in asked.get("sums", ()))
    sites = [Site(one, [each for each in JOBS if each.node == one.id]) for one in nodes]
    return find(Question(query.parse(text, schema), over, **asked), sites, JOBS, wall_ms=NOW_MS)


def names(found: Found) -> list[str]:
    return [one.id for one in found.nodes] + [one.device.id for one in found.devices] + [one.id for one in found.jobs]


def test_nodes_are_found_with_what_is_free_of_them_by_name() -> None:
    found = ask("gpu.count >= 1")

    assert names(found) == ["a", "b"]
    assert [one.free.cpu_millis for one in found.nodes] == [2_000, 7_000]
    assert [one.jobs for one in found.nodes] == [("train",), ("infer",)]


def test_devices_are_found_with_their_node_and_who_holds_them() -> None:
    found = ask('model == "H100"', Over.DEVICES)

    assert [(one.node, one.device.id, one.free, one.jobs) for one in found.devices] == [
        ("a", "g1", False, ("train",)),
        ("a", "g2", True, ()),
    ]
    assert {(one.region, one.owner) for one in found.devices} == {("east", "lab")}


def test_a_device_is_found_by_where_it_is_and_by_who_has_it() -> None:
    assert names(ask('region == "west" and arch == "amd64"', Over.DEVICES)) == ["g3"]
    assert names(ask('job == "train"', Over.DEVICES)) == ["g1"]
    assert names(ask("free and memory_free >= 70GiB", Over.DEVICES)) == ["g2"]


def test_jobs_are_found() -> None:
    assert names(ask('node == "a" and device_count == 1', Over.JOBS)) == ["train"]


def test_of_a_node_only_what_is_left_is_asked_when_free_is_asked_for() -> None:
    assert names(ask("gpu.count >= 2")) == ["a"]
    assert names(ask("gpu.count >= 2", free_only=True)) == []
    assert names(ask("gpu.count >= 1 and capacity.cpu <= 2", free_only=True)) == ["a"]


def test_a_device_of_which_a_job_has_a_part_is_not_free() -> None:
    half = Requests(1_000, GIB, AcceleratorRequest(1, share_millis=500))
    spec = JobSpec("part", "x", resources=half)
    sharing = replace(job("part", "s", "x1"), spec=spec)
    site = Site(node("s", gpu("x1", shareable=True)), [sharing])

    (device,) = site.devices()

    assert not device.free
    assert device.jobs == ("part",)
    asked = Question(query.parse("", SCHEMAS[Over.DEVICES]), Over.DEVICES, free_only=True)
    assert find(asked, [site], (sharing,), wall_ms=NOW_MS).match_count == 0


def test_a_node_that_is_found_free_is_shown_whole() -> None:
    (found,) = ask('name == "a"', free_only=True).nodes

    assert len(found.devices) == 2
    assert found.description.capacity.cpu_millis == 8_000


@pytest.mark.parametrize(
    "closed",
    [{"state": NodeState.SUSPECT}, {"drain": Drain.CORDONED}, {"engine": Engine(reachable=False)}],
    ids=["doubted", "cordoned", "engine away"],
)
def test_nothing_is_free_on_a_node_that_takes_no_jobs(closed: dict[str, object]) -> None:
    shut = (node("a", gpu("g1"), **closed),)

    assert ask(nodes=shut, free_only=True).match_count == 0
    assert ask(nodes=shut, over=Over.DEVICES, free_only=True).match_count == 0
    assert ask(nodes=shut).match_count == 1


@pytest.mark.parametrize(
    ("text", "group", "names"),
    [
        ("", "", ["on"]),
        ("gpu.count >= 1", "region", ["on"]),
        ('state == "suspect"', "", ["on", "off"]),
        ("", "state", ["on", "off"]),
    ],
)
def test_what_does_not_report_is_no_capacity_unless_its_state_is_asked_about(
    text: str, group: str, names: list[str]
) -> None:
    schema = SCHEMAS[Over.NODES]
    by = query.parse_field(group, schema) if group else None
    nodes = (node("on", gpu("g1")), node("off", gpu("g2"), state=NodeState.SUSPECT))

    assert [one.id for one in meant(Question(query.parse(text, schema), Over.NODES, group=by), nodes)] == names


def test_a_device_that_is_unhealthy_or_held_by_what_is_no_job_is_not_free() -> None:
    ill = gpu("x1", health=Health.UNHEALTHY)
    other = gpu("x2", holders=("container jupyter",))

    assert names(ask(nodes=(node("d", ill, other, gpu("x3")),), over=Over.DEVICES, free_only=True)) == ["x3"]


def test_an_order_puts_what_is_unknown_last_either_way() -> None:
    assert names(ask(over=Over.DEVICES, order="memory_free")) == ["g1", "g2", "g3"]
    assert names(ask(over=Over.DEVICES, order="memory_free desc")) == ["g1", "g2", "g3"]
    assert names(ask(order="free.cpu desc")) == ["c", "b", "a"]
    assert names(ask(order="gpu.memory desc")) == ["a", "b", "c"]


def test_what_is_listed_says_by_what_it_was_ordered() -> None:
    found = ask(order="gpu.memory")

    assert names(found) == ["b", "a", "c"]
    assert found.order_values == ("16GiB", "80GiB", "")


def test_a_limit_cuts_the_list_and_no_count_nor_sum() -> None:
    found = ask(order="free.cpu desc", sums=("capacity.cpu",), limit=1)

    assert names(found) == ["c"]
    assert found.match_count == 3
    assert [(one.value, one.text) for one in found.sums] == [(24_000, "24 cores")]


def test_a_sum_over_nodes_is_over_all_their_devices_and_counts_those_that_do_not_say() -> None:
    (total,) = ask(sums=("gpu.memory_used",)).sums

    assert (total.value, total.text, total.unknown_count) == (20 * GIB, "20.0GiB", 1)


def test_groups_have_counts_and_sums_and_nothing_is_listed() -> None:
    found = ask(over=Over.DEVICES, group="model", sums=("memory",))

    assert [(one.key, one.match_count, one.sums[0].text) for one in found.groups] == [
        ("H100", 2, "160GiB"),
        ("T4", 1, "16.0GiB"),
    ]
    assert (found.match_count, found.group_count, found.devices) == (3, 2, ())


def test_groups_are_ordered_by_their_field_or_by_a_sum() -> None:
    by_sum = ask(group="region", sums=("free.cpu",), order="free.cpu")
    by_name = ask(group="region", order="region desc")

    assert [one.key for one in by_sum.groups] == ["west", "east"]
    assert [one.key for one in by_name.groups] == ["west", "east"]


def test_a_group_by_a_number_is_in_the_order_of_numbers() -> None:
    found = ask(group="free.cpu")

    assert [one.key for one in found.groups] == ["2", "7", "8"]


def test_what_has_no_known_value_is_a_group_of_its_own_at_the_end() -> None:
    found = ask(over=Over.DEVICES, group="memory_used")

    assert found.groups == (CapacityGroup("10GiB", 2), CapacityGroup(None, 1))


def test_a_node_is_in_the_group_of_each_model_that_it_has() -> None:
    mixed = (node("m", gpu("x1"), gpu("x2", "T4"), gpu("x3", "T4")),)

    assert ask(nodes=mixed, group="model").groups == (CapacityGroup("H100", 1), CapacityGroup("T4", 1))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 99)), max_size=20))
def test_groups_are_all_that_was_found_once_and_their_sums_its_sum(devices: list[tuple[str, int | None]]) -> None:
    made = [gpu(f"x{place}", model, memory_bytes=size) for place, (model, size) in enumerate(devices)]

    found = ask(nodes=(node("n", *made),), over=Over.DEVICES, group="model", sums=("memory",))

    assert sum(one.match_count for one in found.groups) == found.match_count == len(devices)
    assert sum(one.sums[0].value for one in found.groups) == found.sums[0].value
    assert sum(one.sums[0].unknown_count for one in found.groups) == found.sums[0].unknown_count
