"""Workloads made of the published ones: each has the share that its name says."""

import csv
from pathlib import Path

import pytest

from benchmarks.openb_mixes import Mixes

KINDS = {"cpu": (0, 0), "share": (1, 500), "one": (1, 1000), "multi": (8, 1000)}
COUNTS = {
    "default": {"cpu": 200, "share": 400, "one": 600, "multi": 10},
    "gpushare100": {"share": 500},
    "gpuspec25": {"one": 100},
    "multigpu50": {"multi": 100},
}


@pytest.fixture
def made(tmp_path: Path) -> dict[str, list[dict[str, str]]]:
    for workload, counts in COUNTS.items():
        with (tmp_path / f"pods-{workload}.csv").open("w", newline="") as lines:
            writer = csv.writer(lines)
            writer.writerow(("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"))
            for kind, count in counts.items():
                spec = "T4" if workload == "gpuspec25" else ""
                writer.writerows([(kind, 1000, 1024, *KINDS[kind], spec)] * count)
    return dict(Mixes(tmp_path).all())


def millis(rows: list[dict[str, str]], *kinds: str) -> int:
    return sum(int(row["num_gpu"]) * int(row["gpu_milli"]) for row in rows if row["name"] in kinds)


@pytest.mark.parametrize("percent", [20, 60, 80])
def test_so_much_of_the_devices_is_asked_for_in_shares(made: dict[str, list[dict[str, str]]], percent: int) -> None:
    rows = made[f"gpushare{percent}"]
    assert millis(rows, "share") / millis(rows, *KINDS) == pytest.approx(percent / 100, abs=0.01)


@pytest.mark.parametrize("percent", [30, 40, 70])
def test_so_much_of_the_devices_is_asked_for_by_requests_for_several(
    made: dict[str, list[dict[str, str]]], percent: int
) -> None:
    rows = made[f"multigpu{percent}"]
    assert millis(rows, "multi") / millis(rows, *KINDS) == pytest.approx(percent / 100, abs=0.01)


@pytest.mark.parametrize("per_mille", [200, 250])
def test_so_many_requests_ask_for_no_device(made: dict[str, list[dict[str, str]]], per_mille: int) -> None:
    rows = made[f"cpu{per_mille}"]
    assert sum(row["name"] == "cpu" for row in rows) / len(rows) == pytest.approx(per_mille / 1000, abs=0.002)


@pytest.mark.parametrize("percent", [20, 33, 50])
def test_so_many_requests_on_devices_name_models(made: dict[str, list[dict[str, str]]], percent: int) -> None:
    rows = [row for row in made[f"gpuspec{percent}"] if row["name"] != "cpu"]
    assert sum(row["gpu_spec"] == "T4" for row in rows) == len(rows) * percent // 100
