"""Processes of simulated agents, and the one controller that they talk to: started, measured, ended."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from benchmarks import certified
from benchmarks.agents import raise_limit
from deploy.local import cluster, processes
from headrace.connection import Connection

# What one process of Python keeps up with.
AGENTS_PER_PROCESS = 2_500
STORE = Path("state") / "controller.db"


@dataclass(slots=True)
class Swarm:
    """Some thousands of agents, in a few processes."""

    processes: list["subprocess.Popen[str]"] = field(default_factory=list)
    per_process: int = AGENTS_PER_PROCESS

    def count(self) -> dict[str, Any]:
        """What they did since they were asked last, and how many are connected."""
        found: dict[str, Any] = {}
        for each in [self._told(one, {"do": "count"}) for one in self.processes]:
            for name, value in each.items():
                found[name] = found[name] + value if name in found else value
        return found

    def touch(self, number: int, node: str, probe: int) -> int:
        """Has what a node is change; answers when, by the monotonic clock, in nanoseconds."""
        told = self._told(self.processes[number // self.per_process], {"do": "touch", "node": node, "probe": probe})
        return int(told["at_ns"])

    def _told(self, process: "subprocess.Popen[str]", what: dict[str, Any]) -> dict[str, Any]:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("an agents' process has no pipes")
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer


@contextlib.contextmanager
def agents(address: str, count: int, *options: str, start_seconds: float = 0.0) -> Iterator[Swarm]:
    """So many agents, which begin within `start_seconds`."""
    raise_limit()
    swarm = Swarm()
    try:
        for first in range(0, count, swarm.per_process):
            several = min(swarm.per_process, count - first)
            argv = [sys.executable, "-m", "benchmarks.agents", f"--controller={address}", f"--first={first}"]
            argv += [f"--count={several}", f"--start-seconds={start_seconds}", *options]
            swarm.processes.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        yield swarm
    finally:
        for process in swarm.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


class Server(Protocol):
    """What agents and clients talk to."""

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def cpu_seconds(self) -> float:
        """What it used of processors, ever."""


@dataclass(frozen=True, slots=True)
class Bare:
    """A program of the benchmarks' own that does less than a controller."""

    address: str
    pid: int

    @property
    def cpu_seconds(self) -> float:
        """What it used of processors, ever."""
        return _cpu_seconds(self.pid)


@contextlib.asynccontextmanager
async def bare(module: str, *arguments: str) -> AsyncIterator[Bare]:
    """`python -m module ADDRESS …`, once it answers."""
    address = cluster.free_address()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, address, *arguments)
    try:
        async with Connection(address, tls=certified.operator()) as connection:
            await asyncio.wait_for(connection._channel.channel_ready(), 30)  # noqa: SLF001 - no call is needed.
        yield Bare(address, process.pid)
    finally:
        process.kill()
        await process.wait()


@dataclass(slots=True)
class Measured:
    """A controller that runs, and what it takes of the machine."""

    folder: Path
    address: str
    settings: cluster.Settings
    process: processes.Process

    @property
    def rss_bytes(self) -> int:
        """Its memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def cpu_seconds(self) -> float:
        """What it used of processors, ever."""
        return _cpu_seconds(self.process.pid)

    def start(self) -> None:
        """Starts it, and waits until its port answers."""
        self.process = _started(self.folder, self.address, self.settings)


@contextlib.contextmanager
def controller(folder: Path, **told: object) -> Iterator[Measured]:
    """A controller that is told that, by the names of its settings; what its store has already, it starts from."""
    raise_limit()
    address = cluster.free_address()
    settings = {"log": {"level": "warning"}, **certified.told(), **told}
    measured = Measured(folder, address, settings, _started(folder, address, settings))
    try:
        yield measured
    finally:
        measured.process.stop()


def _started(folder: Path, address: str, settings: cluster.Settings) -> processes.Process:
    return cluster.start_controller(folder, registry="", address=address, settings=settings)


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
