"""The history of benchmarks: what is kept comes back, what is new replaces it, goals nobody measured are shown."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as rows
from benchmarks import curves, history, openb_results, record, scale, table
from benchmarks.figures import Curve, Ratio, Row, Series, of_rounds
from benchmarks.goals import GOALS
from benchmarks.history import Entry, Run
from headrace.refusals import Refusal

RUN = Run("2026-11-28T10:00:00Z", "abc1234", "python -m benchmarks 1", 2, "x86_64", 0.4, 1.5)
LATER = Run("2026-11-29T10:00:00Z", "def5678", "python -m benchmarks 1", 2, "x86_64", None, None)
OURS = Series("Headrace", "ms", (90.0, 100.0, 110.0))
THEIRS = Series("the API", "ms", (180.0, 200.0, 220.0))
TEN = (10.0, 100.0, 1000.0)
CURVE = Curve(5, "queue", "p50", "jobs queued", "time, ms", ((0.0, 2.0), (1000.0, 3.0), (10_000.0, 30.0)), 0.5)
ROW = Row(
    1,
    "one job",
    (OURS, THEIRS),
    (
        of_rounds("Headrace / the API", OURS, THEIRS, 1.05),
        Ratio("RSS", 59.0, 60.0, unit="MiB"),
        Ratio("only told", 2.0),
    ),
    curves=(CURVE,),
)


def shown(found: list[Entry], *fresh: Run) -> str:
    console = Console(width=400)
    with console.capture() as captured:
        console.print(table.table(found, fresh))
    return captured.get()


def test_a_ratio_is_kept_with_both_figures_and_a_figure_of_ours_alone_with_its_part_of_the_goal() -> None:
    ratio, alone, growth = history.entries(RUN, ROW, part="row 1")

    assert (ratio.goal, ratio.ours, ratio.anchor, ratio.anchor_name) == ("≤ 1.05 ×", 100.0, 200.0, "the API")
    assert (ratio.unit, ratio.ratio, ratio.reached) == ("ms", 0.5, True)
    assert (alone.goal, alone.ours, alone.anchor, alone.unit) == ("≤ 60 MiB", 59.0, None, "MiB")
    assert alone.ratio == pytest.approx(59 / 60, rel=1e-4)
    assert (growth.row, growth.ours, growth.goal, growth.reached) == (5, 1.0, "≤ x^0.5", False)
    assert growth.points == CURVE.points


def test_what_is_kept_comes_back_each_line_once(tmp_path: Path) -> None:
    kept = list(history.entries(RUN, ROW, part="row 1"))
    local, published = tmp_path / "deep" / "history.jsonl", tmp_path / "published.jsonl"
    history.append(local, kept[:2])
    history.append(local, kept[2:])
    history.append(published, kept)

    assert history.read(local, published, tmp_path / "none.jsonl") == kept
    assert {json.loads(line)["commit"] for line in local.read_text().splitlines()} == {"abc1234"}


def test_a_curve_comes_back_as_it_was() -> None:
    growth = list(history.entries(RUN, ROW, part="row 1"))[-1]
    again = Entry.read(growth.line()).curve

    assert again is not None
    assert (again.name, again.points, again.exponent) == (CURVE.name, CURVE.points, CURVE.exponent)


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"row": 1, "nobody": "knows"}'])
def test_a_line_that_is_no_entry_is_refused_and_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n")

    with pytest.raises(Refusal, match=r"history\.jsonl, line 1: no entry"):
        history.read(path)


def test_what_is_new_replaces_all_of_its_part_and_nothing_else() -> None:
    first = [*history.entries(RUN, ROW, part="row 1"), *history.entries(RUN, ROW, part="jobs")]
    renamed = Row(1, "one job", (), (Ratio("RSS of late", 50.0, 60.0, unit="MiB"),))
    found = history.latest([*first, *history.entries(LATER, renamed, part="row 1")])

    assert [entry.figure for entry in found if entry.part == "row 1" and entry.row == 1] == ["RSS of late"]
    assert [entry.figure for entry in found if entry.part == "jobs"] == [one.figure for one in first if one.row][3:]


@pytest.mark.parametrize(
    ("points", "exponent"),
    [
        (tuple((x, 5 * x**0.7) for x in TEN), 0.7),
        # What was before the last decade does not count, nor does nothing.
        (((0.0, 9.0), (1.0, 900.0), (100.0, 4.0), (1000.0, 4.0)), 0.0),
        (((0.0, 1.0), (10.0, 2.0)), None),
        ((), None),
    ],
)
def test_the_exponent_is_that_of_the_last_decade(
    points: tuple[tuple[float, float], ...], exponent: float | None
) -> None:
    found = Curve(5, "queue", "p50", "jobs", "ms", points).exponent

    assert found == (None if exponent is None else pytest.approx(exponent, abs=1e-9))


def test_a_curve_that_grows_faster_than_it_may_is_missed() -> None:
    assert Row(5, "growth", (), (), curves=(CURVE,)).missed
    assert not Row(5, "growth", (), (Ratio("RSS", 59.0, 60.0),)).missed


def test_the_table_has_each_goal_measured_or_not_and_says_how_to_measure_it() -> None:
    lines = shown(list(history.entries(RUN, ROW, part="row 1")), RUN)

    for goal in GOALS:
        assert goal.part == "row 1" or f"never: {goal.command}" in lines
    measured = next(line for line in lines.splitlines() if "Headrace / the API" in line)
    assert [one for one in ("≤ 1.05 ×", "the API: 200 ms", "100 ms", "0.50", "reached") if one not in measured] == []
    assert "now, load 0.4" in lines


def test_what_was_not_measured_now_is_told_with_its_day_and_commit() -> None:
    assert "2026-11-28 abc1234, load 0.4" in shown(list(history.entries(RUN, ROW, part="row 1")), LATER)


def test_what_no_goal_covers_is_shown_all_the_same() -> None:
    assert "RSS" in shown(list(history.entries(RUN, ROW, part="somebody's own")))


def test_every_row_and_part_and_curve_that_can_be_measured_has_a_goal() -> None:
    parts = [goal.part for goal in GOALS if goal.part]
    measured = [f"row {number}" for number in rows.ROWS] + list(scale.PARTS) + [f"curve {one}" for one in curves.CURVES]

    assert sorted(parts) == sorted(measured)


async def test_a_step_that_fails_is_left_out_and_said_so() -> None:
    steps = curves.Steps()

    async def measured() -> dict[str, float]:
        return {"restart": 2.0}

    async def failed() -> dict[str, float]:
        raise TimeoutError("not all of 10000 agents were answered within 180 s")

    await steps.take(1000, measured)
    await steps.take(10_000, failed)

    assert steps["restart"] == ((1000.0, 2.0),)
    assert steps.notes == ["10,000 is left out: TimeoutError: not all of 10000 agents were answered within 180 s"]


def test_of_a_command_files_are_kept_by_their_names_alone() -> None:
    argv = ["--pods", "/somewhere/pods.csv", "--seeds", "3"]

    assert record.command("benchmarks.openb", argv) == "python -m benchmarks.openb --pods pods.csv --seeds 3"


PRINTED = """\
pods-some: percent of 24 devices given away, 10 seeds
arrived  FGD published  FGD here      ours          with moves    moves  LP bound  won back
90 %     90.00          90.00 ± 0.00  89.99 ± 0.01  89.99 ± 0.01  1      89.99     -
100 %    95.23          94.72 ± 0.10  95.71 ± 0.20  95.96 ± 0.10  2      96.90     44%
130 %    -              94.91 ± 0.10  95.76 ± 0.20  96.00 ± 0.10  2      99.91     22%
mean ± standard deviation
""".splitlines()


def test_what_openb_printed_is_read_at_its_worst_level() -> None:
    ((workload, row),) = openb_results.rows(PRINTED)
    ours, won_back = row.ratios

    assert (workload, ours.reached, won_back.reached) == ("some", True, False)
    # All that arrived was placed: no policy places more.
    assert ours.value == 1.0
    assert won_back.value == pytest.approx((96.00 - 94.91) / (99.91 - 94.91))
    lines = {curve.name: curve.points for curve in row.curves}
    assert lines["some: FGD published"] == ((90.0, 90.0), (100.0, 95.23))
    assert lines["some: ours"] == ((90.0, 89.99), (100.0, 95.71), (130.0, 95.76))
    assert list(lines) == [f"some: {name}" for name in ("FGD published", "FGD here", "ours", "with moves", "LP bound")]


def test_a_file_without_a_table_is_refused() -> None:
    with pytest.raises(Refusal, match=r"no table of benchmarks\.openb"):
        openb_results.keep(["nothing"], RUN, publish=False)
