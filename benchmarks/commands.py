"""Row 14: `headrace jobs`, the whole process, against `docker ps`."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import setting as settings
from benchmarks.figures import Measured, Row, of_rounds
from benchmarks.starts import idle_spec

ROUNDS = 40
WARM_UP = 3
JOBS = 10
OURS, THEIRS = "headrace jobs", "docker ps"


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: one after the other. The controller has a few jobs to tell of; a node it needs not."""
    async with settings.daemons(setting) as (address, client):
        for _ in range(JOBS):
            await client.create_job(idle_spec("listed", setting.image()))
        ours = [*_program(), "--controller", address, "jobs"]
        _check(ours)
        theirs = ["docker", "--host", setting.engine, "ps"]
        if shutil.which("docker") is None:
            title = "headrace jobs, whole process; there is no docker CLI on this machine to compare with"
            measured = await asyncio.to_thread(_timed, {OURS: ours})
            return Row(14, title, measured.series(), ())
        measured = await asyncio.to_thread(_timed, {OURS: ours, THEIRS: theirs})
    ratio = of_rounds(f"{OURS} / {THEIRS}", measured[OURS], measured[THEIRS], 8.0)
    return Row(14, f"{OURS} ({JOBS} jobs), whole process, against {THEIRS}", measured.series(), (ratio,))


def _check(ours: list[str]) -> None:
    shown = subprocess.run(ours, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    if shown.count("listed") < JOBS:
        raise RuntimeError(f"{OURS} does not list its {JOBS} jobs: {shown}")


def _timed(commands: dict[str, list[str]]) -> Measured:
    measured = Measured("ms")
    for number in range(WARM_UP + ROUNDS):
        for name, argv in commands.items():
            begun = time.perf_counter()
            # A file takes the output, as a pipe would; nobody has to read it meanwhile.
            with Path(os.devnull).open("wb") as output:
                subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, check=True)
            if number >= WARM_UP:
                measured.add(name, (time.perf_counter() - begun) * 1000)
    return measured


def _program() -> list[str]:
    """The installed program, beside this interpreter; else what it does."""
    installed = Path(sys.executable).with_name("headrace")
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "from headrace.cli.main import main; main()"]
