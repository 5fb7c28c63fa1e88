"""What `headrace-agent doctor` finds: each thing that is missing with its reason and its remedy."""

import asyncio
import json
import os
import socket
import threading

import grpc.aio
import pytest

from agent import doctor, findings
from agent.accelerators.deadline import within
from agent.accelerators.nvidia import Nvidia
from agent.accelerators.nvml import Code
from agent.emulation import Emulation
from agent.findings import Finding, Status
from agent.runtimes.runtime import EngineUnreachable
from headrace.attempts import Platform
from tests.contract.fake_nvml import Gpu, Nvml


class AnsweringEngine:
    def __init__(self, *registries):
        self._registries = registries

    async def version(self):
        return "an engine 1.2"

    async def registries(self):
        return self._registries


class AbsentEngine:
    async def version(self):
        raise EngineUnreachable("no such file: engine.sock")

    async def registries(self):
        raise EngineUnreachable("no such file: engine.sock")


class SilentEngine:
    async def version(self):
        await asyncio.Event().wait()

    async def registries(self):
        await asyncio.Event().wait()


class HangingVendor:
    """As a driver whose card is wedged: the call does not come back."""

    name = "wedged"

    def __init__(self):
        self.released = threading.Event()

    def probe(self):
        self.released.wait()

    def sample(self, devices):
        return tuple(devices)

    def grant(self, device_ids):
        raise NotImplementedError


@pytest.fixture
async def server(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "CONTROLLER_SECONDS", 60)
    server = grpc.aio.server()
    address = f"unix:{tmp_path}/controller.sock"
    server.add_insecure_port(address)
    await server.start()
    yield address
    await server.stop(None)


async def reached(address):
    async with grpc.aio.insecure_channel(address) as channel:
        return await doctor.controller(address, channel)


def of(subject, among):
    return next(finding for finding in among if finding.subject == subject)


async def test_a_node_that_has_what_it_needs_is_not_broken(tmp_path, server):
    vendors = [Nvidia(Nvml([Gpu(1)]), tmp_path)]

    async with grpc.aio.insecure_channel(server) as channel:
        found = await doctor.examine(
            folder=tmp_path, engine=AnsweringEngine(), address=server, channel=channel, vendors=vendors
        )

    assert [each for each in found if each.status is Status.BROKEN] == []
    assert [each.subject for each in found] == [
        "cpu",
        "cpu speed",
        "memory",
        "platform",
        "emulation",
        "nvidia",
        "engine",
        "controller",
        "criu",
        "registry",
        "state",
        "disk",
        "clock",
        "time source",
    ]
    assert all(each.found and each.means for each in found)
    assert of("engine", found).found == "an engine 1.2"


async def test_an_engine_that_is_not_there_is_broken_with_its_own_words_and_a_remedy():
    found = await doctor.container_engine(AbsentEngine())

    assert found.status is Status.BROKEN
    assert found.why == "no such file: engine.sock"
    assert found.remedy


async def test_an_engine_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(doctor, "ENGINE_SECONDS", 0.01)

    assert "did not answer" in (await doctor.container_engine(SilentEngine())).why


async def test_a_controller_that_answers_is_reachable(server):
    assert (await reached(server)).status is Status.OK


async def test_where_nothing_listens_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "CONTROLLER_SECONDS", 0.2)

    found = await reached(f"unix:{tmp_path}/nobody.sock")

    assert found.status is Status.BROKEN
    assert "No such file" in found.why


async def test_a_closed_port_is_said_to_be_one(monkeypatch):
    monkeypatch.setattr(doctor, "CONTROLLER_SECONDS", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    assert (await reached(f"127.0.0.1:{port}")).why == "nothing listens there"


async def test_a_port_that_speaks_something_else_is_told_from_a_closed_one(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "CONTROLLER_SECONDS", 0.2)
    path = tmp_path / "other.sock"

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        found = await reached(f"unix://{path}")

    assert found.status is Status.BROKEN
    assert "something listens there" in found.why


async def test_an_address_without_a_port_is_said_so(monkeypatch):
    monkeypatch.setattr(doctor, "CONTROLLER_SECONDS", 0.05)

    assert "port" in (await reached("dns:///localhost:")).why


async def test_a_machine_without_cards_is_missing_them_and_not_broken(tmp_path):
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)

    found = await doctor.accelerator(Nvidia(Nvml(closed=Code.LIBRARY_NOT_FOUND), tmp_path))

    assert found.status is Status.MISSING
    assert "no NVIDIA card on the PCI bus" in found.why


async def test_one_card_that_failed_makes_the_vendor_broken_and_shows_the_others(tmp_path):
    found = await doctor.accelerator(Nvidia(Nvml([Gpu(1), Gpu(2, lost=Code.GPU_IS_LOST)]), tmp_path))

    assert found.status is Status.BROKEN
    assert Gpu(1).uuid in found.found
    assert "fallen off the bus" in found.remedy


async def test_a_driver_that_hangs_is_told_and_holds_nothing_up(monkeypatch):
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.01)
    vendor = HangingVendor()

    found = await doctor.accelerator(vendor)
    vendor.released.set()

    assert found.status is Status.BROKEN
    assert "does not answer" in found.found


async def test_a_call_within_its_deadline_gives_its_result_or_its_error():
    assert await within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await within(5, lambda: 1 // 0)


def test_a_node_without_emulators_is_not_broken_and_one_that_is_emulated_lacks_none():
    native = Emulation((Platform("linux", "amd64"),), "uname", "binfmt_misc")
    emulated = Emulation((Platform("linux", "arm64", emulated=True),), "uname", "it is emulated itself")

    assert doctor.emulators(native).status is Status.MISSING
    assert doctor.emulators(emulated).status is Status.OK
    assert doctor.platform(emulated).found == "linux/arm64, emulated"


def test_a_state_folder_that_is_yet_to_be_made_is_fine(tmp_path):
    assert doctor.state_folder(tmp_path / "a" / "b").status is Status.OK
    assert not (tmp_path / "a").exists()


def test_a_state_folder_that_cannot_be_written_is_broken(tmp_path):
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        found = doctor.state_folder(folder)
        assert found.status is Status.BROKEN
        assert str(folder) in found.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_folder_of_another_user_is_broken(tmp_path):
    tmp_path.chmod(0o500)

    assert doctor.state_folder(tmp_path).status is Status.BROKEN


def test_a_disk_that_is_nearly_full_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 1 << 62)

    assert doctor.disk(tmp_path).status is Status.BROKEN


def test_a_clock_before_the_agent_was_made_is_wrong():
    assert doctor.clock(lambda: 0.0).status is Status.BROKEN
    assert doctor.clock().status is Status.OK


GOOD = Finding("cpu", Status.OK, "8 threads", "psutil")
BAD = Finding("engine", Status.BROKEN, "not reachable", "asking", "no socket " * 20, "start it")


def test_the_worst_finding_counts():
    assert findings.worst([GOOD, BAD]) is Status.BROKEN
    assert findings.worst([GOOD]) is Status.OK
    assert findings.worst([]) is Status.OK


def test_people_read_lines_that_fit_and_align():
    lines = findings.render([GOOD, BAD]).splitlines()

    assert lines[0] == "ok      cpu     8 threads (by psutil)"
    assert lines[1] == "broken  engine  not reachable (by asking)"
    assert lines[2].startswith("                why: no socket")
    assert lines[-1] == "                remedy: start it"
    assert max(len(line) for line in lines) <= 110


def test_programs_read_every_field():
    good, bad = json.loads(findings.as_json([GOOD, BAD]))

    assert good == {"subject": "cpu", "status": "ok", "found": "8 threads", "means": "psutil", "why": "", "remedy": ""}
    assert bad["status"] == "broken"
