"""`headrace top` on a terminal, by Textual: it scrolls, orders by a key, and draws only the rows that are in sight."""

from collections.abc import AsyncIterable
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Footer

from headrace.cli.top_board import HEADINGS, Board
from headrace.refusals import Refusal
from headrace.v1.node_pb2 import Node

# Reports come every few seconds from each node: more frames would show nothing new.
REFRESH_SECONDS = 0.5

_GAP = "  "
_HEADING = Style(bold=True, reverse=True)
_PLAIN = Style()


class Rows(ScrollView, can_focus=True):
    """The board's rows under their headings, which stay."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.board = board

    def measure(self) -> None:
        """Fits what can be scrolled to what there is."""
        width = sum(self.board.widths) + len(_GAP) * len(self.board.widths)
        self.virtual_size = Size(width, len(self.board.lines()) + 1)

    def render_line(self, y: int) -> Strip:
        """One line that is in sight: the headings, then the rows."""
        left, top = self.scroll_offset
        lines, index = self.board.lines(), top + y - 1
        if y == 0:
            text, style = self._text(HEADINGS), _HEADING
        elif index < len(lines):
            text, style = self._text(lines[index].cells), _PLAIN
        else:
            text, style = "", _PLAIN
        strip = Strip([Segment(text, style)], cell_len(text))
        return strip.crop_extend(left, left + self.size.width, style)

    def _text(self, cells: tuple[str, ...]) -> str:
        return _GAP.join(set_cell_size(cell, width) for cell, width in zip(cells, self.board.widths, strict=True))


class Top(App[None]):
    """The board, kept up to date from a watch of nodes until the user leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "quit"),
        ("n", "order('node')", "by node"),
        ("b", "order('busy')", "busy"),
        ("m", "order('memory')", "memory"),
        ("t", "order('temperature')", "temperature"),
        ("p", "order('power')", "power"),
        ("h", "order('health')", "health"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, nodes: AsyncIterable[Node]) -> None:
        super().__init__()
        self.board = Board()
        self.refusal: Refusal | None = None
        self._watched = nodes
        self._drawn = -1

    def compose(self) -> ComposeResult:
        """The rows, and the keys below them."""
        yield Rows(self.board)
        yield Footer()

    def on_mount(self) -> None:
        """Begins to watch and to draw."""
        self.query_one(Rows).focus()
        self.run_worker(self._watch(), exit_on_error=False)
        self.set_interval(REFRESH_SECONDS, self.draw)

    def action_order(self, order: str) -> None:
        """Another order, from the top."""
        self.board.order_by(order)
        self.query_one(Rows).scroll_home(animate=False)
        self.draw()

    def draw(self) -> None:
        """Shows the board as it is, if it changed."""
        if self._drawn == self.board.changes:
            return
        self._drawn = self.board.changes
        self.title = self.board.summary()
        rows = self.query_one(Rows)
        rows.measure()
        rows.refresh()

    async def _watch(self) -> None:
        try:
            async for node in self._watched:
                self.board.put(node)
        except Refusal as refusal:
            self.refusal = refusal
            self.exit()
