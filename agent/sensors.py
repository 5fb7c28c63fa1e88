"""What a node is and what it does: processors, memory, disk, by psutil and /proc. All calls may block for moments."""

import os
import socket
from pathlib import Path

import psutil

from agent import cgroups, cpuinfo, emulation
from headrace import platforms, units
from headrace.nodes import Capacity, Cpu, Load, NodeDescription
from headrace.version import __version__

_ROOT = Path("/")
_NOTHING = Capacity()


def describe(
    folder: Path,
    *,
    region: str = "",
    owner: str = "",
    labels: dict[str, str] | None = None,
    host_network: bool = False,
    address: str = "",
    reserved: Capacity = _NOTHING,
) -> NodeDescription:
    """What this node is. `folder` is on the disk that jobs use; `reserved` is kept from them."""
    return NodeDescription(
        hostname=socket.gethostname(),
        agent_version=__version__,
        kernel=os.uname().release,
        region=region,
        owner=owner,
        labels=dict(labels or {}),
        cpu=processors(),
        platforms=emulation.platforms(),
        capacity=capacity(folder, reserved),
        host_network=host_network,
        address=address,
    )


def processors(root: Path = _ROOT) -> Cpu:
    """The processors as the kernel tells them. Where an emulator shows the host's, features stay unknown."""
    info = cpuinfo.parse(_text(root / "proc/cpuinfo"))
    own = cpuinfo.family_of(platforms.of_machine(os.uname().machine).architecture)
    return Cpu(
        model=info.model,
        features=info.features if info.family == own else (),
        cores=psutil.cpu_count(logical=False),
        threads=psutil.cpu_count() or 1,
    )


def capacity(folder: Path, reserved: Capacity = _NOTHING, root: Path = _ROOT) -> Capacity:
    """What jobs may use: of what there is, what this process itself may use, less what is reserved."""
    limits = cgroups.limits(root)
    cpu_millis = len(os.sched_getaffinity(0)) * 1000
    memory_bytes = psutil.virtual_memory().total
    disk_bytes = psutil.disk_usage(str(_existing(folder))).total
    return Capacity(
        cpu_millis=_left(_tightest(cpu_millis, limits.cpu_millis), reserved.cpu_millis),
        memory_bytes=_left(_tightest(memory_bytes, limits.memory_bytes), reserved.memory_bytes),
        disk_bytes=_left(disk_bytes, reserved.disk_bytes),
    )


def overdrawn(whole: Capacity, reserved: Capacity) -> tuple[str, ...]:
    """What of the settings leaves jobs nothing of a node that has that much, a sentence each."""
    found = []
    if reserved.cpu_millis >= whole.cpu_millis:
        kept, there = units.format_cpu(reserved.cpu_millis), units.format_cpu(whole.cpu_millis)
        found.append(f"reserve.cpu: {kept} of {there} cores are kept from jobs: none can run here")
    if reserved.memory_bytes >= whole.memory_bytes:
        kept, there = units.rounded_bytes(reserved.memory_bytes), units.rounded_bytes(whole.memory_bytes)
        found.append(f"reserve.memory: {kept} of {there} are kept from jobs: none can run here")
    return tuple(found)


class LoadSensor:
    """Reads the load; the processors' share of time is that since the last reading, so unknown at the first."""

    # psutil.cpu_percent() remembers its last reading by thread: from a pool of threads it would answer 0.

    def __init__(self, folder: Path, root: Path = _ROOT) -> None:
        self._folder = folder
        self._root = root
        self._last: tuple[float, float] | None = None

    def read(self) -> Load:
        """The load now. Walks no processes: that alone would cost more than all else that the agent does."""
        return Load(
            cpu_percent=self._cpu_percent(),
            memory_available_bytes=self._memory_available(),
            disk_free_bytes=_disk_free(self._folder),
            load_average=round(os.getloadavg()[0], 2),
        )

    def _cpu_percent(self) -> float | None:
        times = psutil.cpu_times()
        # Guests' time is counted in user's already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        last, self._last = self._last, (total, idle)
        if last is None or total <= last[0]:
            return None
        # The kernel's idle counter may step back a little.
        share = 1 - (idle - last[1]) / (total - last[0])
        return round(100 * min(1.0, max(0.0, share)), 1)

    def _memory_available(self) -> int:
        available = psutil.virtual_memory().available
        limits = cgroups.limits(self._root)
        if limits.memory_bytes is None or limits.memory_used_bytes is None:
            return available
        return min(available, max(0, limits.memory_bytes - limits.memory_used_bytes))


def _disk_free(folder: Path) -> int | None:
    try:
        return psutil.disk_usage(str(_existing(folder))).free
    except OSError:
        return None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it, on whose disk it will be made."""
    return next((each for each in (folder, *folder.absolute().parents) if each.exists()), _ROOT)


def _tightest(amount: int, limit: int | None) -> int:
    return amount if limit is None else min(amount, limit)


def _left(amount: int, reserved: int) -> int:
    return max(0, amount - reserved)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
