"""Plots are drawn from the history alone: a file for each picture of which there is a curve, and each is small."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from benchmarks import plots, shares
from benchmarks.figures import Curve

PNG = b"\x89PNG\r\n"
KILOBYTES_MOST = 60


def curve(plot: str, name: str = "one") -> Curve:
    points = tuple((float(x), 3.0 + x**0.5) for x in (0, 10, 100, 1000))
    return Curve(5, plot, name, "jobs queued", "time, ms", points)


def test_each_picture_of_which_there_is_a_curve_is_drawn_and_small(tmp_path: Path) -> None:
    found = [curve(panel.plot, f"{panel.group}one") for picture in plots.PICTURES for panel in picture.panels]
    found += [curve("openb", f"workload{number}: ours") for number in range(9)]

    files = plots.draw(tmp_path / "plots", found)

    assert [path.name for path in files] == [*(picture.file for picture in plots.PICTURES), "openb.png"]
    for path in files:
        assert path.read_bytes().startswith(PNG)
        assert path.stat().st_size < 1000 * KILOBYTES_MOST


def test_a_picture_of_which_there_is_nothing_is_not_drawn(tmp_path: Path) -> None:
    assert [path.name for path in plots.draw(tmp_path, [curve("queue")])] == ["queue.png"]
    assert plots.draw(tmp_path, []) == []


def test_a_curve_is_drawn_with_its_exponent() -> None:
    panel = plots.PICTURES[1].panels[0]

    assert plots._label(curve("queue"), panel) == "one: exponent 0.43"


@pytest.mark.parametrize("scenario", shares.SCENARIOS)
def test_what_each_tenant_has_had_is_drawn_in_a_panel_of_its_scenario(scenario: str) -> None:
    day = shares.Day(shares.SCENARIOS[scenario], nodes=1, seed=1)
    day.run(2 * shares.LOOK_MS)
    found = list(shares._curves(scenario, day))

    (panel,) = (
        one for picture in plots.PICTURES for one in picture.panels if one.group and found[0].name.startswith(one.group)
    )
    assert {(one.plot, len(one.points)) for one in found} == {(panel.plot, 2)}
    assert all(one.name.startswith(panel.group) and one.exponent is None for one in found)
