"""The record of a run: what was measured, on what machine, under what load."""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import docker

from benchmarks import figures, history
from benchmarks.figures import Row
from benchmarks.history import Entry, Run
from deploy.local import places

FOLDER = places.STATE / "bench"
_PUBLISHED = history.PUBLISHED.relative_to(places.ROOT)
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(slots=True)
class Record:
    """A run of `python -m MODULE`. Each row is in the history as soon as it is measured.

    `engine` is the address of the engine that is used, empty where none is. With `publish`, figures are written into
    the history that is committed, too.
    """

    module: str
    argv: Sequence[str]
    engine: str = ""
    publish: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    missed: bool = False

    def add(self, row: Row, before: list[float], *, part: str) -> None:
        """Keeps a row and shows it; `before` are the loads before it, `part` what the history calls it."""
        after = load()
        self.rows.append({**_row(row), "load_before": before, "load_after": after})
        self.missed = self.missed or row.missed
        self.runs.append(run(command(self.module, self.argv), before[0], after[0]))
        keep(list(history.entries(self.runs[-1], row, part=part)), publish=self.publish)
        print("\n".join(["", *figures.lines(row), f"load {before[0]} before, {after[0]} after"]), flush=True)

    def write(self) -> Path:
        """Writes all measurements, each by itself, into a file of their own; answers it."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / time.strftime("%Y-%m-%dT%H-%M-%SZ.json", time.gmtime())
        told = {"command": command(self.module, self.argv), **machine(self.engine), "rows": self.rows}
        path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        return path


def add_publish(parser: argparse.ArgumentParser) -> None:
    """The option that all benchmarks have."""
    parser.add_argument("--publish", action="store_true", help=f"keep the figures in {_PUBLISHED} as well")


def keep(found: Sequence[Entry], *, publish: bool) -> None:
    """Adds to the history, and with `publish` to that which is committed."""
    history.append(history.LOCAL, found)
    if publish:
        history.append(history.PUBLISHED, found)


def run(told: str, before: float | None, after: float | None, *, at: float | None = None) -> Run:
    """A run of this commit on this machine, now or at that time (seconds of the epoch)."""
    stamp = time.strftime(TIME, time.gmtime(at))
    return Run(stamp, _commit(), told, os.cpu_count() or 0, platform.machine(), before, after)


def command(module: str, argv: Sequence[str]) -> str:
    """The command as it is kept: of files the names alone, for where they lie is one machine's."""
    return " ".join(["python", "-m", module, *(part.rpartition("/")[2] for part in argv)])


def machine(engine: str) -> dict[str, Any]:
    """What it ran on; `engine` is empty where none was used."""
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        "engine": _version(engine) if engine else "",
        "commit": _commit(),
    }


def load() -> list[float]:
    """The load averages of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def _row(row: Row) -> dict[str, Any]:
    series = [{**asdict(one), "p50": one.p50, "p99": one.p99} for one in row.series]
    ratios = [{**asdict(one), "reached": one.reached} for one in row.ratios]
    curves = [{**asdict(one), "exponent": one.exponent} for one in row.curves]
    about = {"row": row.number, "title": row.title, "notes": row.notes}
    return {**about, "series": series, "ratios": ratios, "curves": curves}


def _version(engine: str) -> str:
    with closing(docker.APIClient(base_url=engine)) as client:
        return str(client.version()["Version"])


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=places.ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip()
