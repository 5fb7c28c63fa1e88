"""Row 19: how soon a change of a node is seen, what a search of 10,000 nodes takes, and a frame of `headrace top`."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from benchmarks import setting as settings
from benchmarks.figures import Measured, Ratio, Row
from deploy.local import cluster
from headrace import wire
from headrace.attempts import Platform
from headrace.cli.top_board import Board
from headrace.client import Client
from headrace.nodes import Capacity, Device, Engine, Health, Load, Node, NodeDescription, NodeState
from headrace.searches import Found, Over, Search
from headrace.sessions import Report
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

NODES = 10_000
BOARD_NODES = 1_000
DEVICES = 8
ROUNDS = 20
LOST = 5
AT_ONCE = 100
GIB = 1 << 30

JOINED, CHANGED, LOST_SEEN = "a node joins → seen", "a device changes → seen", "a node is lost → SUSPECT seen"
SEARCHES = {
    "find, three conditions, 100 listed": Search('arch == "arm64" and region == "east" and free.gpu.memory >= 24GiB'),
    "find --free, four GPUs, ordered, summed": Search(
        "gpu.count >= 4", free_only=True, order_by="gpu.memory desc", sums=("gpu.memory",)
    ),
    "find --over devices, by model, summed": Search(
        "memory >= 24GiB", over=Over.DEVICES, group_by="model", sums=("memory",)
    ),
    "find --when, nothing is free": Search("gpu.count >= 9", when=True),
}
FRAME = "top: a tenth of the nodes report, order by busy, 50 rows"


@dataclass
class Agent:
    """One that says what it is told to say, in the real protocol."""

    stream: Any
    report: Report

    async def say(self, **changes: Any) -> None:
        """Sends the next report."""
        self.report = replace(self.report, sequence=self.report.sequence + 1, **changes)
        await self.stream.write(wire.dump(self.report))


async def measure(setting: settings.Setting) -> Row:
    """Measures the row."""
    seen, found = Measured("ms"), Measured("ms")
    async with _controller(setting, {}) as (address, client):
        await _seen(address, client, seen)
    async with _controller(setting, {"lease": "1h"}) as (address, client):
        await _reported(address)
        await _searched(client, found)
    _framed(found)
    ratios = [
        Ratio("joins: the largest", seen[JOINED].p99, 2_000, unit="ms"),
        Ratio("changes: the largest", seen[CHANGED].p99, 2_000, unit="ms"),
        Ratio("losses: the largest", seen[LOST_SEEN].p99, 10_000, unit="ms"),
        *(Ratio(f"{name}: p50", found[name].p50, 1_000, unit="ms") for name in SEARCHES),
    ]
    title = f"finding: {NODES} nodes of {DEVICES} devices; top: {BOARD_NODES}"
    notes = ("from the agent's write, or from its last one, to the watching client; searches from call to answer",)
    return Row(19, title, (*seen.series(), *found.series()), tuple(ratios), notes)


@contextlib.asynccontextmanager
async def _controller(setting: settings.Setting, added: dict[str, Any]) -> AsyncIterator[tuple[str, Client]]:
    address = cluster.free_address()
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        daemon = cluster.start_controller(Path(name), registry=setting.registry, address=address, settings=added)
        try:
            async with Client(address) as client:
                yield address, client
        finally:
            daemon.stop()


async def _seen(address: str, client: Client, measured: Measured) -> None:
    watch = client.watch_nodes()
    async with grpc.aio.insecure_channel(address) as channel, contextlib.aclosing(watch):
        stub = NodeServiceStub(channel)
        first = _agent(stub, "n00000")
        await first.say()
        await _until(watch, lambda node: node.id == "n00000")
        joined = []
        for number in range(1, ROUNDS + 1):
            joining, begun = _agent(stub, _name(number)), time.perf_counter()
            await joining.say()
            await _until(watch, lambda node, here=joining: node.id == here.report.node)  # type: ignore[misc]
            measured.add(JOINED, (time.perf_counter() - begun) * 1000)
            joined.append(joining)
        for number, one in enumerate(joined):
            ill = replace(one.report.devices[0], health=Health.UNHEALTHY, health_reason=f"round {number}")
            begun = time.perf_counter()
            await one.say(devices=(ill, *one.report.devices[1:]))
            await _until(watch, lambda node, device=ill: device in node.devices)  # type: ignore[misc]
            measured.add(CHANGED, (time.perf_counter() - begun) * 1000)
        lost: dict[str, float] = {}
        for one in joined[:LOST]:
            await one.say()
            lost[one.report.node] = time.perf_counter()
            one.stream.cancel()
        while lost:
            node = await _until(watch, lambda node: node.state is NodeState.SUSPECT and node.id in lost)
            measured.add(LOST_SEEN, (time.perf_counter() - lost.pop(node.id)) * 1000)


async def _until(watch: AsyncIterator[Node], wanted: Callable[[Node], bool]) -> Node:
    while not wanted(node := await anext(watch)):
        pass
    return node


async def _reported(address: str) -> None:
    """Has each of many nodes say once what it is."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = NodeServiceStub(channel)
        for begin in range(0, NODES, AT_ONCE):
            await asyncio.gather(*(_told(_agent(stub, _name(number))) for number in range(begin, begin + AT_ONCE)))


async def _told(agent: Agent) -> None:
    await agent.say()
    await agent.stream.read()
    agent.stream.cancel()


async def _searched(client: Client, measured: Measured) -> None:
    for _ in range(ROUNDS):
        for name, search in SEARCHES.items():
            begun = time.perf_counter()
            found = await client.find(search)
            measured.add(name, (time.perf_counter() - begun) * 1000)
            _check(name, search, found)


def _check(name: str, search: Search, found: Found) -> None:
    if not found.match_count and not search.when:
        raise RuntimeError(f"{name}: nothing was found among {NODES} nodes")


def _framed(measured: Measured) -> None:
    nodes = [wire.dump(_node(number)) for number in range(BOARD_NODES)]
    board = Board()
    for node in nodes:
        board.put(node)
    board.order_by("busy")
    board.lines()
    for number in range(ROUNDS):
        begun = time.perf_counter()
        for node in nodes[number % 10 :: 10]:
            board.put(node)
        for line in board.lines()[:50]:
            "  ".join(line.cells)
        measured.add(FRAME, (time.perf_counter() - begun) * 1000)


def _agent(stub: NodeServiceStub, name: str) -> Agent:
    node = _node(int(name[1:]))
    report = Report(name, 1, 0, node.description, devices=node.devices, load=node.load, engine=node.engine)
    return Agent(stub.Session(), report)


def _name(number: int) -> str:
    return f"n{number:05}"


def _node(number: int) -> Node:
    about = NodeDescription(
        region=("east", "west")[number % 2],
        owner=f"owner-{number % 7}",
        platforms=(Platform("linux", ("amd64", "arm64")[number // 2 % 2]),),
        capacity=Capacity(64_000, 256 * GIB, 1000 * GIB),
    )
    model = ("NVIDIA H100", "AMD Instinct MI300X", "Ascend 910B")[number % 3]
    devices = tuple(
        Device(
            f"{_name(number)}-{index}",
            ("gpu", "gpu", "npu")[number % 3],
            ("nvidia", "amd", "huawei")[number % 3],
            model,
            index=index,
            memory_bytes=80 * GIB,
            memory_used_bytes=(number + index) % 80 * GIB,
            busy_percent=float((number * 7 + index * 13) % 100),
            temperature_celsius=40.0 + index,
            power_watts=300.0,
            health=Health.HEALTHY,
        )
        for index in range(DEVICES)
    )
    load = Load(cpu_percent=float(number % 100), memory_available_bytes=100 * GIB, load_average=1.0)
    engine = Engine(reachable=True, message="simulated")
    return Node(f"nodes/{_name(number)}", description=about, devices=devices, load=load, engine=engine)
