"""How a vendor's tool is run: in a group of its own, within a deadline, and never twice while one hangs."""

import os
import select
import subprocess

import pytest

from agent.accelerators.tools import Missing, Runner, Tools, Trouble
from tests.contract.machines import Tool

ENDLESS = "exec sleep 600"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    return path


@pytest.fixture
def tool(folder):
    return Tool(folder, "acme-smi")


def runner(root, seconds=60.0, **tools):
    return Runner(Tools(**tools), root, seconds=seconds)


def has_ended(pid):
    """Whether it is over, or about to be."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([process], [], [], 60)
    os.close(process)
    return bool(ready)


def test_what_it_prints_comes_without_what_it_complains_of_and_in_no_language(tmp_path, tool):
    tool.does('echo "$LC_ALL $1 $2"; echo complaint >&2')

    assert runner(tmp_path).output("acme-smi -a 'b c'") == "C -a b c\n"


def test_an_exit_that_says_failure_is_told_with_its_last_words(tmp_path, tool):
    tool.does("echo half; echo 'no driver' >&2; exit 9")

    with pytest.raises(Trouble, match="exit code 9: no driver"):
        runner(tmp_path).output("acme-smi")


def test_a_tool_that_may_not_open_its_devices_comes_with_the_remedy_for_that(tmp_path, tool):
    tool.does("echo 'open /dev/acme0: Permission denied' >&2; exit 1")

    with pytest.raises(Trouble) as trouble:
        runner(tmp_path).output("acme-smi")

    assert "as root" in trouble.value.remedy


def test_a_tool_that_hangs_is_ended_with_all_that_it_started(tmp_path, tool):
    tool.does(f"sleep 600 & echo $! > {tmp_path}/child; {ENDLESS}")
    patient = runner(tmp_path)
    child = tmp_path / "child"
    asked = []

    def clock():
        """It stands still until the tool has started the other one; then the time is over."""
        asked.append(child.exists() and child.read_text().endswith("\n"))
        return 1e9 if asked[-1] and len(asked) > 1 else 0.0

    patient._clock = clock

    with pytest.raises(Trouble, match="no answer within"):
        patient.output("acme-smi")

    assert has_ended(int(child.read_text()))


def test_a_tool_that_leaves_another_process_behind_has_answered_when_it_ends(tmp_path, tool):
    tool.does(f"sleep 600 & echo $! > {tmp_path}/child; echo well")

    assert runner(tmp_path).output("acme-smi") == "well\n"
    assert has_ended(int((tmp_path / "child").read_text()))


def test_a_tool_that_prints_without_end_is_ended(tmp_path, tool):
    tool.does("exec yes")

    with pytest.raises(Trouble):
        runner(tmp_path).output("acme-smi")


def test_while_one_hangs_in_the_kernel_no_second_one_is_begun(tmp_path, tool):
    stuck = subprocess.Popen(["sleep", "600"])
    one = runner(tmp_path)
    one._stuck = stuck
    tool.does("echo well")

    with pytest.raises(Trouble, match="no second one is begun"):
        one.output("acme-smi")
    starts = tool.starts
    stuck.kill()
    stuck.wait()

    assert starts == 0
    assert one.output("acme-smi") == "well\n"


def test_a_tool_that_is_not_there_is_missing_and_said_where_it_was_looked_for(tmp_path, folder):
    assert not any(folder.iterdir())

    with pytest.raises(Missing, match="driver tool missing: acme-smi") as missing:
        runner(tmp_path, places=("/opt/acme*/bin/acme-smi",)).output("acme-smi")

    assert "PATH and /opt/acme*/bin/acme-smi" in missing.value.remedy


def test_a_tool_is_found_in_the_newest_of_its_places_with_its_libraries(tmp_path, folder):
    assert not any(folder.iterdir())
    for version in ("3.1", "4.0"):
        place = tmp_path / f"opt/acme-{version}/bin"
        place.mkdir(parents=True)
        Tool(place, "acme-smi").does(f'echo "{version} $LD_LIBRARY_PATH"')

    text = runner(tmp_path, places=("/opt/acme*/bin/acme-smi",), libraries=("../lib",)).output("acme-smi")

    assert text.split()[0] == "4.0"
    assert text.split()[1].split(":")[0] == f"{tmp_path}/opt/acme-4.0/lib"


def test_a_file_that_cannot_be_run_is_said_so(tmp_path, folder):
    (folder / "acme-smi").write_text("no program")
    (folder / "acme-smi").chmod(0o755)

    with pytest.raises(Trouble, match="cannot be run"):
        runner(tmp_path).output("acme-smi")
