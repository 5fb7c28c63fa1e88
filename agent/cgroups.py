"""The limits that this process's control groups put on it: version 2, and version 1's controllers."""

from dataclasses import dataclass
from pathlib import Path

# Version 1 says "no limit" with the largest multiple of a page below 2^63.
_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Limits:
    """`None`: no limit, or none that can be seen."""

    cpu_millis: int | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None


def limits(root: Path = Path("/")) -> Limits:
    """The tightest limits from this process's own groups up to the root. `root` is where /proc and /sys are."""
    cpus: list[int] = []
    memories: list[tuple[int, int | None]] = []
    for controllers, path in _memberships(root / "proc/self/cgroup"):
        if controllers == "":
            for folder in _folders(root / "sys/fs/cgroup", path):
                cpus += _cpu_v2(folder)
                memories += _memory(folder, limit="memory.max", used="memory.current")
        for controller in controllers.split(","):
            for folder in _folders(root / "sys/fs/cgroup" / controller, path):
                cpus += _cpu_v1(folder) if controller == "cpu" else []
                if controller == "memory":
                    memories += _memory(folder, limit="memory.limit_in_bytes", used="memory.usage_in_bytes")
    memory, used = min(memories, key=lambda each: each[0], default=(None, None))
    return Limits(cpu_millis=min(cpus, default=None), memory_bytes=memory, memory_used_bytes=used)


def _memberships(path: Path) -> list[tuple[str, str]]:
    """The lines of /proc/self/cgroup: controllers, empty for version 2, and the group's path."""
    lines = [line.split(":", 2) for line in _text(path).splitlines()]
    return [(line[1], line[2]) for line in lines if len(line) == 3]


def _folders(mount: Path, path: str) -> list[Path]:
    # In a container the path may be the host's while the mount shows the container's own group as its root.
    folder = mount / path.strip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = mount
    return [folder, *(parent for parent in folder.parents if parent == mount or mount in parent.parents)]


def _cpu_v2(folder: Path) -> list[int]:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return _millis(quota, period)


def _cpu_v1(folder: Path) -> list[int]:
    return _millis(_text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip())


def _millis(quota: str, period: str) -> list[int]:
    # Version 2 writes "max", version 1 "-1" where there is no limit.
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return []
    return [int(quota) * 1000 // int(period)]


def _memory(folder: Path, *, limit: str, used: str) -> list[tuple[int, int | None]]:
    text = _text(folder / limit).strip()
    if not text.isdigit() or int(text) >= _UNLIMITED_BYTES:
        return []
    now = _text(folder / used).strip()
    return [(int(text), int(now) if now.isdigit() else None)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
