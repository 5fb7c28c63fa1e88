"""The record of a run: what was measured, on what machine, under what load."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import docker

from benchmarks.figures import Row
from deploy.local import places

FOLDER = places.STATE / "bench"


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


def write(
    argv: Sequence[str],
    about: dict[str, Any],
    rows: Sequence[tuple[Row, list[float], list[float]]],
    *,
    module: str = "benchmarks",
) -> Path:
    """Keeps a run, each row with the load before and after it; answers the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / time.strftime("%Y-%m-%dT%H-%M-%SZ.json", time.gmtime())
    measured = [{**_row(row), "load_before": before, "load_after": after} for row, before, after in rows]
    command = " ".join(["python", "-m", module, *argv])
    path.write_text(json.dumps({"command": command, **about, "rows": measured}, indent=1, ensure_ascii=False) + "\n")
    return path


def _row(row: Row) -> dict[str, Any]:
    series = [{**asdict(one), "p50": one.p50, "p99": one.p99} for one in row.series]
    ratios = [{**asdict(one), "reached": one.reached} for one in row.ratios]
    return {"row": row.number, "title": row.title, "series": series, "ratios": ratios, "notes": row.notes}


def _version(engine: str) -> str:
    with closing(docker.APIClient(base_url=engine)) as client:
        return str(client.version()["Version"])


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=places.ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip()
