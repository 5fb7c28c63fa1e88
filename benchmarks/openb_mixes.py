"""`python -m benchmarks.openb_mixes`: workloads that lie between and beyond those that were published, made of these.

They are no published ones, and there are no published figures for them: they show how placement does on what it was not
tried on.
"""

import argparse
import csv
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from controller.core.placement.columns import WHOLE

Row = dict[str, str]

_HEADER = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec")
_SEED = 7


def _kind(row: Row) -> str:
    devices, millis = int(row["num_gpu"]), int(row["gpu_milli"])
    if devices > 1:
        return "multi"
    if not devices:
        return "cpu"
    return "share" if millis < WHOLE else "one"


def _millis(row: Row) -> int:
    return int(row["num_gpu"]) * int(row["gpu_milli"])


class Mixes:
    """The requests of a folder of published workloads, by kind, and others drawn from them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._draw = random.Random(_SEED)  # noqa: S311 - a seed that can be repeated is the point.
        base = self._rows("default")
        self._of_kind = {kind: [row for row in base if _kind(row) == kind] for kind in ("cpu", "share", "one", "multi")}
        self._on_devices = [row for row in base if _kind(row) != "cpu"]

    def all(self) -> Iterator[tuple[str, list[Row]]]:
        """Each workload with its name, which is made as those of the published ones are."""
        for name, percents, make in (
            ("cpu", (200, 250), self._cpu),
            ("gpushare", (20, 60, 80), self._shares),
            ("gpuspec", (20, 33, 50), self._bound),
            ("multigpu", (30, 40, 70), self._many),
        ):
            for percent in percents:
                yield f"{name}{percent}", make(percent)

    def _cpu(self, per_mille: int) -> list[Row]:
        """So many of a thousand requests ask for no device."""
        count = len(self._on_devices) * per_mille // (1000 - per_mille)
        return self._on_devices + self._draw.choices(self._of_kind["cpu"], k=count)

    def _shares(self, percent: int) -> list[Row]:
        """So much of what is asked of devices is asked for in shares."""
        whole = self._of_kind["one"] + self._of_kind["multi"]
        wider = [row for row in self._rows("gpushare100") if _kind(row) == "share"]
        total = sum(map(_millis, self._on_devices))
        found = self._drawn(whole, total * (100 - percent) // 100) + self._drawn(wider, total * percent // 100)
        return self._of_kind["cpu"] + found

    def _bound(self, percent: int) -> list[Row]:
        """So many of a hundred requests on devices name the models that they may have."""
        named = [row["gpu_spec"] for row in self._rows("gpuspec25") if row["gpu_spec"]]
        chosen = set(self._draw.sample(range(len(self._on_devices)), len(self._on_devices) * percent // 100))
        return self._of_kind["cpu"] + [
            {**row, "gpu_spec": self._draw.choice(named)} if number in chosen else row
            for number, row in enumerate(self._on_devices)
        ]

    def _many(self, percent: int) -> list[Row]:
        """So much of what is asked of devices is asked for by requests for several."""
        single = self._of_kind["one"] + self._of_kind["share"]
        wanted = sum(map(_millis, single)) * percent // (100 - percent)
        several = [row for row in self._rows("multigpu50") if _kind(row) == "multi"]
        return self._of_kind["cpu"] + single + self._drawn(several, wanted)

    def _drawn(self, rows: list[Row], millis: int) -> list[Row]:
        found: list[Row] = []
        while millis > 0:
            found.append(self._draw.choice(rows))
            millis -= _millis(found[-1])
        return found

    def _rows(self, workload: str) -> list[Row]:
        with (self._folder / f"pods-{workload}.csv").open(newline="") as lines:
            return list(csv.DictReader(lines))


def main() -> int:
    """Writes them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.openb_mixes", description=__doc__)
    parser.add_argument("folder", type=Path, help="with the published pods-*.csv")
    parser.add_argument("into", type=Path, help="a folder for those that are made")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    for name, rows in Mixes(arguments.folder).all():
        with (arguments.into / f"pods-{name}.csv").open("w", newline="") as lines:
            writer = csv.DictWriter(lines, _HEADER, extrasaction="ignore")
            writer.writeheader()
            writer.writerows({**row, "name": f"pod-{number:05d}"} for number, row in enumerate(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
