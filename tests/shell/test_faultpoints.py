"""Fault points: nothing happens at one without a word, and with one, at the right time."""

import os
import signal
import subprocess
import sys

import pytest

from headrace import faultpoints
from headrace.faultpoints import VARIABLE, fault_of, reached
from headrace.refusals import Refusal

POINT = "agent.journal.written"
DAEMONS = ("agent", "controller")

COMES_TO_POINTS = """
import os
from headrace import faultpoints
faultpoints.arm(os.environ.get(faultpoints.VARIABLE, ""))
faultpoints.reached("agent.journal.writing", "one")
faultpoints.reached("agent.journal.written", "one")
faultpoints.reached("agent.journal.written", "one", "two")
print("came through")
"""


@pytest.mark.parametrize(
    ("written", "ends"),
    [
        ("", 0),
        (POINT, -signal.SIGKILL),
        (f"{POINT} two", -signal.SIGKILL),
        (f"{POINT} tw", 0),
        (f"{POINT} one two", 0),
        (f"{POINT} one times=2", -signal.SIGKILL),
        (f"{POINT} times=3", 0),
        ("agent.collected", 0),
    ],
)
def test_a_program_ends_at_the_point_that_it_was_told_and_there_alone(written: str, ends: int) -> None:
    environment = {**os.environ, VARIABLE: written}
    done = subprocess.run([sys.executable, "-c", COMES_TO_POINTS], env=environment, capture_output=True, check=False)

    assert done.returncode == ends
    assert (b"came through" in done.stdout) is (ends == 0)


def test_without_a_word_a_point_looks_at_nothing() -> None:
    class Unseen:
        def __repr__(self) -> str:
            raise AssertionError

    faultpoints.arm("")

    reached(POINT, Unseen())


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_that_is_told_of_a_point_that_is_not_there_does_not_start(daemon: str) -> None:
    environment = {**os.environ, VARIABLE: "agent.nowhere"}
    argv = [sys.executable, "-m", f"{daemon}.main"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert "there is no point agent.nowhere" in done.stderr


def test_a_fault_may_hold_a_program_still_in_the_place_of_ending_it() -> None:
    assert fault_of(f"{POINT} AttemptState.STARTING hold").hold
    assert fault_of(f"{POINT} AttemptState.STARTING hold").words == ("AttemptState.STARTING",)


def test_a_fault_of_a_point_that_is_not_listed_is_refused() -> None:
    with pytest.raises(Refusal, match=r"headrace/faultpoints\.py lists them"):
        fault_of("agent.nowhere")
