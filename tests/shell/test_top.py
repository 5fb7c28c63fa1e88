"""headrace top: the board, the screen that Textual draws without a terminal, and the program in a real one."""

import asyncio
import os
import pty
from collections.abc import AsyncIterator

import pytest

from headrace.cli.top_board import Board, table
from headrace.cli.top_screen import Rows, Top
from headrace.refusals import Code, Refusal
from headrace.v1 import node_pb2
from headrace.v1.node_service_pb2 import ListNodesResponse
from tests.shell.controller_double import HANG, PROGRAM, ROOT, Controller, headrace, node

GIB = 1 << 30


def gpu(index: int, **figures: float) -> node_pb2.Device:
    return node_pb2.Device(
        id=f"GPU-{index}",
        kind="gpu",
        vendor="nvidia",
        model="H100",
        index=index,
        memory_bytes=80 * GIB,
        memory_used_bytes=index * GIB,
        health=node_pb2.Device.HEALTHY,
        **figures,
    )


def npu(index: int, **figures: float) -> node_pb2.Device:
    return node_pb2.Device(id=f"npu-{index}", kind="npu", vendor="huawei", model="昇腾 910B", index=index, **figures)


def many(nodes: int, devices: int = 8) -> list[node_pb2.Node]:
    return [
        node(f"n{number:04}", devices=[gpu(index, busy_percent=float(index)) for index in range(devices)])
        for number in range(nodes)
    ]


def board_of(*nodes: node_pb2.Node) -> Board:
    board = Board()
    for one in nodes:
        board.put(one)
    return board


def devices(board: Board) -> list[str]:
    return [f"{line.cells[0]} {line.cells[1]}" for line in board.lines()]


def test_a_node_that_is_forgotten_is_not_shown_any_more() -> None:
    board = board_of(node_pb2.Node(name="nodes/a"), node_pb2.Node(name="nodes/b"))

    board.put(node_pb2.Node(name="nodes/a", forgotten=True))

    assert [line.cells[0] for line in board.lines()] == ["b"]


class Watched:
    """A watch of nodes that tells when all of them were taken."""

    def __init__(self, *nodes: node_pb2.Node | Refusal) -> None:
        self.nodes = nodes
        self.taken = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[node_pb2.Node]:
        for one in self.nodes:
            if isinstance(one, Refusal):
                raise one
            yield one
        self.taken.set()
        await asyncio.Event().wait()


def text_of(rows: Rows, y: int) -> str:
    return rows.render_line(y).text


def test_all_vendors_have_the_same_columns_and_what_is_unknown_is_no_zero() -> None:
    lines = table([node("a", devices=[gpu(0, busy_percent=0.0), npu(1)])])

    assert lines[0].split() == ["NODE", "DEVICE", "MODEL", "BUSY", "MEMORY", "TEMP", "POWER", "HEALTH", "JOB"]
    assert lines[1].split() == ["a", "cpu", "-", "-", "-", "-", "-", "READY", "-"]
    assert lines[2].split() == ["a", "gpu", "0", "H100", "0", "%", "0B", "of", "80.0GiB", "-", "-", "HEALTHY", "-"]
    assert lines[3].split() == ["a", "npu", "1", "昇腾", "910B", "-", "-", "-", "-", "unknown", "-"]


def test_the_processors_and_memory_of_a_node_have_a_row_of_their_own() -> None:
    loaded = node(
        description=node_pb2.NodeDescription(cpu=node_pb2.Cpu(model="EPYC")),
        load=node_pb2.Load(cpu_percent=12.4, memory_available_bytes=3 * GIB),
        jobs=["pi-1"],
    )

    assert table([loaded])[1].split() == ["east-1", "cpu", "EPYC", "12", "%", "3.00GiB", "left", *"--", "READY", "pi-1"]


def test_what_holds_a_device_is_named_beside_it() -> None:
    held = gpu(0)
    held.holders.append("jobs/train-1")

    assert table([node(devices=[held])])[2].endswith("train-1")


def test_by_a_figure_the_greatest_comes_first_and_the_unknown_last() -> None:
    board = board_of(node("a", devices=[gpu(0, busy_percent=5.0), npu(1)]), node("b", devices=[gpu(0, busy_percent=9)]))

    board.order_by("busy")

    assert devices(board) == ["b gpu 0", "a gpu 0", "a cpu", "a npu 1", "b cpu"]


def test_by_health_what_is_lost_or_ill_comes_first() -> None:
    ill = node_pb2.Device(id="x", kind="gpu", index=1, health=node_pb2.Device.UNHEALTHY, health_reason="Xid 79")
    lost = node("b")
    lost.state = node_pb2.Node.SUSPECT
    board = board_of(node("a", devices=[gpu(0), ill]), lost)

    board.order_by("health")

    assert devices(board)[:2] == ["b cpu", "a gpu 1"]


def test_a_node_that_reports_anew_costs_its_own_rows_and_no_others() -> None:
    nodes = many(1_000)
    board = board_of(*nodes)
    before = {line.place: line for line in board.lines()}

    board.put(nodes[7])

    made_anew = [line for line in board.lines() if before[line.place] is not line]
    assert len(before) == 9_000
    assert {line.cells[0] for line in made_anew} == {"n0007"}
    assert len(made_anew) == 9


def test_what_nobody_ordered_anew_is_not_ordered_again() -> None:
    board = board_of(*many(3))

    assert board.lines() is board.lines()


def test_what_a_device_says_of_itself_does_not_steer_the_terminal() -> None:
    assert "\x1b" not in "".join(table([node(devices=[node_pb2.Device(id="x", model="\x1b[2J")])]))


async def test_only_the_rows_in_sight_are_drawn() -> None:
    drawn: list[int] = []

    class Counted(Board):
        def lines(self) -> list:  # type: ignore[type-arg]
            drawn.append(1)
            return super().lines()

    watched = Watched(*many(1_000))
    screen = Top(watched)
    screen.board = Counted()
    async with screen.run_test(size=(120, 30)) as pilot:
        await watched.taken.wait()
        screen.draw()
        drawn.clear()
        rows = screen.query_one(Rows)
        rows.refresh()
        await pilot.pause()

        assert rows.virtual_size.height == 9_001
        # Once a line of the terminal, and at most twice for what Textual draws again.
        assert 0 < len(drawn) <= 60


async def test_the_screen_scrolls_under_its_headings_and_orders_by_keys() -> None:
    watched = Watched(*many(50))
    screen = Top(watched)
    async with screen.run_test(size=(120, 20)) as pilot:
        await watched.taken.wait()
        screen.draw()
        await pilot.pause()
        rows = screen.query_one(Rows)
        assert text_of(rows, 0).startswith("NODE ")
        assert text_of(rows, 1).startswith("n0000  cpu")

        await pilot.press("end")
        await pilot.pause()
        rows.scroll_end(animate=False)
        await pilot.pause()
        assert text_of(rows, 0).startswith("NODE ")
        assert text_of(rows, 1) != ""
        assert not text_of(rows, 1).startswith("n0000")

        await pilot.press("b")
        await pilot.pause()
        assert text_of(rows, 1).startswith("n0000  gpu 7")


async def test_q_ends_it() -> None:
    screen = Top(Watched(*many(1)))
    async with screen.run_test() as pilot:
        await pilot.press("q")
        await pilot.pause()

    assert screen.return_code == 0


async def test_a_controller_that_refuses_ends_it_with_what_it_says() -> None:
    screen = Top(Watched(Refusal(Code.UNAVAILABLE, "CONTROLLER_UNREACHABLE", "gone")))

    await screen.run_async(headless=True)

    assert screen.refusal is not None
    assert screen.refusal.reason == "CONTROLLER_UNREACHABLE"


async def test_without_a_terminal_it_is_printed_once(controller: Controller) -> None:
    controller.answer("ListNodes", ListNodesResponse(nodes=many(2, devices=1)))

    ended = await headrace("top", "--where", "gpu.count > 0", controller=controller.address)

    assert ended.code == 0
    assert [line.split()[0] for line in ended.lines] == ["NODE", "n0000", "n0000", "n0001", "n0001"]
    assert controller.requests[0].filter == "gpu.count > 0"


@pytest.mark.timeout(60)
async def test_in_a_terminal_it_draws_and_leaves_upon_q(controller: Controller) -> None:
    controller.answer("WatchNodes", [*many(2), HANG])
    ours, theirs = pty.openpty()
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "HOME": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "top", "--controller", controller.address, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    loop, seen, shown = asyncio.get_running_loop(), bytearray(), asyncio.Event()

    def read() -> None:
        try:
            seen.extend(os.read(ours, 65536))
        except OSError:
            loop.remove_reader(ours)
        if b"n0001" in seen:
            shown.set()

    loop.add_reader(ours, read)
    await shown.wait()
    os.write(ours, b"q")

    assert await process.wait() == 0
    loop.remove_reader(ours)
    os.close(ours)
    assert controller.requests[0].readings
