"""`python -m benchmarks.plots`: draws each curve as it was measured last, from the history alone.

From the published history into docs/plots/, or with `--local` from all that was measured here into .headrace/.
"""

import argparse
import io
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import history
from benchmarks.figures import Curve
from benchmarks.history import Entry
from deploy.local import places
from headrace.refusals import Code, Refusal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = places.ROOT / "docs" / "plots"
LOCAL_FOLDER = history.LOCAL.parent / "plots"
# A picture has few colours: with a palette it is a third as large.
COLOURS = 64
DOTS_PER_INCH = 100
PANEL_INCHES = (4.6, 4.0)
# What a logarithmic axis shows at least, so that what is flat looks flat: from its least to its most.
SPAN = 12.0
LINES = ("#1f6feb", "#d1570c", "#1a7f37", "#8250df", "#6e7781", "#bf3989")


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn in one frame: the curves of `plot`, or those whose name begins with `group`.

    A scale is one of matplotlib's; "symlog" shows 0, too. `band` is what y has to be within,
    `lines` what it has to reach, and how that is told.
    """

    title: str
    plot: str
    group: str = ""
    x_scale: str = "log"
    y_scale: str = "log"
    y_limits: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    lines: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A file, and what is in it, side by side and below each other."""

    file: str
    panels: tuple[Panel, ...]
    across: int = 2
    size: float = 1.0
    one_legend: bool = False


SHARES = {"y_scale": "linear", "x_scale": "linear", "y_limits": (0.85, 1.15), "band": (0.95, 1.05)}
PICTURES = (
    Picture(
        "nodes.png",
        (
            Panel("Placements and jobs a second", "nodes-placements"),
            Panel("Reports of agents at rest", "nodes-reports"),
            Panel("After the controller was killed", "nodes-back", lines=((30.0, "goal: 30 s"),)),
        ),
        across=3,
    ),
    Picture(
        "queue.png",
        (
            Panel(
                "Submitted → placed",
                "queue",
                x_scale="symlog",
                lines=((20.0, "goal of p50: 20 ms"), (100.0, "of p99: 100 ms")),
            ),
            Panel("Answered", "queue-rate", x_scale="symlog", y_scale="linear", lines=((1000.0, "offered"),)),
        ),
    ),
    Picture(
        "kept.png",
        (
            Panel("Jobs a second, submitted to ended", "kept-jobs"),
            Panel(
                "Start of the controller until it answers",
                "restart",
                lines=((2.0, "goal with 100,000 live jobs: 2 s"),),
            ),
            Panel("Its memory then", "restart-memory"),
        ),
        across=3,
    ),
    Picture(
        "shares.png",
        (
            Panel("All have jobs of all kinds", "shares", "mixed: ", **SHARES),  # type: ignore[arg-type]
            Panel("One kind of job each", "shares", "one kind each: ", **SHARES),  # type: ignore[arg-type]
        ),
    ),
    Picture("gavel.png", (Panel("Gavel's cluster", "gavel", x_scale="linear", y_scale="linear"),)),
)


def pictures(curves: Sequence[Curve]) -> tuple[Picture, ...]:
    """What is to be drawn of these curves: openb's workloads are those that there are."""
    workloads = dict.fromkeys(curve.name.partition(": ")[0] for curve in curves if curve.plot == "openb")
    panels = tuple(
        Panel(name, "openb", f"{name}: ", x_scale="linear", y_scale="linear", y_limits=(84, 101)) for name in workloads
    )
    wanted = (*PICTURES, Picture("openb.png", panels, across=3, size=0.8, one_legend=True))
    drawn = {curve.plot for curve in curves}
    return tuple(one for one in wanted if any(panel.plot in drawn for panel in one.panels))


def latest(found: Iterable[Entry]) -> list[Curve]:
    """The curves of what was measured last."""
    curves = (entry.curve for entry in history.latest(list(found)))
    return [curve for curve in curves if curve is not None]


def draw(folder: Path = FOLDER, curves: Sequence[Curve] | None = None) -> list[Path]:
    """Draws these curves, or the published ones; answers the files. Raises Refusal where matplotlib is missing."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 -- Tools of development lack it: the rest does without.
        from matplotlib.figure import Figure  # noqa: PLC0415 -- As above.
    except ImportError:
        message = "plots need matplotlib: run `pip install --group bench`"
        raise Refusal(Code.FAILED_PRECONDITION, "NO_MATPLOTLIB", message) from None
    if curves is None:
        curves = latest(history.read(history.PUBLISHED))
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with mpl.rc_context({"font.size": 8.5, "axes.spines.top": False, "axes.spines.right": False}):
        for picture in pictures(curves):
            down = -(-len(picture.panels) // picture.across)
            across = min(picture.across, len(picture.panels))
            width, height = (picture.size * inches for inches in PANEL_INCHES)
            figure = Figure(figsize=(width * across, height * down), layout="constrained")
            frames = figure.subplots(down, across, squeeze=False).flatten()
            for frame, panel in zip(frames, picture.panels, strict=False):
                _draw(frame, panel, curves)
                if not picture.one_legend:
                    _legend(frame)
            if picture.one_legend:
                figure.legend(
                    *frames[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
                )
            for frame in frames[len(picture.panels) :]:
                frame.set_axis_off()
            files.append(folder / picture.file)
            _save(figure, files[-1])
    return files


def _draw(frame: "Axes", panel: Panel, curves: Sequence[Curve]) -> None:
    mine = [one for one in curves if one.plot == panel.plot and one.name.startswith(panel.group) and one.points]
    if not mine:
        frame.set_axis_off()
        return
    for colour, curve in zip(LINES * len(mine), mine, strict=False):
        x, y = zip(*curve.points, strict=True)
        frame.plot(x, y, color=colour, label=_label(curve, panel), **_stroke(curve))
    for height, told in panel.lines:
        frame.axhline(height, color="#cf222e", linewidth=0.8, linestyle=":")
        frame.annotate(told, (0.995, height), xycoords=frame.get_yaxis_transform(), **GOAL_TEXT)
    if panel.band:
        frame.axhspan(*panel.band, color="#1a7f37", alpha=0.08)
    _axes(frame, panel, mine)


# From an axis to what is below its numbers and its name.
LEGEND_POINTS = 36
GOAL_TEXT: Mapping[str, Any] = {"ha": "right", "va": "bottom", "color": "#cf222e", "fontsize": 7}


def _stroke(curve: Curve) -> dict[str, Any]:
    # Few points are seen one by one; of many, and of what nobody exceeds, the line alone.
    alone = len(curve.points) > 12
    bound = curve.name.endswith("bound")
    return {"linewidth": 1.4, "marker": "" if alone else "o", "markersize": 3.5, "linestyle": "--" if bound else "-"}


def _label(curve: Curve, panel: Panel) -> str:
    name = curve.name.removeprefix(panel.group)
    return name if curve.exponent is None else f"{name}: exponent {curve.exponent:.2f}"


def _axes(frame: "Axes", panel: Panel, mine: Sequence[Curve]) -> None:
    least = min((x for curve in mine for x, _ in curve.points if x > 0), default=1.0)
    if panel.x_scale == "symlog":
        frame.set_xscale("symlog", linthresh=least, linscale=0.5)
        frame.set_xlim(left=-0.15 * least)
    else:
        frame.set_xscale(panel.x_scale)
    frame.set_yscale(panel.y_scale)
    frame.set_ylim(*(panel.y_limits or _limits(panel, mine)))
    _numbers(frame, panel)
    frame.set_title(panel.title, fontsize=9.5, loc="left")
    # One frame may have curves by several things: each is told once.
    frame.set_xlabel(" · ".join(dict.fromkeys(curve.x for curve in mine)))
    frame.set_ylabel(" · ".join(dict.fromkeys(curve.y for curve in mine)))
    frame.grid(visible=True, color="#d0d7de", linewidth=0.5)


def _legend(frame: "Axes") -> None:
    """Below the axes, where no curve is."""
    from matplotlib.transforms import offset_copy  # noqa: PLC0415 -- As in `draw`.

    handles, labels = frame.get_legend_handles_labels()
    if not handles:
        return
    title = "exponent: that of the last decade" if any("exponent" in label for label in labels) else None
    below = offset_copy(frame.transAxes, fig=frame.get_figure(root=True), y=-LEGEND_POINTS, units="points")
    frame.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        borderaxespad=0,
        frameon=False,
        fontsize=7.5,
        title=title,
        title_fontsize=7,
        alignment="left",
    )


def _limits(panel: Panel, mine: Sequence[Curve]) -> tuple[float, float]:
    heights = [y for curve in mine for _, y in curve.points]
    heights += [height for height, _ in panel.lines]
    least, most = min(heights), max(heights)
    if panel.y_scale == "linear":
        return 0.0, 1.08 * most
    more = max(1.3, math.sqrt(SPAN * least / most))
    return least / more, most * more


def _numbers(frame: "Axes", panel: Panel) -> None:
    """Numbers on a logarithmic axis as people write them, at 1, 2 and 5 of each decade where there is room for them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415 -- As in `draw`.

    plain = FuncFormatter(lambda value, _: f"{value:,.12g}")
    frame.xaxis.set_major_formatter(plain)
    frame.xaxis.set_minor_formatter(NullFormatter())
    if panel.y_scale == "log":
        low, high = frame.get_ylim()
        frame.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
        frame.yaxis.set_minor_formatter(NullFormatter())
    frame.yaxis.set_major_formatter(plain)


def _save(figure: Any, path: Path) -> None:
    from PIL import Image  # noqa: PLC0415 -- It comes with matplotlib.

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    """Draws; 2 where it cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--local", action="store_true", help="all that was measured in this checkout")
    local = parser.parse_args().local
    folder, kept = (LOCAL_FOLDER, (history.LOCAL, history.PUBLISHED)) if local else (FOLDER, (history.PUBLISHED,))
    try:
        for path in draw(folder, latest(history.read(*kept))):
            print(f"{path.relative_to(places.ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
