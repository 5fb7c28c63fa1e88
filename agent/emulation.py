"""What this node can run, and whether it is emulated: found out, never configured.

Is this program emulated? QEMU's user mode answers `uname` and /proc/self/exe for the guest, but leaves the kernel's
/proc/<pid>/task/<tid>/exe as it is: there stands the emulator, a program for another architecture than ours. An
emulator that hides that too is told by a /proc/cpuinfo written by another architecture's kernel.

What else can be run? binfmt_misc names the emulators; only those opened at registration (flag F) are found from
inside a container. In a container binfmt_misc is rarely mounted: there the smallest program of each architecture is
tried.
"""

import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from agent import cpuinfo, elf
from headrace import platforms as spelling
from headrace.attempts import Platform
from headrace.changes import replace

_BINFMT = "proc/sys/fs/binfmt_misc"
_TRIAL_SECONDS = 5
# A processor may run these itself beside its own, so that a trial does not tell whether they are emulated.
_KIN = {"amd64": "386", "arm64": "arm"}


@dataclass(frozen=True, slots=True)
class Emulation:
    """The node's own platform first, then what it emulates; `means` says how that was found, for people."""

    platforms: tuple[Platform, ...]
    means: str
    emulated_means: str

    @property
    def emulated(self) -> bool:
        """Whether this program itself runs through an emulator."""
        return self.platforms[0].emulated


def platforms() -> tuple[Platform, ...]:
    """What this node can run: its own platform first, then those that it emulates."""
    return look().platforms


def look(root: Path = Path("/")) -> Emulation:
    """Finds out. `root` is where /proc is looked for."""
    text = _text(root / "proc/cpuinfo")
    info = cpuinfo.parse(text)
    own = spelling.of_machine(os.uname().machine)
    emulator = _emulator(root, own, info)
    if emulator:
        means = f"uname; {emulator}"
        return Emulation((replace(own, emulated=True),), means, "an emulated program lists no further platforms")
    if own.architecture == "amd64" and info.family == "x86":
        own = replace(own, variant=spelling.amd64_variant(info.features))
    if not text:
        return Emulation((own,), "uname alone, as /proc is not mounted here", "nothing is tried without /proc")
    registered = _registered(root)
    if registered is None:
        means = "running the smallest program of each architecture, as binfmt_misc is not mounted here"
        foreign = _tried(own)
    else:
        means = "binfmt_misc's enabled entries with flag F"
        foreign = registered
    others = tuple(replace(each, emulated=True) for each in foreign if each.architecture != own.architecture)
    return Emulation((own, *others), "uname and /proc/cpuinfo", means)


def _emulator(root: Path, own: Platform, info: cpuinfo.CpuInfo) -> str:
    """How it shows that this program is emulated; empty: it does not."""
    ours = _program(root / "proc/self/exe")
    kernels = _program(root / f"proc/self/task/{threading.get_native_id()}/exe")
    if ours and kernels and ours.architecture != kernels.architecture:
        return f"the kernel runs a program for {kernels} where this one is for {ours}"
    family = cpuinfo.family_of(own.architecture)
    if info.family and family and info.family != family:
        return f"/proc/cpuinfo is that of another architecture ({info.family})"
    return ""


def _registered(root: Path) -> tuple[Platform, ...] | None:
    """Platforms whose programs any container of this node can run through an emulator; `None`: cannot be seen."""
    folder = root / _BINFMT
    status = _text(folder / "status").strip()
    if not status:
        return None
    if status != "enabled":
        return ()
    entries = [_text(path) for path in sorted(folder.iterdir()) if path.name not in ("register", "status")]
    found = [platform for entry in entries if (platform := _platform_of_entry(entry))]
    return tuple(dict.fromkeys(found))


def _platform_of_entry(entry: str) -> Platform | None:
    lines = entry.splitlines()
    fields = dict(line.split(maxsplit=1) for line in lines if " " in line)
    if not lines or lines[0] != "enabled" or "F" not in fields.get("flags:", ""):
        return None
    if fields.get("offset") != "0":
        return None
    try:
        magic = bytes.fromhex(fields.get("magic", ""))
    except ValueError:
        return None
    return elf.platform_of(magic)


def _tried(own: Platform) -> tuple[Platform, ...]:
    skipped = (own.architecture, _KIN.get(own.architecture))
    candidates = [name for name in elf.ARCHITECTURES if name not in skipped]
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        return tuple(spelling.of_machine(name) for name in candidates if _runs(Path(folder) / name, name))


def _runs(path: Path, architecture: str) -> bool:
    path.write_bytes(elf.smallest_program(architecture))
    path.chmod(0o700)
    try:
        done = subprocess.run([path], check=False, timeout=_TRIAL_SECONDS, capture_output=True)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _program(path: Path) -> Platform | None:
    try:
        with path.open("rb") as file:
            return elf.platform_of(file.read(elf.IDENTIFICATION_BYTES))
    except OSError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
