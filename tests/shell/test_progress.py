"""Laws of progress files: two numbers are believed, and nothing else that a job may put there."""

import os
from pathlib import Path

import pytest

from agent.core import transitions
from agent.core.attempts import Progress
from agent.core.model import Held
from agent.core.steps import Progressed
from agent.progress import ProgressFiles, parse
from agent.runtimes.runtime import Ref
from headrace import wire
from headrace.attempts import Attempt, AttemptState, Steps
from headrace.sessions import Placement
from headrace.v1.attempt_pb2 import Attempt as Message
from tests.core.small_world import AMD64, PINS, spec

REF = Ref("train-1", 0, 1)


@pytest.mark.parametrize(("text", "found"), [("7", (7, None)), ("7 100", (7, 100)), ("100\t100\n", (100, 100))])
def test_steps_done_and_all_of_them_are_read(text: str, found: tuple[int, int | None]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize("text", ["", "-1", "1.5", "8 7", "1 2 3", "abc", "\u0663", "9" * 40, "7 " + "9" * 40])
def test_what_is_no_progress_is_none(text: str) -> None:
    assert parse(text) is None


def test_steps_are_timed_from_when_the_file_was_first_read(tmp_path: Path) -> None:
    files, file = ProgressFiles(), tmp_path / "steps"
    file.write_text("100 1000")
    first = files.read(REF, file, now_ms=5_000)
    file.write_text("400 1000")

    assert first == Steps(100, 1000, 0, 0)
    assert files.read(REF, file, now_ms=35_000) == Steps(400, 1000, 300, 30_000)


def test_a_job_that_counts_anew_is_timed_anew(tmp_path: Path) -> None:
    files, file = ProgressFiles(), tmp_path / "steps"
    for text, now_ms in (("100", 0), ("5", 30_000), ("25", 60_000)):
        file.write_text(text)
        found = files.read(REF, file, now_ms=now_ms)

    assert found == Steps(25, None, 20, 30_000)


def test_links_fifos_and_folders_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("7 100")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "fifo")

    for name in ("link", "fifo", ".", "none"):
        assert ProgressFiles().read(REF, tmp_path / name, now_ms=0) is None


def test_an_attempt_that_runs_carries_its_steps_and_one_that_is_over_keeps_the_last() -> None:
    steps, later = Steps(400, 1000, 300, 30_000), Steps(500, 1000, 400, 60_000)
    running = Attempt("train-1", 1, state=AttemptState.RUNNING)
    placement = Placement("train-1", 1, spec(), PINS[0].image, AMD64)

    told = transitions.heard(Held(placement, running), Progressed(REF, steps), Progress())
    over = Held(placement, Attempt("train-1", 1, state=AttemptState.SAVING, steps=steps))

    assert told.attempt.steps == steps
    assert transitions.heard(over, Progressed(REF, later), Progress()) == over


def test_steps_come_through_the_wire_as_they_were() -> None:
    for steps in (None, Steps(7), Steps(400, 1000, 300, 30_000)):
        attempt = Attempt("train-1", 1, steps=steps)
        assert wire.load(Attempt, Message.FromString(wire.dump(attempt).SerializeToString())) == attempt
