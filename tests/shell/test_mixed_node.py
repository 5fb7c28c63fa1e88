"""A node with cards of two makers, made of files and recorded outputs, up to `headrace nodes -o json`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from grpc import aio

from agent.accelerators.remote import Remote
from agent.accelerators.table import vendors
from agent.checkpoints import Checkpoints
from agent.core.agent import AgentCore
from agent.core.model import Event, Recollection
from agent.daemon import Daemon
from agent.journal import Journal
from agent.prefetches import Prefetches
from agent.senses import NodeSenses
from agent.session import Session
from agent.works import Works
from headrace.nodes import Capacity
from headrace.v1.checkpoint_service_pb2_grpc import CheckpointServiceStub
from headrace.v1.node_service_pb2_grpc import NodeServiceStub
from tests.contract.fake_runtime import FakeRuntime
from tests.contract.machines import RECORDED, Tool, card, nodes
from tests.contract.nvml_module import NvmlModule
from tests.shell.agent_parts import works_and_prefetches
from tests.shell.controller_double import headrace
from tests.shell.running_controller import controller

PATIENCE_SECONDS = 60.0
ASCEND = (RECORDED / "ascend/npu-smi-info-910B2C-v23.0.3.txt").read_text()
BOARD = (RECORDED / "ascend/npu-smi-info-t-board-910B-v25.5.1.txt").read_text()


@pytest.fixture
def npu_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Two cards of NVIDIA's, two of Huawei's, one of nobody's; and Huawei's tool."""
    root = tmp_path / "root"
    for bus in (1, 2):
        card(root, f"0000:{bus:02x}:00.0", "10de:20b7", pci_class="030200", driver="nvidia", numa_node=0)
        nodes(root, f"nvidia{bus}")
    for number, bus in enumerate(("5a", "29")):
        card(root, f"0000:{bus}:00.0", "19e5:d802", driver="devdrv", numa_node=1, tree="pci0000:20")
        nodes(root, f"davinci{number}")
    card(root, "0000:99:00.0", "1ee0:0001", driver="biren")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", NvmlModule(tmp_path / "module").path)
    tool = Tool(folder, "npu-smi")
    tool.prints("info", ASCEND)
    tool.prints("info -t board -i 0", BOARD.replace("0000:C1:00.0", "0000:5A:00.0"))
    return tool


@asynccontextmanager
async def agent(state: Path, root: Path, address: str) -> AsyncIterator[None]:
    await asyncio.to_thread(state.mkdir)
    known = vendors(root)
    senses = NodeSenses(state, known, region="", owner="", labels={}, host_network=False, reserved=Capacity())
    senses.root = root
    with closing(Journal(state / "journal.db")) as journal:
        async with aio.insecure_channel(address) as channel:
            stub, checkpoints = NodeServiceStub(channel), Checkpoints(CheckpointServiceStub(channel), state / "chunks")
            runtime = FakeRuntime("mixed")

            def make(tell: Callable[[Event], None]) -> tuple[Session, Works, Prefetches]:
                parts = works_and_prefetches(state, runtime, checkpoints, stub, tell, node="mixed")
                return Session(stub, tell, address=address), *parts

            core = AgentCore("mixed", Recollection())
            running = asyncio.create_task(Daemon(core, journal, runtime, senses, checkpoints, make).run())
            try:
                yield
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                for vendor in known:
                    if isinstance(vendor, Remote):
                        vendor.close()


async def shown(address: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The node as `headrace nodes -o json` shows it, once it is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            ended = await headrace("nodes", "-o", "json", controller=address)
            listed: list[dict[str, Any]] = json.loads(ended.out or "{}").get("nodes", [])
            if listed and holds(listed[0]):
                return listed[0]


def states(node: dict[str, Any]) -> dict[str, str]:
    return {each["vendor"]: each["state"] for each in node["description"].get("vendors", ())}


async def test_cards_of_two_makers_and_of_none_are_seen_in_one_vocabulary(tmp_path: Path, npu_smi: Tool) -> None:
    assert npu_smi.starts == 0
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", tmp_path / "root", running.address):
        node = await shown(running.address, lambda node: len(states(node)) == 3)

    by_address = {each["pciAddress"]: each for each in node["devices"]}
    assert states(node) == {"nvidia": "WELL", "huawei": "WELL", "unknown": "DEGRADED"}
    assert len(node["devices"]) == len(by_address) == 5
    gpu, npu, nobody = by_address["0000:01:00.0"], by_address["0000:5a:00.0"], by_address["0000:99:00.0"]
    assert (gpu["vendor"], gpu["kind"], gpu["model"], gpu["health"]) == ("nvidia", "gpu", "NVIDIA A30", "HEALTHY")
    assert (npu["vendor"], npu["kind"], npu["model"], npu["health"]) == ("huawei", "npu", "910B2C", "HEALTHY")
    assert (npu["memoryBytes"], npu["busyName"], npu["numaNode"]) == (str(65536 << 20), "AICore", 1)
    assert (npu["serial"], npu["pcieRoot"], npu["pciId"]) == ("1025C9048791", "pci0000:20", "19e5:d802")
    assert (nobody["vendor"], nobody["kind"], nobody["health"]) == ("unknown", "accelerator", "UNHEALTHY")


async def test_a_card_that_is_lost_while_the_agent_runs_is_unhealthy_and_the_others_are_not(
    tmp_path: Path, npu_smi: Tool
) -> None:
    def health(node: dict[str, Any]) -> dict[str, str]:
        return {
            each["pciAddress"]: each["health"] for each in node["devices"] if "5a" in each["id"] or "29" in each["id"]
        }

    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", tmp_path / "root", running.address):
        before = await shown(running.address, lambda node: len(states(node)) == 3)
        npu_smi.prints("info", re.sub(r"\| 1     910B2C [^\n]*\n[^\n]*\n[^\n]*\n", "", ASCEND))
        after = await shown(running.address, lambda node: health(node) != health(before))

    assert health(before) == {"0000:29:00.0": "HEALTHY", "0000:5a:00.0": "HEALTHY"}
    assert health(after) == {"0000:29:00.0": "UNHEALTHY", "0000:5a:00.0": "HEALTHY"}
    assert [each["id"] for each in after["devices"]] == [each["id"] for each in before["devices"]]


async def test_one_maker_s_tool_that_prints_garbage_touches_no_other_maker_s_cards(
    tmp_path: Path, npu_smi: Tool
) -> None:
    npu_smi.does("echo garbage")
    async with controller(tmp_path / "c") as running, agent(tmp_path / "a", tmp_path / "root", running.address):
        node = await shown(running.address, lambda node: len(states(node)) == 3)

    assert states(node) == {"nvidia": "WELL", "huawei": "DEGRADED", "unknown": "DEGRADED"}
    report = next(each for each in node["description"]["vendors"] if each["vendor"] == "huawei")
    assert "npu-smi info printed what cannot be read" in report["message"]
    assert "headrace-agent parse" in report["remedy"]
    health = {each["pciAddress"]: each["health"] for each in node["devices"]}
    assert [health["0000:01:00.0"], health["0000:5a:00.0"]] == ["HEALTHY", "UNHEALTHY"]
