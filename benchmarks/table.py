"""`python -m benchmarks.table`: one table of all rows, each as it was measured last."""

import sys
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import history
from benchmarks.figures import EXPONENT, OF_ROUNDS, with_unit
from benchmarks.goals import GOALS
from benchmarks.history import Entry, Run
from headrace.refusals import Refusal

# What a table needs that nobody looks at on a screen.
WIDTH = 200
FIGURE_WIDTH = 56
REACHED = {True: ("reached", "green"), False: ("not reached", "red"), None: ("", "")}
COLUMNS = ("ROW", "FIGURE", "GOAL", "ANCHOR", "OURS", "RATIO", "", "MEASURED")
FOOT = (
    "ratio: ours to the anchor's figure of the same run, else ours to the goal; x^…: how it grows with what it is told "
    "by, over the last decade of that"
)


def show(fresh: Collection[Run] = ()) -> None:
    """Prints it; `fresh` are the runs of this call."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    found = history.latest(history.read(history.LOCAL, history.PUBLISHED))
    console.print(table(found, fresh, width=console.width))
    console.print(Text(FOOT))


def table(found: Sequence[Entry], fresh: Collection[Run] = (), *, width: int = WIDTH) -> Table:
    """The table of these entries, and of goals of which there is none."""
    grid = Table(*COLUMNS, box=None, pad_edge=False, header_style="bold")
    grid.columns[1].min_width = FIGURE_WIDTH if width >= WIDTH else None
    for column in (4, 5):
        grid.columns[column].justify = "right"
    # A curve that only goes with time is for a plot alone.
    figures = [entry for entry in found if entry.ours is not None or entry.ratio is not None]
    for goal in GOALS:
        mine = [entry for entry in figures if goal.covers(entry.row, entry.part)]
        if not mine:
            grid.add_row(str(goal.row), goal.figure, goal.to_reach, goal.anchor, "", "", "", f"never: {goal.command}")
            continue
        title = ""
        for entry in mine:
            if entry.title != title:
                title = entry.title
                measured = _measured(entry.run, entry.run in fresh)
                grid.add_row(str(goal.row), Text(title, "bold"), "", goal.anchor, "", "", "", measured)
            grid.add_row("" if entry.row == goal.row else str(entry.row), *_cells(entry))
    # What was measured and no goal covers is not hidden.
    for entry in figures:
        if not any(goal.covers(entry.row, entry.part) for goal in GOALS):
            grid.add_row(str(entry.row), *_cells(entry), _measured(entry.run, entry.run in fresh))
    return grid


def _cells(entry: Entry) -> tuple[str | Text, ...]:
    word, style = REACHED[entry.reached]
    unit = entry.unit
    anchor = "" if entry.anchor is None else f"{entry.anchor_name}: {with_unit(shown(entry.anchor), unit)}"
    # Two digits of an exponent are what is known of it.
    digits = shown if unit != EXPONENT else "{:.2f}".format
    ours = "" if entry.ours is None else with_unit(digits(entry.ours), unit)
    # Close to 1 it matters on which side; what is next to nothing is not nothing.
    places = 4 if entry.ratio is not None and (entry.ratio < 0.01 or abs(entry.ratio - 1) < 0.01) else 2
    ratio = "" if entry.ratio is None else f"{entry.ratio:.{places}f}"
    last = "; {1} at {0}".format(*map(shown, entry.points[-1])) if entry.points else ""
    return (f"  {entry.figure.removesuffix(OF_ROUNDS)}{last}", entry.goal, anchor, ours, ratio, Text(word, style))


def shown(value: float) -> str:
    """A figure with four digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _measured(run: Run, fresh: bool) -> str:  # noqa: FBT001 -- Nobody else calls it.
    load = "" if run.load_before is None else f", load {run.load_before:g}"
    return f"now{load}" if fresh else f"{run.time[:10]} {run.commit}{load}"


def main() -> int:
    """Prints the table of what the history has; 2 where it cannot be read."""
    try:
        show()
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
