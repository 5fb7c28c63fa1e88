"""headrace nodes, node, cordon, drain: each time a process of its own."""

import pytest

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


@pytest.mark.parametrize(
    ("command", "method"), [("cordon", "CordonNode"), ("uncordon", "UncordonNode"), ("undrain", "UncordonNode")]
)
async def test_a_node_is_closed_and_opened(controller: Controller, command: str, method: str) -> None:
    controller.answer(method, node())

    ended = await headrace(command, "east", controller=controller.address)

    assert ended.lines == ["east-1 READY"]
    assert controller.requests[0].name == "nodes/east"


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
    assert ended.complaint == "east-1 is not drained: pi-1a2b has nowhere to go"
    assert controller.requests[1].filter == 'name == "east-1"'


async def test_a_drain_past_its_deadline_names_what_is_in_the_way(controller: Controller) -> None:
    draining = node(drain=node_pb2.Node.DRAINING, blockers=["pi-1a2b has nowhere to go"])
    controller.answer("DrainNode", draining)
    controller.answer("WatchNodes", [draining, HANG])

    ended = await headrace("drain", "east", "--wait", "--deadline", "200ms", controller=controller.address)

    assert ended.code == 1
    assert "pi-1a2b has nowhere to go" in ended.complaint
    assert ended.complaint.endswith("[DRAIN_DEADLINE]")
