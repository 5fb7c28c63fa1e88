"""headrace nodes, node, cordon, drain: each time a process of its own."""

import asyncio
import json

import pytest

from headrace.cli import nodes
from headrace.cli.main import run
from headrace.v1 import attempt_pb2, node_pb2
from headrace.v1.node_service_pb2 import ListNodesResponse
from tests.shell.controller_double import HANG, Controller, headrace, node


async def test_nodes_are_listed_with_what_is_free(controller: Controller) -> None:
    gpu = node_pb2.Device(id="GPU-1", kind="gpu", vendor="nvidia", model="NVIDIA H100")
    controller.answer(
        "ListNodes",
        ListNodesResponse(
            nodes=[
                node(
                    description=node_pb2.NodeDescription(
                        platforms=[attempt_pb2.Platform(os="linux", architecture="arm64", variant="v8")],
                        capacity=node_pb2.Capacity(cpu_millis=8000, memory_bytes=32 << 30),
                    ),
                    free=node_pb2.Capacity(cpu_millis=6500, memory_bytes=24 << 30),
                    devices=[gpu, gpu],
                    drain=node_pb2.Node.CORDONED,
                    jobs=["pi-1a2b"],
                )
            ]
        ),
    )

    ended = await headrace("nodes", controller=controller.address)

    assert ended.lines[1] == (
        "east-1  READY, CORDONED  arm64/v8  6.5 of 8  24.0GiB of 32.0GiB  2 x NVIDIA H100  1     -"
    )


async def test_what_a_device_does_not_say_is_not_shown_as_zero(controller: Controller) -> None:
    device = node_pb2.Device(id="GPU-1", kind="gpu", vendor="nvidia", model="H100", busy_percent=0.0)
    controller.answer("GetNode", node(devices=[device]))

    ended = await headrace("node", "east", controller=controller.address)

    assert "GPU-1  gpu   nvidia  H100   -            0 %   -     -      unknown" in ended.out.decode()


async def test_a_node_shows_what_it_can_do_and_how_that_is_known(controller: Controller) -> None:
    spec, measured = node_pb2.Figure.SPEC, node_pb2.Figure.MEASURED
    figures = [
        node_pb2.Figure(name="bf16_tflops", value=989, origin=spec, source="H200 SXM: a datasheet"),
        node_pb2.Figure(name="int8_tops", value=1979, origin=spec, source="uncertain: H200 SXM: a page"),
    ]
    cpu = node_pb2.Cpu(figures=[node_pb2.Figure(name="fp64_gflops", value=105.5, origin=measured, source="NumPy")])
    card = node_pb2.Device(id="GPU-1", kind="gpu", vendor="nvidia", model="H200", figures=figures)
    controller.answer("GetNode", node(devices=[card], description=node_pb2.NodeDescription(cpu=cpu)))

    ended = await headrace("node", "east", "-o", "wide", controller=controller.address)

    lines = [" ".join(line.split()) for line in ended.lines]
    assert "fp64 106 GFLOPS processors measured NumPy" in lines
    assert "bf16 989 TFLOPS 1 device spec H200 SXM: a datasheet" in lines
    assert "H200 int8_tops 1979 spec uncertain: H200 SXM: a page" in lines
    assert not [line for line in lines if line.startswith("int8 ")]


@pytest.mark.parametrize(
    ("command", "method"), [("cordon", "CordonNode"), ("uncordon", "UncordonNode"), ("undrain", "UncordonNode")]
)
async def test_a_node_is_closed_and_opened(controller: Controller, command: str, method: str) -> None:
    controller.answer(method, node())

    ended = await headrace(command, "east", controller=controller.address)

    assert ended.lines == ["east-1 READY"]
    assert controller.requests[0].name == "nodes/east"


async def test_a_node_that_is_gone_is_forgotten(controller: Controller) -> None:
    gone = node(forgotten=True)
    gone.create_time.seconds = 1
    controller.answer("ForgetNode", gone, node_pb2.Node(name="nodes/east-1", forgotten=True))

    first = await headrace("forget", "east-1", controller=controller.address)
    again = await headrace("forget", "east-1", controller=controller.address)

    assert first.lines == ["east-1 is forgotten; what happened to it is in headrace events --subject nodes/east-1"]
    assert (again.code, again.lines) == (0, ["there is no node east-1, or no more; headrace nodes lists them"])
    assert controller.requests[0].name == "nodes/east-1"


async def test_a_drain_that_is_waited_for_ends_when_the_node_reports_that_nothing_is_left(
    controller: Controller,
) -> None:
    controller.answer("DrainNode", node(drain=node_pb2.Node.DRAINING, jobs=["pi-1a2b"]))
    controller.answer(
        "WatchNodes",
        [
            node(drain=node_pb2.Node.DRAINING, blockers=["pi-1a2b has nowhere to go"]),
            node(drain=node_pb2.Node.DRAINED),
            HANG,
        ],
    )

    ended = await headrace("drain", "east", "--wait", controller=controller.address)

    assert (ended.code, ended.lines) == (0, ["east-1 READY, DRAINED"])
    assert ended.complaint.splitlines()[0].startswith("no deadline: what cannot be moved is waited for, for ever")
    assert ended.complaint.splitlines()[1:] == ["east-1 is not drained: pi-1a2b has nowhere to go"]
    assert controller.requests[1].filter == 'name == "east-1"'


async def test_a_drain_says_what_is_in_the_way_and_when_that_has_to_leave(controller: Controller) -> None:
    draining = node(drain=node_pb2.Node.DRAINING, blockers=["jobs/a has nowhere to go", "jobs/b is moving to c"])
    draining.drain_deadline_time.FromJsonString("2026-01-02T03:04:05Z")
    controller.answer("DrainNode", draining)

    ended = await headrace("drain", "east", "--deadline", "10m", "--force", controller=controller.address)

    assert ended.lines == [
        "east-1 READY, DRAINING",
        "  jobs/a has nowhere to go",
        "  jobs/b is moving to c",
        "what is still there at 2026-01-02 03:04:05 is asked to save and leave, and goes on where there is room",
    ]
    request = controller.requests[0]
    assert (request.deadline.seconds, request.force) == (600, True)


async def test_a_drain_without_a_deadline_asks_for_none(controller: Controller) -> None:
    controller.answer("DrainNode", node(drain=node_pb2.Node.DRAINED))

    ended = await headrace("drain", "east", "--wait", controller=controller.address)

    assert ended.lines == ["east-1 READY, DRAINED"]
    assert not controller.requests[0].HasField("deadline")
    assert not controller.requests[0].force


async def test_a_node_shows_what_is_in_the_way_of_its_drain(controller: Controller) -> None:
    controller.answer("GetNode", node(drain=node_pb2.Node.DRAINING, blockers=["jobs/a has nowhere to go"]))

    shown = await headrace("node", "east", controller=controller.address)
    told = await headrace("node", "east", "-o", "json", controller=controller.address)

    assert "In the way of its drain\n  jobs/a has nowhere to go" in shown.out.decode()
    assert json.loads(told.out)["blockers"] == ["jobs/a has nowhere to go"]


async def test_a_drain_that_goes_on_long_after_its_deadline_names_what_is_in_the_way(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nodes, "LEAVING_MS", 200)
    draining = node(drain=node_pb2.Node.DRAINING, blockers=["pi-1a2b was asked to save and leave"])
    controller.answer("DrainNode", draining)
    controller.answer("WatchNodes", [draining, HANG])
    argv = ["drain", "east", "--wait", "--deadline", "0", "--controller", controller.address]

    code = await asyncio.to_thread(run, argv)

    complaint = capsys.readouterr().err.strip()
    assert code == 1
    assert "pi-1a2b was asked to save and leave, 200ms after its deadline" in complaint
    assert complaint.endswith("[DRAIN_DEADLINE]")


async def test_a_node_shows_how_its_devices_are_linked_and_what_is_wrong_with_a_vendor(controller: Controller) -> None:
    links = [node_pb2.Link(peer="GPU-b", kind="nvlink", count=12)]
    devices = [
        node_pb2.Device(id="GPU-a", kind="gpu", vendor="nvidia", model="H100", index=0, links=links),
        node_pb2.Device(id="GPU-b", kind="gpu", vendor="nvidia", model="H100", index=1),
    ]
    report = node_pb2.VendorReport(
        vendor="huawei",
        state=node_pb2.VendorReport.DEGRADED,
        message="npu-smi is missing",
        remedy="install the driver package",
    )
    about = node_pb2.NodeDescription(vendors=[report])
    controller.answer("GetNode", node(devices=devices, description=about))

    lines = (await headrace("node", "east", controller=controller.address)).lines

    assert any("LINKS" in line for line in lines)
    assert any("GPU-a" in line and "nvlink 1 (x12)" in line for line in lines)
    assert any(
        line.split("  ")[-1] == "install the driver package" and "DEGRADED" in line and "npu-smi is missing" in line
        for line in lines
    )


async def test_nodes_wide_show_what_their_devices_do_now(controller: Controller) -> None:
    gpus = [
        node_pb2.Device(id="a", model="H100", memory_bytes=80 << 30, memory_used_bytes=20 << 30, busy_percent=10),
        node_pb2.Device(id="b", model="H100", memory_bytes=80 << 30, memory_used_bytes=0, busy_percent=90),
        node_pb2.Device(id="c", model="H100", health=node_pb2.Device.UNHEALTHY),
    ]
    controller.answer("ListNodes", ListNodesResponse(nodes=[node(devices=gpus)]))

    line = (await headrace("nodes", "-o", "wide", controller=controller.address)).lines[1]

    assert "3 x H100 (1 unhealthy)" in line
    assert "20.0GiB of 160GiB   50 %" in line
