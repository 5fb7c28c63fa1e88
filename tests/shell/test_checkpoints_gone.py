"""A controller that is started while the disk with its checkpoints is not there: it fails no job for that."""

import shutil
from pathlib import Path

import pytest

from controller.daemon import assemble
from headrace.refusals import Refusal
from headrace.settings import ControllerSettings
from tests.contract.store_suite import job


def settings(folder: Path, *, checkpoint: str) -> ControllerSettings:
    """Those of a controller that has run before, with a job that has this checkpoint."""
    found = ControllerSettings(state=folder / "state", checkpoints=folder / "disk")
    parts = assemble(found)
    parts.store.commit([job("train", checkpoint=checkpoint)])
    parts.store.close()
    return found


def test_a_controller_whose_jobs_have_checkpoints_does_not_start_without_their_disk(tmp_path: Path) -> None:
    found = settings(tmp_path, checkpoint="sha256:" + "a" * 64)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    (tmp_path / "disk").mkdir()

    with pytest.raises(Refusal, match=r"1 jobs have theirs there, jobs/train first; mount its disk") as refused:
        assemble(found)

    assert refused.value.reason == "CHECKPOINTS_GONE"
    assert list((tmp_path / "disk").iterdir()) == []
    (tmp_path / "disk").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    assemble(found).store.close()


def test_where_checkpoints_are_lost_for_good_an_operator_says_so_by_a_folder(tmp_path: Path) -> None:
    found = settings(tmp_path, checkpoint="sha256:" + "a" * 64)
    shutil.rmtree(tmp_path / "disk")
    (tmp_path / "disk" / "manifests").mkdir(parents=True)

    assemble(found).store.close()


def test_where_no_job_has_a_checkpoint_a_new_folder_is_made(tmp_path: Path) -> None:
    found = settings(tmp_path, checkpoint="")
    shutil.rmtree(tmp_path / "disk")

    assemble(found).store.close()
