"""A service in the background that several commands use."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local import processes, sharing


@dataclass
class Recorded:
    """A service that writes down what is asked of it."""

    folder: Path
    runs: bool = False
    asked: list[str] = field(default_factory=list)
    fails: bool = False

    def answers(self) -> bool:
        return self.runs

    def start(self) -> None:
        self.asked.append("start")
        if self.fails:
            raise TimeoutError
        self.runs = True

    def stop(self) -> None:
        self.asked.append("stop")
        self.runs = False


@pytest.fixture
def service(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "service")


def test_the_first_user_starts_it_after_clearing_what_an_earlier_one_left(service: Recorded) -> None:
    sharing.use(service).release()

    assert service.asked[:2] == ["stop", "start"]


def test_a_second_user_finds_it_running(service: Recorded) -> None:
    with sharing.used(service), sharing.used(service):
        assert service.asked.count("start") == 1


def test_the_last_user_ends_it_and_no_other_does(service: Recorded) -> None:
    first, second = sharing.use(service), sharing.use(service)

    first.release()
    assert service.runs
    second.release()
    assert not service.runs


def test_a_start_that_fails_leaves_nothing_running(service: Recorded) -> None:
    service.fails = True

    with pytest.raises(TimeoutError):
        sharing.use(service)

    assert service.asked[-1] == "stop"


def test_a_process_that_inherits_a_hold_keeps_it_up_until_it_ends(service: Recorded, tmp_path: Path) -> None:
    held = sharing.use(service)
    held.hand_down()
    heir = processes.spawn([sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log")
    os.close(held.descriptor)

    assert not sharing.end_if_unused(service)
    assert service.runs
    heir.kill()
    assert sharing.end_if_unused(service)
    assert not service.runs


def test_what_was_never_started_is_over(tmp_path: Path) -> None:
    assert sharing.end_if_unused(Recorded(tmp_path / "never"))
