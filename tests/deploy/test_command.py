"""How commands end: in one line where they cannot go on, and with nothing left where they are broken off."""

import os
import socket
import sys
from pathlib import Path

import pytest

from deploy.local import cluster, command, packages, processes, registry
from headrace.refusals import Code, Refusal

# Tells through a pipe that it is ready, and leaves a mark on its way out.
TIDY = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    open(sys.argv[1], "w").write("ready")
    while True:
        time.sleep(0.05)  # A signal just before a pause would be heard by nobody.
finally:
    pathlib.Path(sys.argv[2]).touch()
"""
COMMAND = f"""
import os, sys
from deploy.local import command, tests
argv = [sys.executable, "-c", {TIDY!r}, *sys.argv[1:]]
sys.exit(command.carried_out(lambda: tests.to_its_end(argv, os.environ)))
"""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves this process's own signals alone."""
    monkeypatch.setattr(command, "ASK_TO_LEAVE", ())


def test_what_a_command_runs_may_tidy_up_before_the_command_leaves(tmp_path: Path) -> None:
    pipe, mark = tmp_path / "pipe", tmp_path / "tidied up"
    os.mkfifo(pipe)
    argv = [sys.executable, "-c", COMMAND, str(pipe), str(mark)]
    process = processes.spawn(argv, log=tmp_path / "log")
    assert pipe.read_text() == "ready"

    process.stop(grace_seconds=60)

    assert mark.exists()


@pytest.mark.usefixtures("here")
def test_a_refusal_is_printed_and_ends_a_command_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> int:
        raise Refusal(Code.NOT_FOUND, "ENGINE_FAILED", "there is none; start one")

    assert command.carried_out(refused) == 1
    assert capsys.readouterr().err == "ENGINE_FAILED: there is none; start one\n"


@pytest.mark.usefixtures("here")
def test_a_command_that_is_interrupted_says_so_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert command.carried_out(interrupted) == 130
    assert len(capsys.readouterr().err.split()) < 10


def test_a_controller_is_not_started_where_somebody_else_listens(tmp_path: Path) -> None:
    address = cluster.free_address()
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))), pytest.raises(Refusal, match="is in use") as refused:
        cluster.start_controller(tmp_path, registry="127.0.0.1:1", address=address)

    assert refused.value.reason == "CONTROLLER_FAILED"


def test_commands_of_the_system_are_found_though_the_path_lacks_their_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    packages.ensure(())

    assert os.environ["PATH"].split(":") == ["/usr/bin", "/bin", *packages.SYSTEM_FOLDERS]


def test_a_registrys_port_that_is_no_number_is_refused_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(registry.PORT_VARIABLE, "all")

    with pytest.raises(Refusal, match=registry.PORT_VARIABLE):
        registry.LocalRegistry(tmp_path)._port()
