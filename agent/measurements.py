"""What the processors reach, measured once by a process of its own, and kept in the agent's state folder."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cpu_trial import NO_NUMPY
from headrace.capacity import CPU_FIGURES
from headrace.nodes import Figure, NodeDescription, Origin

FILE = "processor.json"
TRIAL_SECONDS = 2.0
# Emulated, NumPy alone takes seconds to load.
DEADLINE_SECONDS = 60.0
# A node that has just started is about to be given jobs.
QUIET_SECONDS = 10.0
BEAT_SECONDS = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Why there are no figures, and what can be done about it."""

    why: str
    remedy: str = ""


class Measurements:
    """The figures of one node's processors, as the file in `folder` has them."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._stamp: tuple[int, int] | None = None
        self._kept: dict[str, Any] = {}
        self._about: NodeDescription | None = None
        self._described = asyncio.Event()

    def figures(self, about: NodeDescription) -> tuple[Figure, ...]:
        """What was measured of this hardware under this kernel; nothing where it was another."""
        self._about = about
        self._described.set()
        self._read()
        if self._kept.get("of") != _hardware(about):
            return ()
        source = f"{self._kept['source']}, emulated" if _emulated(about) else str(self._kept["source"])
        values = self._kept["figures"]
        return tuple(Figure(name, values[name], Origin.MEASURED, source) for name in CPU_FIGURES if name in values)

    async def measure_when_quiet(self, is_busy: Callable[[], bool]) -> None:
        """Measures if that was not done yet, once no job has been here for a while; a job that comes ends it."""
        await self._described.wait()
        while self._about is not None and not self.figures(self._about):
            await self._quiet(is_busy)
            trial = asyncio.create_task(measure(self._file.parent, self._about))
            try:
                while not trial.done() and not is_busy():
                    await asyncio.wait([trial], timeout=BEAT_SECONDS)
            finally:
                if not trial.done():
                    trial.cancel()
                    await asyncio.wait([trial])
            if trial.cancelled():
                continue
            found = trial.result()
            if isinstance(found, Unmeasured):
                _log.warning("the processors are not measured: %s%s", found.why, found.remedy and f"; {found.remedy}")
            return

    async def _quiet(self, is_busy: Callable[[], bool]) -> None:
        left = QUIET_SECONDS
        while left > 0:
            await asyncio.sleep(BEAT_SECONDS)
            left = QUIET_SECONDS if is_busy() else left - BEAT_SECONDS

    def _read(self) -> None:
        try:
            status = self._file.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._kept = _checked(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            # Of another version, or half written by a machine that lost its power: it is measured anew.
            self._kept = {}


async def measure(folder: Path, about: NodeDescription) -> dict[str, float] | Unmeasured:
    """Measures now, and keeps what was found for the agent of this state folder."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "agent.cpu_trial", str(TRIAL_SECONDS)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        # An upgrade has taken the interpreter away, or there may be no further process.
        return Unmeasured(f"{sys.executable} cannot be run: {error.strerror}", "start the agent anew")
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            told, complaint = await process.communicate()
    except TimeoutError:
        return Unmeasured(f"it took longer than {DEADLINE_SECONDS:g} s", "try `headrace-agent measure` at another time")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode == NO_NUMPY:
        return Unmeasured("there is no NumPy", "install headrace[measure], or Debian's python3-numpy")
    try:
        found = json.loads(told)
        kept = _checked({"of": _hardware(about), "source": found["source"], "figures": found["figures"]})
    except (ValueError, KeyError, TypeError):
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return Unmeasured(f"the trial ended with {process.returncode}: {last or 'it said nothing'}")
    try:
        await asyncio.to_thread(_write, folder, json.dumps(kept))
    except OSError as error:
        why = f"{folder / FILE} cannot be written: {error.strerror}"
        return Unmeasured(why, "make room, then `headrace-agent measure`")
    figures: dict[str, float] = kept["figures"]
    return figures


def _write(folder: Path, text: str) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder / f"{FILE}.new"
    aside.write_text(f"{text}\n")
    aside.replace(folder / FILE)


def _hardware(about: NodeDescription) -> dict[str, Any]:
    """What the figures are of: where it is another, they are measured anew."""
    cpu = about.cpu
    own = about.platforms[0] if about.platforms else ""
    return {
        "model": cpu.model,
        "cores": cpu.cores,
        "threads": cpu.threads,
        "kernel": about.kernel,
        "platform": f"{own}{', emulated' if _emulated(about) else ''}",
    }


def _emulated(about: NodeDescription) -> bool:
    return bool(about.platforms) and about.platforms[0].emulated


def _checked(kept: Any) -> dict[str, Any]:
    figures = kept.get("figures") if isinstance(kept, dict) and isinstance(kept.get("source"), str) else None
    if not isinstance(figures, dict) or not all(isinstance(one, float) and one > 0 for one in figures.values()):
        raise ValueError("is not what a trial tells")
    return dict(kept)
