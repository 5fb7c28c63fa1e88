"""A node that is well, with one fault at a time put into it: `headrace-agent doctor` names that one, and what to do."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import pytest

from agent import checkups, doctor, emulation
from agent.accelerators.nvidia import Nvidia
from agent.accelerators.nvml import Code
from agent.accelerators.vendor import Vendor
from agent.emulation import Emulation
from agent.findings import Finding, Status
from agent.runtimes.runtime import EngineUnreachable
from headrace.attempts import Platform
from tests.contract.fake_nvml import Gpu, Nvml
from tests.shell import test_doctor as plain
from tests.shell.registry_double import Response, serving


class Engine:
    """One that answers, or says why not."""

    def __init__(self) -> None:
        self.hosts: tuple[str, ...] = ()
        self.away = ""

    async def version(self) -> str:
        if self.away:
            raise EngineUnreachable(self.away)
        return "an engine 1.2"

    async def registries(self) -> tuple[str, ...]:
        if self.away:
            raise EngineUnreachable(self.away)
        return self.hosts


@dataclass
class Node:
    """A node that is well. A fault changes a part of it."""

    folder: Path
    address: str
    registry: str
    engine: Engine = field(default_factory=Engine)
    vendors: list[Vendor] = field(default_factory=list)

    async def examined(self) -> tuple[Finding, ...]:
        async with grpc.aio.insecure_channel(self.address) as channel:
            return await doctor.examine(
                folder=self.folder,
                engine=self.engine,
                address=self.address,
                channel=channel,
                vendors=self.vendors,
                registries=(self.registry,),
            )


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(doctor, "CONTROLLER_SECONDS", 5.0)
    server = grpc.aio.server()
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    bus = tmp_path / "root"
    bus.mkdir()
    state = tmp_path / "state"
    state.mkdir()
    runnable = Emulation(
        (Platform("linux", "amd64"), Platform("linux", "arm64", emulated=True)), "uname", "binfmt_misc"
    )
    monkeypatch.setattr(emulation, "look", lambda: runnable)
    async with serving() as registry:
        registry.contents["/v2/"] = Response()
        yield Node(state, address, registry.host, vendors=[Nvidia(Nvml([Gpu(1), Gpu(2)]), bus)])
    await server.stop(None)


Fault = Callable[[Node, pytest.MonkeyPatch], Awaitable[None] | None]


def engine_away(node: Node, _patch: pytest.MonkeyPatch) -> None:
    node.engine.away = "no such file: engine.sock"


def controller_closed(node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(doctor, "CONTROLLER_SECONDS", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        node.address = f"127.0.0.1:{free.getsockname()[1]}"


def controller_without_a_port(node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(doctor, "CONTROLLER_SECONDS", 0.1)
    node.address = "dns:///localhost:"


def registry_closed(node: Node, _patch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        node.registry = f"127.0.0.1:{free.getsockname()[1]}"


def state_is_a_file(node: Node, _patch: pytest.MonkeyPatch) -> None:
    node.folder = node.folder / "state"
    node.folder.touch()


def disk_nearly_full(_node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(doctor, "LEAST_DISK_BYTES", 1 << 62)


def clock_behind(_node: Node, patch: pytest.MonkeyPatch) -> None:
    real = doctor.clock
    patch.setattr(doctor, "clock", lambda: real(lambda: 0.0))


def nothing_keeps_the_time(_node: Node, patch: pytest.MonkeyPatch) -> None:
    real = checkups.time_source
    patch.setattr(checkups, "time_source", lambda: real(lambda: 5))


def no_emulator(_node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(emulation, "look", lambda: Emulation((Platform("linux", "amd64"),), "uname", "binfmt_misc"))


def driver_not_loaded(node: Node, _patch: pytest.MonkeyPatch) -> None:
    card = node.folder.parent / "root/sys/bus/pci/devices/0000:65:00.0"
    card.mkdir(parents=True)
    for name, text in (("vendor", "0x10de"), ("device", "0x2330"), ("class", "0x030200")):
        (card / name).write_text(text)
    node.vendors = [Nvidia(Nvml(closed=Code.DRIVER_NOT_LOADED), node.folder.parent / "root")]


def driver_and_library_of_two_versions(node: Node, _patch: pytest.MonkeyPatch) -> None:
    node.vendors = [Nvidia(Nvml(closed=Code.LIB_RM_VERSION_MISMATCH), node.folder.parent / "root")]


def driver_hangs(node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(doctor, "PROBE_SECONDS", 0.1)
    hanging = plain.HangingVendor()
    patch.setattr(hanging, "name", "nvidia")
    node.vendors = [hanging]


def card_lost(node: Node, _patch: pytest.MonkeyPatch) -> None:
    node.vendors = [Nvidia(Nvml([Gpu(1), Gpu(2, lost=Code.GPU_IS_LOST)]), node.folder.parent / "root")]


# What is put into the node, which finding names it, in which words, and what the remedy speaks of.
FAULTS: list[tuple[Fault, str, Status, str, str]] = [
    (engine_away, "engine", Status.BROKEN, "no such file: engine.sock", "start it"),
    (controller_closed, "controller", Status.BROKEN, "nothing listens there", "start the controller"),
    (controller_without_a_port, "controller", Status.BROKEN, "has no port", "host:port"),
    (registry_closed, "registry", Status.BROKEN, "not reachable", "open the way"),
    (state_is_a_file, "state", Status.BROKEN, "Not a directory", "another state folder"),
    (disk_nearly_full, "disk", Status.BROKEN, "too little", "larger disk"),
    (clock_behind, "clock", Status.BROKEN, "the clock is behind", "NTP"),
    (nothing_keeps_the_time, "time source", Status.MISSING, "nothing has told the kernel the time", "chrony"),
    (no_emulator, "emulation", Status.MISSING, "no other platform", "qemu-user-static"),
    (driver_not_loaded, "nvidia", Status.BROKEN, "the kernel driver is not loaded", "modprobe nvidia"),
    (driver_hangs, "nvidia", Status.BROKEN, "does not answer", "restart the machine"),
    (card_lost, "nvidia", Status.BROKEN, "2 devices on 2 GPUs", "it has fallen off the bus: restart the machine"),
]


async def test_a_node_without_a_fault_is_well(node: Node) -> None:
    found = await node.examined()

    assert [each for each in found if each.status is Status.BROKEN] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0].__name__)
async def test_a_fault_is_named_with_its_remedy_and_nothing_else_is_blamed(
    node: Node, monkeypatch: pytest.MonkeyPatch, fault: tuple[Fault, str, Status, str, str]
) -> None:
    put, subject, status, words, remedy = fault
    before = {each.subject: each.status for each in await node.examined()}
    put(node, monkeypatch)

    found = {each.subject: each for each in await node.examined()}

    named = found[subject]
    assert named.status is status
    assert words in f"{named.found} {named.why}"
    assert remedy in named.remedy
    others = {each for each in found if each != subject and found[each].status is not before.get(each)}
    assert others == set()


async def test_a_program_that_would_freeze_processes_is_tried(tmp_path: Path) -> None:
    criu = tmp_path / "criu"
    criu.write_text("#!/bin/sh\necho 'Error: ptrace is not possible'; exit 1\n")
    criu.chmod(0o755)
    good = tmp_path / "good"
    good.write_text("#!/bin/sh\nexit 0\n")
    good.chmod(0o755)

    assert (await checkups.process_images(str(tmp_path / "none"))).found == "not installed"
    assert "ptrace is not possible" in (await checkups.process_images(str(criu))).why
    assert (await checkups.process_images(str(good))).status is Status.OK


async def test_what_answers_and_is_no_registry_is_said_so(node: Node) -> None:
    async with serving() as registry:
        (found,) = await checkups.registries([registry.host])

    assert (found.status, "it answered 404" in found.why) == (Status.BROKEN, True)
    assert (await checkups.registries([]))[0].status is Status.MISSING
    assert (await checkups.registries([node.registry]))[0].status is Status.OK
