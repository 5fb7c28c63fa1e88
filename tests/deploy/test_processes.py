"""Background processes, found again by what was recorded of them."""

import os
import sys
from pathlib import Path

import pytest

from deploy.local import processes
from headrace.refusals import Refusal

SLEEP = "import time; time.sleep(60)"
# Each tells through a pipe that it is ready: reading it waits for that.
DEAF = f"""
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").write("deaf")
{SLEEP}
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
open(sys.argv[1], "w").write(str(child.pid))
{SLEEP}
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def spawned(program: str, folder: Path, *arguments: str) -> processes.Process:
    return processes.spawn([sys.executable, "-c", program, *arguments], log=folder / "log")


def test_a_recorded_process_is_found_again_while_it_lives(tmp_path: Path) -> None:
    process = spawned(SLEEP, tmp_path)
    process.record(tmp_path / "pid")

    assert processes.recorded(tmp_path / "pid", tmp_path / "log") == process
    process.kill()
    assert processes.recorded(tmp_path / "pid", tmp_path / "log") is None


def test_another_process_with_the_recorded_id_is_not_taken_for_it(tmp_path: Path) -> None:
    process = spawned(SLEEP, tmp_path)
    (tmp_path / "pid").write_text(f"{process.pid} {process.started - 1}\n")

    found = processes.recorded(tmp_path / "pid", tmp_path / "log")

    process.kill()
    assert found is None


def test_one_that_does_not_listen_is_killed_when_its_grace_is_over(tmp_path: Path, pipe: Path) -> None:
    process = spawned(DEAF, tmp_path, str(pipe))
    assert pipe.read_text() == "deaf"

    process.stop(grace_seconds=0.1)

    assert not process.alive()


def test_one_that_ends_before_it_serves_is_refused_with_its_last_words(tmp_path: Path) -> None:
    process = spawned("print('that port is taken')", tmp_path)

    with pytest.raises(Refusal, match="that port is taken") as refused:
        processes.wait_until(lambda: False, process, seconds=60, reason="SERVICE_FAILED")

    assert refused.value.reason == "SERVICE_FAILED"


def test_killing_by_a_path_ends_what_those_processes_started_too(tmp_path: Path, pipe: Path) -> None:
    process = spawned(PARENT, tmp_path, str(pipe))
    child = int(pipe.read_text())

    processes.kill_all_of(str(pipe))

    assert not process.alive()
    assert processes.started(child) is None
