"""A vendor's tool: found, run within a deadline in a process group of its own, and never twice while one hangs."""

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# Any tool prints less; one that prints without end must not fill the agent's memory.
MOST_BYTES = 8 << 20
# How long a killed process may take to be gone; one that is still there hangs in the kernel.
_DYING_SECONDS = 1.0
# How often it is looked whether a process ended whose output another one keeps open.
_BEAT_SECONDS = 0.05


class Trouble(Exception):
    """Why a tool told nothing, and what an operator should do. `whole`: it would be so with any other command."""

    def __init__(self, reason: str, remedy: str, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.whole = whole


class Missing(Trouble):
    """The tool is not there."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where a vendor's tools may be.

    `places` are patterns of full paths, beside PATH. `libraries` are folders seen from a tool's, which it needs in
    LD_LIBRARY_PATH.
    """

    places: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def path(self, root: Path, name: str) -> Path | None:
        """Where a tool is; `None`: nowhere."""
        if found := shutil.which(name):
            return Path(found)
        for place in self.places:
            if place.rpartition("/")[2] != name:
                continue
            for found_there in sorted(root.glob(place.lstrip("/")), reverse=True):
                if os.access(found_there, os.X_OK):
                    return found_there
        return None


class Runner:
    """Runs one vendor's tools, one process at a time."""

    def __init__(
        self, tools: Tools, root: Path, *, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tools = tools
        self._root = root
        self._seconds = seconds
        self._clock = clock
        self._stuck: subprocess.Popen[bytes] | None = None

    def output(self, command: str) -> str:
        """What it prints. Trouble: it is not there, fails, or does not end in time."""
        name, *arguments = shlex.split(command)
        path = self._tools.path(self._root, name)
        if path is None:
            looked = " and ".join(("PATH", *(each for each in self._tools.places if each.endswith(f"/{name}"))))
            raise Missing(f"driver tool missing: {name}", f"install the driver's tools; looked for {name} in {looked}")
        if self._stuck is not None and self._stuck.poll() is None:
            raise Trouble(f"{name} hangs in the kernel and cannot be ended; no second one is begun", _LOOK, whole=True)
        self._stuck = None
        try:
            process = subprocess.Popen(
                [str(path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment(path),
                start_new_session=True,
            )
        except OSError as error:
            raise Trouble(
                f"{path} cannot be run: {error.strerror}", "let the agent's user run it", whole=True
            ) from error
        return self._output_of(process, command)

    def _environment(self, path: Path) -> dict[str, str]:
        environment = {**os.environ, **self._tools.environment, "LC_ALL": "C"}
        if self._tools.libraries:
            folders = [str((path.parent / each).resolve()) for each in self._tools.libraries]
            known = environment.get("LD_LIBRARY_PATH", "")
            environment["LD_LIBRARY_PATH"] = ":".join([*folders, *([known] if known else [])])
        return environment

    def _output_of(self, process: subprocess.Popen[bytes], command: str) -> str:
        try:
            out, err = self._gathered(process)
        except TimeoutError:
            raise Trouble(f"{command}: no answer within {self._seconds:g} s", _LOOK, whole=True) from None
        finally:
            self._ended(process)
        text = out.decode(errors="replace")
        if process.returncode != 0:
            said = (err or out).decode(errors="replace").strip().splitlines()
            why = f": {said[-1].strip()[:300]}" if said else ""
            raise Trouble(f"{command} failed with exit code {process.returncode}{why}", _remedy_for(why))
        return text

    def _gathered(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        """Its output and its errors. TimeoutError."""
        until = self._clock() + self._seconds
        out, err = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            for stream, into in ((process.stdout, out), (process.stderr, err)):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, selectors.EVENT_READ, into)
            while selector.get_map():
                if self._clock() >= until or len(out) > MOST_BYTES or len(err) > MOST_BYTES:
                    raise TimeoutError
                # Asked for before the pipes: what it wrote before its end is in them by then.
                over = process.poll() is not None
                ready = selector.select(_BEAT_SECONDS)
                for key, _ in ready:
                    if not _drained(key.fileobj, key.data):  # type: ignore[arg-type]
                        selector.unregister(key.fileobj)
                if over and not ready:
                    break
        while process.poll() is None:
            try:
                process.wait(timeout=max(0.0, until - self._clock()))
            except subprocess.TimeoutExpired:
                raise TimeoutError from None
        return bytes(out), bytes(err)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        """Ends it, and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(timeout=_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._stuck = process
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


_LOOK = "look for the cards' errors in the kernel's log; reset the card or restart the machine"


def _remedy_for(words: str) -> str:
    if "permission" in words.lower():
        return "run the agent as root, or as a user who may open the cards' device nodes"
    return "run the command by hand; the kernel's log may say why it fails"


def _drained(stream: IO[bytes], into: bytearray) -> bool:
    """Takes what is there; whether more may come."""
    try:
        piece = os.read(stream.fileno(), 1 << 16)
    except BlockingIOError:
        return True
    into += piece
    return bool(piece)
