"""Projects, from the settings to what users see: against the real controller."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.projects import NOTHING
from headrace.attempts import AttemptState
from headrace.projects import Declared, Quota
from headrace.refusals import Code, Refusal
from tests.shell.controller_double import headrace
from tests.shell.running_controller import SPEC, agent, attempt, controller

PROJECTS = {"physics": Declared(2.0, Quota(unit_millis=1_000), borrows=False), "biology": Declared()}


async def test_a_job_of_a_project_that_is_not_declared_is_refused_with_those_that_are(tmp_path: Path) -> None:
    async with controller(tmp_path, projects=PROJECTS) as running, agent(running, "a") as node:
        await node.say()
        with pytest.raises(Refusal) as refused:
            await running.client.create_job(replace(SPEC, project="physiks"))

    assert (refused.value.code, refused.value.reason) == (Code.INVALID_ARGUMENT, "PROJECT_UNKNOWN")
    assert "physics" in refused.value.message


async def test_live_jobs_of_a_project_that_is_no_longer_declared_are_told_as_the_controller_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(tmp_path, projects=PROJECTS) as running, agent(running, "a") as node:
        await node.say()
        for project in ("physics", "physics", "biology", "default"):
            await running.client.create_job(replace(SPEC, project=project))

    with caplog.at_level(logging.WARNING):
        async with controller(tmp_path, projects={"biology": Declared()}):
            pass
        told = [one.getMessage() for one in caplog.records if "not among the settings" in one.getMessage()]
        caplog.clear()
        async with controller(tmp_path):
            pass

    assert len(told) == 1
    assert told[0].startswith("project physics is not")
    assert "2 of its jobs have not ended" in told[0]
    assert caplog.text == ""


async def test_the_program_shows_what_projects_hold_and_what_they_have_used(tmp_path: Path) -> None:
    async with controller(tmp_path, projects=PROJECTS) as running, agent(running, "a") as node:
        await node.say()
        job = await running.client.create_job(replace(SPEC, project="physics"))
        waits = await running.client.create_job(replace(SPEC, project="physics"))
        placement = await node.takes(job.id)
        await node.say(attempt(placement, AttemptState.RUNNING))
        listed = await headrace("projects", "-o", "wide", controller=running.address)
        used = await headrace("usage", "-o", "json", controller=running.address)
        explained = await headrace("explain", waits.id, controller=running.address)

    rows = [line.split() for line in listed.lines]
    assert [row[0] for row in rows] == ["PROJECT", "biology", "default", "physics"]
    assert rows[3] == ["physics", "2", "1", "units", "1", "1", "1", "0", "1", "no"]
    projects = {one["name"]: one for one in json.loads(used.out)["projects"]}
    assert projects["projects/physics"]["duePercent"] == 50.0
    assert projects["projects/physics"]["held"]["cpuMillis"] == "1000"
    assert "  its project physics does not borrow, and has a quota of 1 units" in explained.lines


async def test_what_a_project_has_used_is_there_after_a_restart(tmp_path: Path) -> None:
    async with controller(tmp_path, projects=PROJECTS) as running, agent(running, "a") as node:
        await node.say()
        job = await running.client.create_job(replace(SPEC, project="physics"))
        await node.say(attempt(await node.takes(job.id), AttemptState.RUNNING))
        book = running.parts.shell.cluster.book
        saved = book.projects.use("physics", book.wall_ms + 3_600_000)
        running.parts.store.commit([saved])

    async with controller(tmp_path, projects=PROJECTS) as running:
        (use,) = running.parts.store.uses()
        projects = running.parts.shell.cluster.book.projects
        assert use == saved
        assert projects.held.get("physics", NOTHING).cpu_millis == 1000
        (found,) = [one for one in await running.client.projects() if one.name == "projects/physics"]

    assert found.use is not None
    assert found.use.unit_seconds >= saved.unit_seconds
