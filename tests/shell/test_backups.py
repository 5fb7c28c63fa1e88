"""A copy of the store that is made while the controller runs, as docs/backups.md says, is a store to go on with."""

import shutil
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.shell.running_controller import SPEC, agent, controller

LARGE = replace(SPEC, env={"TEXT": "x" * 1000})


def by_backup(file: Path, copy: Path) -> None:
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("the program sqlite3 is not here")
    subprocess.run([program, str(file), f".backup '{copy}'"], check=True)


def by_vacuum(file: Path, copy: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()


@pytest.mark.parametrize("copied", [by_backup, by_vacuum])
async def test_a_copy_that_is_made_while_the_controller_runs_has_all_that_was_answered_before(
    tmp_path: Path, copied: object
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    async with controller(tmp_path / "state") as running, agent(running, "a") as node:
        await node.say()
        before = [(await running.client.create_job(LARGE)).id for _ in range(20)]
        cluster = running.parts.store.cluster
        assert callable(copied)
        copied(tmp_path / "state" / "controller.db", copy / "controller.db")
        await running.client.create_job(LARGE)

    async with controller(copy) as running:
        assert running.parts.store.cluster == cluster
        assert sorted([job.id async for job in running.client.jobs()]) == sorted(before)
