"""A vendor whose library is asked in a process of its own, and whose tool is the second way."""

import contextlib
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.accelerators import giving, pci
from agent.accelerators.matching import Found, Kin, Place, Silence, found, is_unread, unread
from agent.accelerators.pci import Function, Machine
from agent.accelerators.spec import Spec
from agent.accelerators.tooled import BACKOFF_SECONDS, Tooled
from agent.accelerators.tools import Trouble
from agent.accelerators.vendor import Grant, Probe
from agent.accelerators.worker import LENGTH
from headrace.nodes import Device, Health

# The first call opens the library, and may have to wake every card.
PROBE_SECONDS = 20.0
SAMPLE_SECONDS = 5.0
_DYING_SECONDS = 1.0
_ROOT = Path("/")


class Remote:
    """One vendor. `program` is what is started, without its arguments; `clock` counts seconds."""

    seconds = 2.0

    def __init__(
        self,
        spec: Spec,
        root: Path = _ROOT,
        *,
        program: Sequence[str] = (sys.executable, "-m", "agent.accelerators.worker"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = spec.name
        self._spec = spec
        self._root = root
        self._worker = Worker([*program, spec.name, str(root)], clock)
        self._tool = Tooled(spec, root, clock)
        self._asks_tool = False
        self._known: tuple[Found, ...] = ()
        self.patience = (PROBE_SECONDS, SAMPLE_SECONDS)

    def claims(self, function: Function) -> bool:
        """Whether a function on the bus is one of this maker's accelerators."""
        return self._spec.presence.claims(function)

    def is_in(self, machine: Machine) -> bool:
        """Whether there is anything to ask for."""
        return self._spec.presence.is_in(machine)

    def probe(self) -> Probe:
        """By the library; by the tool where the library tells of no card."""
        machine = pci.look(self._root)
        if not self.is_in(machine) and not self._known:
            # The tool's words for it are the same, and it runs nothing for that.
            return self._tool.probe()
        try:
            answer, nodes = self._worker.ask("probe", seconds=self.patience[0])
        except Trouble as trouble:
            # Devices that the tool told of keep their ids for as long as it does.
            told = self._tool.probe() if self._asks_tool else None
            if told is not None and not all(is_unread(device) for device in told.devices):
                return told
            self._asks_tool = False
            self._known = self._silent(machine, trouble)
            devices = tuple(one.device for one in self._known)
            return Probe(devices, found=True, message=trouble.reason, remedy=trouble.remedy, is_degraded=True)
        self._asks_tool = False
        probe: Probe = answer
        if all(is_unread(device) for device in probe.devices):
            second = self._tool.probe()
            if not all(is_unread(device) for device in second.devices):
                self._asks_tool = True
                return second
        self._known = tuple(
            Found(Place(device.pci_address, number), device, nodes.get(device.id, ()), is_told=True)
            for number, device in enumerate(probe.devices)
        )
        return probe

    def sample(self, devices: Sequence[Device]) -> tuple[Device, ...]:
        """The same devices with new readings."""
        if self._asks_tool:
            return self._tool.sample(devices)
        if not devices:
            return ()
        try:
            sampled, _ = self._worker.ask("sample", tuple(devices), seconds=self.patience[1])
        except Trouble as trouble:
            silent = {one.device.id: one.device for one in self._silent(pci.look(self._root), trouble)}
            return tuple(silent.get(one.id) or unread(one, Health.UNKNOWN, trouble.reason) for one in devices)
        return tuple(sampled)

    def grant(self, device_ids: Sequence[str]) -> Grant:
        """As the Spec's Giving says; asks nobody."""
        if self._asks_tool:
            return self._tool.grant(device_ids)
        return giving.grant(self._spec.giving, {one.device.id: one for one in self._known}, device_ids, self._root)

    def close(self) -> None:
        """Ends the process, if there is one."""
        self._worker.close()

    def _silent(self, machine: Machine, trouble: Trouble) -> tuple[Found, ...]:
        kin = Kin(self._spec.name, self._spec.kind)
        silence = Silence((Health.UNHEALTHY, trouble.reason), (Health.UNKNOWN, trouble.reason))
        return found(kin, self._spec.presence.cards(machine), (), self._known, silence)


class Worker:
    """The process: started when it is first asked, ended when it does not answer in time, and started anew."""

    def __init__(self, command: list[str], clock: Callable[[], float]) -> None:
        self._command = command
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._stuck: subprocess.Popen[bytes] | None = None
        self._failed: Trouble | None = None
        self._failures = 0
        self._not_before = 0.0

    def ask(self, method: str, *arguments: object, seconds: float) -> tuple[Any, dict[str, tuple[str, ...]]]:
        """Its answer, and the device nodes that it knows. Trouble, also for a while after one."""
        if self._failed is not None and self._clock() < self._not_before:
            raise self._failed.with_traceback(None)
        try:
            answer = self._answer(pickle.dumps((method, arguments)), seconds)
        except Trouble as trouble:
            self._failed = trouble
            self._not_before = self._clock() + BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
            self._failures += 1
            self.close()
            raise
        self._failed, self._failures = None, 0
        result, nodes = pickle.loads(answer)  # noqa: S301  The worker is this program's own.
        return result, nodes

    def close(self) -> None:
        """Ends it; one that hangs in the kernel is left."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(timeout=_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self._stuck = process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _answer(self, request: bytes, seconds: float) -> bytes:
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise Trouble("the worker has no pipes", "")
        try:
            process.stdin.write(LENGTH.pack(len(request)) + request)
            process.stdin.flush()
        except BrokenPipeError:
            raise _ended(process) from None
        until = self._clock() + seconds
        (length,) = LENGTH.unpack(self._read(process, LENGTH.size, until, seconds))
        return self._read(process, length, until, seconds)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._stuck is not None and self._stuck.poll() is None:
            raise Trouble("the driver's library hangs in the kernel; no second call is begun", _LOOK)
        self._stuck = None
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._process

    def _read(self, process: subprocess.Popen[bytes], length: int, until: float, seconds: float) -> bytes:
        body = bytearray()
        if process.stdout is None:
            raise _ended(process)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while len(body) < length:
                if not selector.select(max(0.0, until - self._clock())):
                    raise Trouble(f"the driver's library has not answered within {seconds:g} s", _LOOK)
                piece = os.read(process.stdout.fileno(), length - len(body))
                if not piece:
                    raise _ended(process)
                body += piece
        return bytes(body)


_LOOK = "look for the cards' errors in the kernel's log; reset the card or restart the machine"


def _ended(process: subprocess.Popen[bytes]) -> Trouble:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_DYING_SECONDS)
    return Trouble(
        f"the process that asks the driver's library ended (code {process.returncode})",
        "the agent's log has its last words; the driver and its library may be of two versions",
    )
