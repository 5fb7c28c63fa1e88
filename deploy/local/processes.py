"""Background processes that outlive the command which started them: begun, found again, ended by their id."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local import progress
from headrace.refusals import Code, Refusal

KILL_WAIT_SECONDS = 10.0
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Process:
    """A process of ours. `started` (clock ticks after boot) tells it from a later one that got the same id."""

    pid: int
    started: int
    log: Path

    def alive(self) -> bool:
        """It runs; a zombie does not."""
        return started(self.pid) == self.started

    def stop(self, *, grace_seconds: float = 15.0, by: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to leave by that signal, and kills it if it does not within `grace_seconds`."""
        self._end(by, grace_seconds)
        self.kill()

    def kill(self) -> None:
        """Ends it at once, without a chance to clean up."""
        self._end(signal.SIGKILL, KILL_WAIT_SECONDS)

    def record(self, path: Path) -> None:
        """Keeps it in a file, for `recorded`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.pid} {self.started}\n")

    def _end(self, number: signal.Signals, wait_seconds: float) -> None:
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        deadline = time.monotonic() + wait_seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        # It is our child where this very process started it; else its end is another's to note.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)


def spawn(argv: list[str], *, log: Path, env: Mapping[str, str] | None = None) -> Process:
    """Starts a command in a session of its own, so that a terminal's Ctrl-C does not reach it; appends to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        argv[0],
        argv,
        dict(env if env is not None else os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Process(pid, started(pid) or 0, log)


def wait_until(answers: Callable[[], bool], process: Process, *, seconds: float, reason: str) -> None:
    """Waits until what a process serves can be used. Refusal: `reason`, with the end of its log."""
    deadline = time.monotonic() + seconds
    while not answers():
        if not process.alive():
            message = f"it ended; its log is {process.log}, its end:\n{progress.end_of(process.log)}"
            raise Refusal(Code.UNAVAILABLE, reason, message)
        if time.monotonic() > deadline:
            raise Refusal(Code.UNAVAILABLE, reason, f"it does not answer after {seconds:.0f} s; see {process.log}")
        time.sleep(POLL_SECONDS)


def recorded(path: Path, log: Path) -> Process | None:
    """The process that a file names, if it is alive."""
    try:
        pid, started = path.read_text().split()
        process = Process(int(pid), int(started), log)
    except (FileNotFoundError, ValueError):
        return None
    return process if process.alive() else None


def kill_all_of(mark: str) -> None:
    """Kills every process whose command line has `mark`, a path that is ours alone, and what they started."""
    marked = [process for process in psutil.process_iter() if process.pid != os.getpid() and _mentions(process, mark)]
    for process in marked:
        with contextlib.suppress(psutil.NoSuchProcess):
            # What it started would outlive it, and not be found any more.
            for each in (*process.children(recursive=True), process):
                Process(each.pid, started(each.pid) or 0, Path(os.devnull)).kill()


def started(pid: int) -> int | None:
    """When a process began, in clock ticks after boot; None: there is none that runs."""
    try:
        # The name, in parentheses, may hold anything: the fields begin after its end.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The first thread of a process that was killed is a zombie before the others have let go of its files and ports.
    over = fields[0] in {"Z", "X"} and int(fields[17]) <= 1
    return None if over else int(fields[19])


def _mentions(process: psutil.Process, mark: str) -> bool:
    try:
        return any(mark in argument for argument in process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
