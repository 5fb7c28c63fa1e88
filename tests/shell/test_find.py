"""headrace find: the program and the client, against the real controller."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.attempts import AttemptState
from headrace.jobs import AcceleratorRequest, Requests, Timeouts
from headrace.nodes import Device
from headrace.refusals import Code, Refusal
from headrace.searches import Over, Search
from tests.shell.controller_double import headrace
from tests.shell.running_controller import SPEC, HandWritten, Running, agent, attempt, controller

GIB = 1 << 30


def gpu(name: str, model: str = "H100", gib: int = 80) -> Device:
    return Device(name, "gpu", "nvidia", model, memory_bytes=gib * GIB, memory_used_bytes=0)


@asynccontextmanager
async def two_nodes(state: Path) -> AsyncIterator[tuple[Running, HandWritten]]:
    """A controller, and nodes a (two H100) and b (one T4) that report; the agent of a."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(controller(state))
        first = await stack.enter_async_context(agent(running, "a"))
        other = await stack.enter_async_context(agent(running, "b"))
        await first.say(devices=(gpu("g1"), gpu("g2")))
        await other.say(devices=(gpu("g3", "T4", 16),))
        yield running, first


async def test_the_program_lists_sums_and_orders(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (running, _):
        ended = await headrace(
            "find", "gpu.count >= 1", "--order-by", "gpu.memory", "--sum", "gpu.memory", controller=running.address
        )

    assert ended.code == 0
    assert [line.split()[0] for line in ended.lines[:3]] == ["NAME", "b", "a"]
    assert ended.lines[0].endswith("GPU.MEMORY")
    assert ended.lines[-1] == "2 nodes, gpu.memory 176GiB"


async def test_the_program_groups_devices(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (running, _):
        options = ("--over", "devices", "--group-by", "model", "--sum", "memory")
        ended = await headrace("find", *options, controller=running.address)

    assert [line.split() for line in ended.lines] == [
        ["MODEL", "DEVICES", "MEMORY"],
        ["H100", "2", "160GiB"],
        ["T4", "1", "16.0GiB"],
        [],
        ["3", "devices,", "memory", "176GiB"],
    ]


async def test_in_json_what_is_found_has_the_fields_of_the_protocol(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (running, _):
        ended = await headrace("find", "free", "--over", "devices", "-o", "json", controller=running.address)

    found = json.loads(ended.out)
    assert [(one["node"], one["device"]["id"], one["free"]) for one in found["devices"]] == [
        ("a", "g1", True),
        ("a", "g2", True),
        ("b", "g3", True),
    ]
    assert found["matchCount"] == "3"


async def test_a_list_that_is_cut_says_so(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (running, _):
        ended = await headrace("find", "--limit", "1", controller=running.address)

    assert ended.lines[-1] == "2 nodes"
    assert ended.complaint == "1 more are left out; --limit 2 shows all"


async def test_where_nothing_is_free_it_is_told_when_something_would_be(tmp_path: Path) -> None:
    asked = Requests(1000, GIB, AcceleratorRequest(2))
    async with two_nodes(tmp_path) as (running, first):
        submitted = await running.client.create_job(replace(SPEC, resources=asked, timeouts=Timeouts(run_ms=3_600_000)))
        placement = await first.takes(submitted.id)
        before = await running.client.find(Search("gpu.count >= 2", free_only=True))
        await first.say(attempt(placement))
        after = await running.client.find(Search("gpu.count >= 2", free_only=True))
        job = await running.client.job(submitted.name)
        ended = await headrace("find", "gpu.count >= 2", "--free", controller=running.address)

    assert [(one.node, one.free_time_ms, one.jobs) for one in before.free_times] == [("a", None, (submitted.id,))]
    assert job.start_time_ms is not None
    by_ms = job.start_time_ms + 3_600_000 + SPEC.grace_ms
    assert [(one.node, one.free_time_ms, one.jobs) for one in after.free_times] == [("a", by_ms, (submitted.id,))]
    assert ended.lines[0] == "nothing is free just now"
    assert ended.lines[-1].split()[0] == "a"
    assert f"once {submitted.id} has ended" in ended.lines[-1]


async def test_behind_a_job_without_a_limit_nobody_knows(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (running, first):
        submitted = await running.client.create_job(replace(SPEC, resources=Requests(1000, GIB, AcceleratorRequest(2))))
        placement = await first.takes(submitted.id)
        await first.say(attempt(placement, AttemptState.RUNNING))
        found = await running.client.find(Search("gpu.count >= 2", when=True))

    assert [(one.node, one.free_time_ms, one.reason) for one in found.free_times] == [
        ("a", None, f"{submitted.id} has no timeouts.run")
    ]


async def test_jobs_are_found_by_what_they_have(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (running, first):
        wanted = replace(SPEC, resources=Requests(1000, GIB, AcceleratorRequest(1)), where="gpu.count == 2")
        submitted = await running.client.create_job(wanted)
        await first.takes(submitted.id)
        found = await running.client.find(Search('"g1" in devices and age < 1h', over=Over.JOBS))
        holders = await running.client.find(Search(f'job == "{submitted.id}"', over=Over.DEVICES))
        ended = await headrace("find", "--over", "jobs", controller=running.address)

    assert [job.id for job in found.jobs] == [submitted.id]
    assert [one.device.id for one in holders.devices] == ["g1"]
    assert ended.lines[1].split()[0] == submitted.id


REFUSED = [
    (Search("regoin == 'a'"), "filter", "did you mean region?"),
    (Search(order_by="free.cpuu"), "order_by", "did you mean free.cpu?"),
    (Search(order_by="cpu.features"), "order_by", "lists have no order"),
    (Search(sums=("free.cpu", "region")), "sums", "region is a text"),
    (Search(group_by="modle", over=Over.DEVICES), "group_by", "did you mean model?"),
    (Search(group_by="platforms"), "group_by", "platforms is a list"),
    (Search(group_by="region", order_by="free.cpu"), "order_by", "by what they are made by or by a sum: region"),
    (Search(group_by="model", sums=("gpu.memory",)), "group_by", "ask over devices"),
    (Search(free_only=True, over=Over.JOBS), "free_only", "ask over nodes or devices"),
    (Search(when=True, over=Over.DEVICES), "when", "ask over nodes, not devices"),
    (Search(limit=-1), "limit", "-1 is not from 1 to 10000"),
]


async def test_what_means_nothing_is_refused_by_its_field(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        for search, field, why in REFUSED:
            with pytest.raises(Refusal) as caught:
                await running.client.find(search)

            assert caught.value.code is Code.INVALID_ARGUMENT
            assert caught.value.message.startswith(f"{field}: ")
            assert why in caught.value.message
            assert caught.value.metadata["field"] == field


async def test_the_program_says_what_it_did_not_understand(tmp_path: Path) -> None:
    async with controller(tmp_path) as running:
        ended = await headrace("find", "regoin == 'a'", controller=running.address)

    assert ended.code == 1
    assert ended.complaint == (
        "refused: EXPR: nodes have no field 'regoin'; did you mean region?, at character 1 of `regoin == 'a'` "
        "[QUERY_INVALID]"
    )


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--sum", "region"), "refused: --sum: "),
        (("--free", "--over", "jobs"), "refused: --free: jobs are not free"),
        (("regoin == 'a'",), "refused: EXPR: nodes have no field 'regoin'; did you mean region?"),
    ],
)
async def test_what_is_wrong_is_named_as_it_was_written(tmp_path: Path, argv: tuple[str, ...], told: str) -> None:
    async with two_nodes(tmp_path) as (running, _):
        ended = await headrace("find", *argv, controller=running.address)

    assert (ended.code, ended.complaint[: len(told)]) == (1, told)
