"""Laws of tidying up the checkpoint store of a controller that serves: what is still needed stays."""

import asyncio
import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agent.checkpoints import Checkpoints
from controller.core.model import Reported
from controller.daemon import YOUNG_SECONDS, assemble, tidy_up
from headrace.attempts import AttemptState, Checkpoint
from headrace.chunks import compressed, digest_of
from headrace.jobs import CheckpointPolicy, JobState, Partition
from headrace.refusals import Code, Refusal
from headrace.sessions import Placement
from headrace.settings import ControllerSettings
from tests.shell.running_controller import SPEC, HandWritten, Running, agent, attempt, controller

SAVES = replace(SPEC, checkpoint=CheckpointPolicy("/checkpoint"), lost_after_ms=60_000)


async def placed(running: Running, node: HandWritten, **changes: object) -> Placement:
    """A job of the only node there is."""
    await node.say()
    job = await running.client.create_job(replace(SAVES, **changes))  # type: ignore[arg-type]
    return await node.takes(job.id)


async def saved(running: Running, folder: Path, placement: Placement, text: str = "one") -> Checkpoint:
    """A checkpoint that the job's agent has put, and has not reported."""
    checkpoints = Checkpoints(running.client._connection.checkpoints, folder / "cache")
    directory = folder / "checkpoint"
    directory.mkdir(exist_ok=True)
    (directory / "state").write_text(text)
    checkpoint = await checkpoints.save(directory, job=placement.job, epoch=placement.epoch, sequence=1)
    assert checkpoint is not None
    return checkpoint


def aged(state: Path, seconds: float) -> None:
    """Makes all that is in the checkpoint store so much older."""
    for path in (state / "checkpoints").rglob("*"):
        if path.is_file():
            before = path.stat().st_mtime
            os.utime(path, (before - seconds, before - seconds))


def has(running: Running, checkpoint: Checkpoint) -> bool:
    try:
        running.parts.checkpoints.get_manifest(checkpoint.digest)
    except Refusal:
        return False
    return True


async def test_what_an_agent_has_put_and_cannot_report_yet_is_not_swept(tmp_path: Path) -> None:
    async with controller(tmp_path / "state") as running, agent(running) as node:
        checkpoint = await saved(running, tmp_path, await placed(running, node))
        aged(tmp_path / "state", YOUNG_SECONDS + 1)

        await tidy_up(running.parts)

        assert has(running, checkpoint)


async def test_what_nobody_needs_any_more_is_swept(tmp_path: Path) -> None:
    async with controller(tmp_path / "state") as running, agent(running) as node:
        placement = await placed(running, node)
        checkpoint = await saved(running, tmp_path, placement)
        await node.say(attempt(placement, AttemptState.EXITED, exit_code=0))
        await tidy_up(running.parts)
        aged(tmp_path / "state", YOUNG_SECONDS + 1)

        await tidy_up(running.parts)

        assert not has(running, checkpoint)


async def test_what_was_put_before_a_restart_is_kept_for_as_long_as_its_node_may_be_silent(tmp_path: Path) -> None:
    day_ms = 86_400_000
    async with controller(tmp_path / "state") as running, agent(running) as node:
        checkpoint = await saved(running, tmp_path, await placed(running, node, lost_after_ms=day_ms))
    aged(tmp_path / "state", YOUNG_SECONDS + 1)

    async with controller(tmp_path / "state") as again:
        await tidy_up(again.parts)

        assert has(again, checkpoint)


async def test_what_was_put_before_a_restart_is_kept_until_its_node_has_reported(tmp_path: Path) -> None:
    async with controller(tmp_path / "state") as running, agent(running) as node:
        checkpoint = await saved(running, tmp_path, await placed(running, node, partition=Partition.KEEP))
    aged(tmp_path / "state", YOUNG_SECONDS + 1)

    async with controller(tmp_path / "state") as again:
        await tidy_up(again.parts)

        assert has(again, checkpoint)


async def test_nothing_is_swept_while_records_wait_to_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with controller(tmp_path / "state") as running, agent(running) as node:
        placement = await placed(running, node)
        checkpoint = await saved(running, tmp_path, placement)
        tried = threading.Event()

        def no_room(_records: object) -> None:
            tried.set()
            raise Refusal(Code.RESOURCE_EXHAUSTED, "STORE_FULL", "there is no room left")

        monkeypatch.setattr(running.parts.store, "commit", no_room)
        left = attempt(placement, AttemptState.EXITED, exit_code=85, stop_requested=True, checkpoint=checkpoint)
        running.parts.shell.tell(Reported(replace(node.report, sequence=1_000, attempts=(left,))))
        assert await asyncio.to_thread(tried.wait, 10)
        aged(tmp_path / "state", YOUNG_SECONDS + 1)

        await tidy_up(running.parts)
        await tidy_up(running.parts)

        assert has(running, checkpoint)


async def test_a_manifest_that_cannot_be_read_deletes_nothing_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controller(tmp_path / "state") as running, agent(running) as node:
        placement = await placed(running, node)
        first = await saved(running, tmp_path, placement)
        await node.say(attempt(placement, checkpoint=first))
        rotten = tmp_path / "state" / "checkpoints" / "manifests" / first.digest[7:9] / first.digest[7:]
        rotten.write_bytes(b"rot")
        running.parts.checkpoints.put_chunk(*_chunk(b"of nobody"))
        aged(tmp_path / "state", YOUNG_SECONDS + 1)

        with caplog.at_level(logging.ERROR):
            await tidy_up(running.parts)

        assert "old checkpoints cannot be deleted" in caplog.text
        assert running.parts.checkpoints.missing([_chunk(b"of nobody")[0]]) == []
        assert (await running.client.job(f"jobs/{placement.job}")).state is JobState.RUNNING


def _chunk(plain: bytes) -> tuple[str, bytes]:
    return digest_of(plain), compressed(plain)


@pytest.mark.parametrize("setting", ["state", "checkpoints"])
def test_a_folder_that_cannot_be_made_is_refused_by_the_name_of_its_setting(tmp_path: Path, setting: str) -> None:
    (tmp_path / "file").touch()
    folders = {"state": tmp_path / "state", "checkpoints": tmp_path / "checkpoints"}
    folders[setting] = tmp_path / "file" / "folder"

    with pytest.raises(Refusal, match=rf"^setting {setting}: .*Not a directory") as refused:
        assemble(ControllerSettings(**folders))  # type: ignore[arg-type]

    assert refused.value.reason == "FOLDER_UNUSABLE"
