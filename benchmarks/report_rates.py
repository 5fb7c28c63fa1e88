"""Reports: agents at rest (row 7), and streams that report without a pause (row 6), against bare gRPC."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from benchmarks import certified, swarm
from benchmarks.figures import Ratio, Row, Series, of_rounds
from headrace.connection import Connection
from headrace.v1.node_service_pb2 import ListNodesRequest, WatchNodesRequest

if TYPE_CHECKING:
    from benchmarks.scale import Scale

STREAMS = 200
ROUNDS = 3
FLOOD_SECONDS = 6.0
# Half of what an agent waits between two reports.
FLOOD_LEASE = "5s"
PROBES = 200
CONNECT_SECONDS = 180.0


async def at_rest(scale: "Scale") -> Row:
    """Row 7: what agents that only report cost, how soon a change is seen, and how soon all are back.

    It asks for a report each ten seconds, of however many nodes.
    """
    with scale.controller("rest", reports_per_second=0) as controller:
        empty_bytes = controller.rss_bytes
        with swarm.agents(controller.address, scale.agents, start_seconds=max(10.0, scale.agents / 500)) as agents:
            came = await connected(agents, scale.agents)
            agents.count()
            cpu, since = controller.cpu_seconds, time.monotonic()
            await asyncio.sleep(scale.seconds)
            counts, seconds = agents.count(), time.monotonic() - since
            core_percent = 100 * (controller.cpu_seconds - cpu) / seconds
            kib = (controller.rss_bytes - empty_bytes) / scale.agents / 1024
            seen = await _probed(controller, agents, scale.agents)
            lists = await _listed(controller.address)
            controller.process.kill()
            killed = time.monotonic()
            controller.start()
            answers = time.monotonic() - killed
            await connected(agents, scale.agents)
            back = time.monotonic() - killed
    answered = sorted(1000 * one for one in counts["answer_seconds"])
    series = (
        Series("reports", "/s", (counts["reports"] / seconds,)),
        Series("bytes of a report", "B", (counts["bytes"] / counts["reports"],)),
        Series("controller's processor time", "% of a core", (core_percent,)),
        Series("controller's memory, an agent", "KiB", (kib,)),
        Series("report → its answer", "ms", tuple(answered)),
        Series("change on a node → a watcher has it", "ms", seen),
        Series("ListNodes, all of them", "ms", lists),
        Series("first time: all connected", "s", (came,)),
        Series("killed → its port answers", "s", (answers,)),
        Series("killed → all are back", "s", (back,)),
    )
    ratios = (
        Ratio("controller's processor time", core_percent, 60.0, unit="% of a core"),
        Ratio("memory, an agent", kib, 150.0, unit="KiB"),
        Ratio("all are back", back, 30.0, unit="s"),
    )
    notes = (f"{scale.agents} agents; streams that ended: {counts['failures']}; {certified.note()}",)
    return Row(7, f"{scale.agents} agents at rest", series, ratios, notes)


async def connected(agents: swarm.Swarm, count: int) -> float:
    """Waits until all agents have been answered in their present session; for how long."""
    since = time.monotonic()
    while agents.count()["connected"] < count:
        if time.monotonic() - since > CONNECT_SECONDS:
            raise TimeoutError(f"not all of {count} agents were answered within {CONNECT_SECONDS:.0f} s")
        await asyncio.sleep(0.1)
    return time.monotonic() - since


async def _probed(controller: swarm.Measured, agents: swarm.Swarm, count: int) -> tuple[float, ...]:
    """How long after an agent has something new to tell a client that watches has it, in milliseconds."""
    found: list[float] = []
    async with Connection(controller.address, tls=certified.operator()) as connection:
        stream = connection.nodes.WatchNodes(WatchNodesRequest())
        for _ in range(count):
            await stream.read()
        for probe in range(1, PROBES + 1):
            number = probe * 7919 % count
            node = f"nodes/sim-{number:05d}"
            at_ns = agents.touch(number, node.removeprefix("nodes/"), probe)
            while True:
                seen: Any = await stream.read()
                if seen.name == node and seen.description.labels["probe"] == str(probe):
                    break
            found.append((time.monotonic_ns() - at_ns) / 1e6)
        stream.cancel()
    return tuple(found)


async def _listed(address: str) -> tuple[float, ...]:
    found = []
    async with Connection(address, tls=certified.operator()) as connection:
        for _ in range(3):
            since = time.monotonic()
            async for _page in connection.pages(connection.nodes.ListNodes, ListNodesRequest()):
                pass
            found.append(1000 * (time.monotonic() - since))
    return tuple(found)


async def streams(scale: "Scale") -> Row:
    """Row 6: reports a second on streams that never pause; ours and a server that only reads them, in turn."""
    count = min(scale.agents, STREAMS)
    ours, floor = [], []
    for number in range(ROUNDS):
        with scale.controller(f"streams-{number}", lease=FLOOD_LEASE) as controller:
            ours.append(await _flooded(controller.address, count))
        async with swarm.bare("benchmarks.bare_reports") as bare:
            floor.append(await _flooded(bare.address, count))
    measured = Series("Headrace", "/s", tuple(ours)), Series("bare grpc.aio", "/s", tuple(floor))
    ratio = of_rounds("Headrace / bare grpc.aio", *measured, 0.7, at_least=True)
    micros = Series("Headrace, a report", "µs", tuple(1e6 / one for one in ours))
    return Row(6, f"reports on {count} streams without a pause", (*measured, micros), (ratio,), (certified.note(),))


async def _flooded(address: str, count: int) -> float:
    """Reports a second that are acknowledged."""
    with swarm.agents(address, count, "--flood") as agents:
        await connected(agents, count)
        await asyncio.sleep(1)
        agents.count()
        since = time.monotonic()
        await asyncio.sleep(FLOOD_SECONDS)
        acked: int = agents.count()["acked"]
        return acked / (time.monotonic() - since)
