"""Simulated agents, many in one process: they speak the real protocol, and run nothing.

`python -m benchmarks.agents`; started by `benchmarks.scale`, which says on standard input what to do, a line each.
"""

import argparse
import asyncio
import contextlib
import json
import random
import resource
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from grpc import aio

from agent.assembly import CHANNEL_OPTIONS
from agent.core.lease import unanswered_ms
from agent.session import RETRY_SECONDS, RETRY_SECONDS_MAX
from benchmarks import certified
from headrace.v1 import attempt_pb2, node_pb2, session_pb2
from headrace.v1.node_service_pb2_grpc import NodeServiceStub

FILES = 20_000
# A node as a report tells it: with five devices, a report in which only readings changed has about 500 bytes.
DEVICES = 5
THREADS = 64
MEMORY_BYTES = 512 << 30


@dataclass(slots=True)
class Counts:
    """What all agents of a process have done since they were asked last."""

    reports: int = 0
    bytes: int = 0
    answers: int = 0
    acked: int = 0
    failures: int = 0
    ended: int = 0
    # From the moment a report left to its answer, in seconds.
    answer_seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Settings:
    """What is the same for all of them."""

    address: str
    flood: bool
    run_seconds: float
    counts: Counts = field(default_factory=Counts)


class SimulatedAgent:
    """One node. Its connection is its own."""

    def __init__(self, number: int, settings: Settings) -> None:
        self.node = node_name(number)
        self._settings = settings
        self._session = time.time_ns() // 1_000_000
        self._sequence = 0
        self._probe = 0
        # Not told yet: None.
        self._lease_seconds: float | None = None
        self._sent: dict[int, float] = {}
        self._acked = 0
        self._told = False
        self._attempts: dict[tuple[str, int], attempt_pb2.Attempt] = {}
        self._wake = asyncio.Event()
        self.connected = False
        # Here, so that no time of connecting goes into making a certificate.
        options = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        self._channel = certified.channel(settings.address, self.node, options)

    async def run(self) -> None:
        """Reports until cancelled; a stream that ends is begun anew as an agent begins it."""
        failures = 0
        async with self._channel as channel:
            stub = NodeServiceStub(channel)
            while True:
                heard = await self._talked(stub)
                self.connected = False
                failures = 1 if heard else failures + 1
                self._settings.counts.failures += 1
                longest = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2 ** min(failures, 6))
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - spreads load, guards nothing
                self._session += 1
                self._sequence, self._acked, self._told = 0, 0, False
                self._sent.clear()

    def touch(self, probe: int) -> None:
        """What the node is has changed: a label."""
        self._probe, self._told = probe, False
        self._wake.set()

    async def _talked(self, stub: NodeServiceStub) -> bool:
        stream = stub.Session(self._reports(), wait_for_ready=True)
        heard = False
        try:
            async for assignment in stream:
                heard = self.connected = True
                self._assigned(assignment)
        except aio.AioRpcError:
            pass
        finally:
            stream.cancel()
        return heard

    async def _reports(self) -> AsyncIterator[session_pb2.Report]:
        while True:
            self._wake.clear()
            report = self._report()
            self._told = True
            now = time.monotonic()
            self._sent[self._sequence] = now
            counts = self._settings.counts
            counts.reports += 1
            counts.bytes += report.ByteSize()
            yield report
            if self._advanced() or self._settings.flood:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds()):
                    await self._wake.wait()

    def _pause_seconds(self) -> float:
        """As an agent does that has a lease, or none yet (`agent.core.lease`)."""
        if self._lease_seconds is not None:
            return self._lease_seconds / 3
        # A stream that is over has left none.
        return unanswered_ms(max(len(self._sent) - 1, 0)) / 1000

    def _assigned(self, assignment: session_pb2.Assignment) -> None:
        counts = self._settings.counts
        counts.answers += 1
        self._lease_seconds = assignment.lease_millis / 1000
        counts.acked += max(0, assignment.acked_sequence - self._acked)
        self._acked = max(self._acked, assignment.acked_sequence)
        sent = self._sent.get(assignment.acked_sequence)
        if sent is not None:
            counts.answer_seconds.append(time.monotonic() - sent)
            for sequence in [one for one in self._sent if one <= assignment.acked_sequence]:
                del self._sent[sequence]
        wanted = {(one.job, one.epoch): one for one in assignment.placements}
        for key in [one for one in self._attempts if one not in wanted]:
            del self._attempts[key]
        for key, placement in wanted.items():
            if key not in self._attempts:
                self._begin(placement)

    def _begin(self, placement: session_pb2.Placement) -> None:
        attempt = attempt_pb2.Attempt(
            job=placement.job,
            epoch=placement.epoch,
            node=self.node,
            state=attempt_pb2.Attempt.RUNNING,
            platform=placement.platform,
            devices=placement.devices,
            image=placement.image,
        )
        attempt.start_time.GetCurrentTime()
        self._attempts[placement.job, placement.epoch] = attempt
        if self._settings.run_seconds > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(self._settings.run_seconds, self._exit, attempt)
        self._wake.set()

    def _advanced(self) -> bool:
        """Ends what has nothing more to do, if anything: that it ran was told by the report before."""
        if self._settings.run_seconds:
            return False
        running = [one for one in self._attempts.values() if one.state == attempt_pb2.Attempt.RUNNING]
        for attempt in running:
            self._exit(attempt)
        return bool(running)

    def _exit(self, attempt: attempt_pb2.Attempt) -> None:
        attempt.state, attempt.exit_code = attempt_pb2.Attempt.EXITED, 0
        attempt.end_time.GetCurrentTime()
        self._settings.counts.ended += 1
        self._wake.set()

    def _report(self) -> session_pb2.Report:
        self._sequence += 1
        report = session_pb2.Report(node=self.node, session=self._session, sequence=self._sequence, brief=self._told)
        report.load.cpu_percent = random.uniform(0, 100)  # noqa: S311 - as sensors do, it never says the same twice
        report.load.memory_available_bytes = MEMORY_BYTES - random.getrandbits(36)
        report.load.disk_free_bytes, report.load.load_average = 1 << 40, 1.5
        report.engine.reachable, report.engine.message = True, "28.2.2"
        report.devices.extend(self._device(number) for number in range(DEVICES))
        if not self._told:
            report.description.CopyFrom(self._description())
        report.attempts.extend(self._attempts.values())
        return report

    def _device(self, number: int) -> node_pb2.Device:
        device = node_pb2.Device(
            id=f"GPU-{self.node}-0000-4a5b-8c7d-{number:012d}",
            memory_used_bytes=random.getrandbits(36),
            busy_percent=random.uniform(0, 100),  # noqa: S311 - as above
            temperature_celsius=61.0,
            power_watts=random.uniform(60, 700),  # noqa: S311 - as above
            health=node_pb2.Device.HEALTHY,
        )
        if not self._told:
            device.kind, device.vendor, device.model, device.index = "gpu", "nvidia", "NVIDIA H100 80GB HBM3", number
            device.memory_bytes, device.pci_address = 80 << 30, f"0000:{16 + number:02x}:00.0"
            device.driver_version, device.serial = "570.86.10", f"165{number:010d}"
        return device

    def _description(self) -> node_pb2.NodeDescription:
        found = node_pb2.NodeDescription(hostname=self.node, agent_version="0.1.0", kernel="6.18.0", region="west")
        found.labels["probe"] = str(self._probe)
        found.cpu.model, found.cpu.cores, found.cpu.threads = "AMD EPYC 9554", THREADS // 2, THREADS
        found.platforms.add(os="linux", architecture="amd64")
        found.capacity.cpu_millis, found.capacity.memory_bytes = THREADS * 1000, MEMORY_BYTES
        found.capacity.disk_bytes = 1 << 40
        return found


def node_name(number: int) -> str:
    """The id of a simulated node."""
    return f"sim-{number:05d}"


def raise_limit() -> None:
    """Lets this process have a connection for each agent; raises OSError where the system does not allow that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        if hard != resource.RLIM_INFINITY and hard < FILES:
            raise OSError(f"{FILES} open files are needed, {hard} are allowed: run `ulimit -Hn {FILES}` as root first")
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


async def _serve(agents: dict[str, SimulatedAgent], settings: Settings, start_seconds: float) -> None:
    """Runs the agents, begun over so many seconds, and answers each line of standard input with one of JSON."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as tasks:
        begun = tasks.create_task(_begin(agents, tasks, start_seconds / max(1, len(agents))))
        while line := await reader.readline():
            match json.loads(line):
                case {"do": "count"}:
                    counts, settings.counts = settings.counts, Counts()
                    connected = sum(one.connected for one in agents.values())
                    told = {name: getattr(counts, name) for name in Counts.__slots__} | {"connected": connected}
                case {"do": "touch", "node": node, "probe": probe}:
                    agents[node].touch(probe)
                    told = {"node": node, "probe": probe, "at_ns": time.monotonic_ns()}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
        begun.cancel()
        raise SystemExit


async def _begin(agents: dict[str, SimulatedAgent], tasks: asyncio.TaskGroup, pause_seconds: float) -> None:
    for agent in agents.values():
        tasks.create_task(agent.run())
        await asyncio.sleep(pause_seconds)


def main() -> int:
    """Until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents")
    parser.add_argument("--controller", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--start-seconds", type=float, default=0.0, help="over how long they begin")
    parser.add_argument("--run-seconds", type=float, default=0.0, help="how long jobs run; negative: for ever")
    parser.add_argument("--flood", action="store_true", help="report without a pause")
    arguments = parser.parse_args()
    raise_limit()
    settings = Settings(arguments.controller, arguments.flood, arguments.run_seconds)
    numbers = range(arguments.first, arguments.first + arguments.count)

    async def run() -> None:
        agents = {node_name(number): SimulatedAgent(number, settings) for number in numbers}
        await _serve(agents, settings, arguments.start_seconds)

    with contextlib.suppress(SystemExit, BaseExceptionGroup):
        asyncio.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
