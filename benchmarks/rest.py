"""Row 8: an agent at rest, what it takes and what it says, beside prometheus-node-exporter in the same minute."""

import asyncio
import contextlib
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

from benchmarks import setting as settings
from benchmarks.counted import Counted, counted
from benchmarks.figures import Measured, Ratio, Row, Series, of_medians
from deploy.local import cluster, packages, processes
from headrace.client import Client
from headrace.nodes import NodeState

NODE = "bench-rest"
EXPORTER = "prometheus-node-exporter"
NEED = packages.Need(EXPORTER, (EXPORTER,))
# Until the agent has found its node out, told of it, and does only what it always does.
WARM_UP_SECONDS = 15.0
WINDOWS, WINDOW_SECONDS = 12, 5.0
MEMORY_MIB, CPU_PERCENT = 60.0, 0.5


@dataclass(slots=True)
class _Taken:
    """What one process has taken, window by window."""

    process: psutil.Process
    cpu_seconds: float = 0.0
    percents: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cpu_seconds = _cpu_seconds(self.process)

    def window(self) -> None:
        """One more is over."""
        now = _cpu_seconds(self.process)
        self.percents.append(100 * (now - self.cpu_seconds) / WINDOW_SECONDS)
        self.cpu_seconds = now


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: both at once, the exporter asked as often as the agent looks at its node."""
    packages.ensure((NEED,))
    async with settings.daemons(setting) as (address, client), counted(address) as between:
        agent = cluster.start_agent(setting.folder / NODE, node=NODE, engine=setting.engine, controller=between.address)
        try:
            await _ready(client)
            with _exporter(setting) as (exporter, url):
                return await _measured(psutil.Process(agent.pid), psutil.Process(exporter.pid), url, between)
        finally:
            agent.stop()


async def _measured(agent: psutil.Process, exporter: psutil.Process, url: str, between: Counted) -> Row:
    await _pass(url, WARM_UP_SECONDS)
    ours, theirs = _Taken(agent), _Taken(exporter)
    between.clear()
    for _ in range(WINDOWS):
        await _pass(url, WINDOW_SECONDS)
        ours.window()
        theirs.window()
    reports = Series("a report, nothing changed", "bytes", tuple(float(size) for size in between.messages))
    memory = Measured("MiB")
    for name, process in (("agent", agent), (EXPORTER, exporter)):
        info = process.memory_full_info()
        for what, size in (("RSS", info.rss), ("PSS", info.pss), ("its own", info.uss)):
            memory.add(f"{name}, {what}", size / (1 << 20))
    shares = Measured("% of a core")
    for name, taken in (("agent", ours), (EXPORTER, theirs)):
        for percent in taken.percents:
            shares.add(f"{name}, processor", percent)
    mean = sum(ours.percents) / WINDOWS
    rss = memory["agent, RSS"].p50
    ratios = (
        Ratio("agent, RSS", rss, MEMORY_MIB, unit="MiB"),
        Ratio(f"agent, over {WINDOWS * WINDOW_SECONDS:g} s", mean, CPU_PERCENT, unit="% of a core"),
        of_medians("agent / exporter, RSS", memory["agent, RSS"], memory[f"{EXPORTER}, RSS"]),
    )
    rate = between.bytes_up / (WINDOWS * WINDOW_SECONDS)
    notes = (f"all that the agent sends, with HTTP/2: {rate:.0f} bytes a second",)
    title = f"an agent at rest, beside {EXPORTER} that is asked every {WINDOW_SECONDS:g} s"
    return Row(8, title, (*memory.series(), *shares.series(), reports), ratios, notes)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


async def _pass(url: str, seconds: float) -> None:
    """Lets so much time go by, and asks the exporter once in each window."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0:
        await asyncio.to_thread(_scrape, url)
        await asyncio.sleep(min(WINDOW_SECONDS, left))


def _scrape(url: str) -> None:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own, on loopback.
        if b"node_cpu_seconds_total" not in answer.read():
            raise RuntimeError(f"{url} tells nothing of processors")


@contextlib.contextmanager
def _exporter(setting: settings.Setting) -> Iterator[tuple[processes.Process, str]]:
    address = cluster.free_address()
    program = shutil.which(EXPORTER) or EXPORTER
    process = processes.spawn([program, f"--web.listen-address={address}"], log=setting.folder / "exporter.log")
    url = f"http://{address}/metrics"

    def answers() -> bool:
        try:
            _scrape(url)
        except OSError:
            return False
        return True

    try:
        processes.wait_until(answers, process, seconds=30, reason="EXPORTER_FAILED")
        yield process, url
    finally:
        process.stop()


async def _ready(client: Client) -> None:
    async with (
        asyncio.timeout(settings.READY_SECONDS),
        contextlib.aclosing(client.watch_nodes(f'name == "{NODE}"')) as nodes,
    ):
        async for node in nodes:
            if node.state is NodeState.READY and node.engine.reachable:
                return
