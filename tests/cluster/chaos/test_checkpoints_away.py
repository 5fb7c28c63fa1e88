"""The disk with the checkpoints is away for a time: what jobs leave waits for it, and nothing of it is lost."""

import pytest

from headrace.attempts import AttemptState
from headrace.jobs import MigrationState
from tests.cluster.chaos.waiting import begun, ended, may_end, waiting
from tests.cluster.observer import Observer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

AGENTS = ("one", "two", "three")


async def test_what_jobs_leave_while_the_checkpoints_disk_is_away_waits_for_it(eyes: Observer) -> None:
    moving = await begun(eyes, "one")
    folder = eyes.world.folder / "controller" / "state" / "checkpoints"
    folder.rename(folder.with_name("away"))
    ending = await eyes.client.create_job(waiting(eyes, "two", "echo whole > /output/result"))
    waits = await eyes.until(
        ending,
        lambda now: now.attempt is not None and "see whether its disk is mounted" in now.attempt.message,
        "waits for the disk",
    )
    refused = await eyes.moved(moving, "two")
    folder.with_name("away").rename(folder)
    # The job keeps away from a node to which it could not be brought, for a minute.
    move = await eyes.moved(moving, "three")
    may_end(eyes, moving, epoch=2)

    assert waits.attempt is not None
    assert (waits.attempt.state, waits.attempt.exit_code) == (AttemptState.SAVING, 0)
    assert (refused.state, move.state) == (MigrationState.ABORTED, MigrationState.SUCCEEDED)
    assert "see whether its disk is mounted" in refused.reason
    assert await ended(eyes, ending) == "whole\n"
    assert await ended(eyes, moving) == "ended in epoch 2\n"
