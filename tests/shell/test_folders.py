"""Where an attempt's files are: never outside of the agent's state folder, and not left behind."""

import logging
from pathlib import Path

import pytest

from agent.folders import Folders, sweep
from agent.runtimes.runtime import Ref
from headrace.refusals import Refusal
from tests.core.one_agent import placement
from tests.core.small_world import FIRST, SECOND
from tests.small_disk import mounted


@pytest.mark.parametrize("job", ["../../x", "/etc", "", ".", "Train", "a" * 201])
def test_an_id_that_no_job_has_leads_nowhere(tmp_path: Path, job: str) -> None:
    with pytest.raises(Refusal, match="an id has small letters"):
        Folders(tmp_path, Ref(job, 0, 1))


def test_what_cannot_be_deleted_is_logged_and_the_rest_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = Folders(tmp_path, FIRST)
    folders.make(placement())
    with mounted(folders.checkpoint, 1 << 20), caplog.at_level(logging.WARNING):
        folders.remove()

    assert str(folders.path) in caplog.text
    assert not folders.control.exists()


def test_an_attempt_begins_in_no_folder_that_holds_what_another_left(tmp_path: Path) -> None:
    folders = Folders(tmp_path, FIRST)
    folders.make(placement())
    with mounted(folders.checkpoint, 1 << 20), pytest.raises(OSError, match="busy"):
        folders.make(placement())


def test_an_agent_that_starts_deletes_the_folders_of_attempts_that_it_does_not_hold(tmp_path: Path) -> None:
    held, left = Folders(tmp_path, SECOND), Folders(tmp_path, FIRST)
    for folders in (held, left):
        folders.make(placement())

    sweep(tmp_path, [SECOND])

    assert held.control.is_dir()
    assert not left.path.exists()


def test_an_agent_without_a_single_attempt_yet_has_nothing_to_delete(tmp_path: Path) -> None:
    sweep(tmp_path, [])
