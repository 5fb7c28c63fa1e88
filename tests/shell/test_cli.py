"""The `headrace` program: usage, lists, documents, refusals. Each time a process of its own."""

import argparse
import asyncio
import json
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headrace.cli.address import controller_address
from headrace.cli.arguments import COMMANDS
from headrace.cli.main import run
from headrace.client_settings import load_client
from headrace.refusals import Code, Refusal
from headrace.v1 import attempt_pb2
from headrace.v1.job_service_pb2 import ListJobsResponse
from headrace.v1.node_service_pb2 import ListNodesResponse
from tests.shell.controller_double import PROGRAM, ROOT, Controller, headrace, job, node

MORE = "2"  # A page token.
NO_JOB = Refusal(Code.NOT_FOUND, "JOB_UNKNOWN", "no job is named pi; headrace jobs lists them")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0

    assert f"example:\n  headrace {name}" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0

    listed = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in listed] == []


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "name a command"),
        (["job"], "JOB"),
        (["jbos"], "did you mean jobs?"),
        (["--verbose", "jobs"], "--verbose"),
        (["jobs", "--limit", "-1"], "--limit"),
        (["find", "--limit", "-1"], "--limit"),
        (["jobs", "-o", "xml"], "json"),
        (["job", ""], "must not be empty"),
        (["cancel", "jobs/"], "must not be empty"),
        (["submit", "f", "--set", "cpu"], "resources.cpu=4"),
        (["events", "--subject", "pi"], "jobs/NAME"),
        (["migrate", "pi", "--to", "a", "--where", "x"], "not allowed with"),
        (["migrate", "pi", "--dry-run", "--wait"], "--wait"),
        (["job", "\udcff"], "is no text in UTF-8"),
        (["jobs", "--where", "\udcff"], "is no text in UTF-8"),
        (["migrate", "a", "--where", "\udcff"], "is no text in UTF-8"),
        (["events", "--subject", "jobs/\udcff"], "is no text in UTF-8"),
        (["drain", "a", "--deadline", "soon"], "10m"),
        (
            ["run", "img", "--wait", "sh", "-c", "echo hi"],
            "headrace run img --wait --controller 127.0.0.1:1 -- sh -c 'echo hi'",
        ),
        (["run", "img", "img", "--wait"], "headrace run img --wait --controller 127.0.0.1:1 -- img"),
        (["run", "img", "--wiat", "--", "sh"], "unrecognized arguments: --wiat"),
        (["run", "img", "--wiat"], "headrace run img --controller 127.0.0.1:1 -- --wiat"),
        (["run", "img", "-c", "x"], "headrace run img --controller 127.0.0.1:1 -- -c x"),
        (["jobs", "all"], "unrecognized arguments: all"),
        (["jobs", "-x"], "unrecognized arguments: -x (headrace jobs --help"),
        (["events", "--since", "-2h"], "'-2h' is no time; write e.g. 2h"),
        (["events", "--subject", "-pi"], "'-pi' is no subject; write jobs/NAME"),
        (["drain", "a", "--deadline", "-1h30m"], "'-1h30m' is no duration; write e.g."),
        (["submit", "f", "--set", "-x"], "'-x' is no setting; write e.g. resources.cpu=4"),
        (["jobs", "-o", "-json"], "table"),
        (["jobs", "--where", "--watch"], "--where: expected one argument"),
        (["job", "-pi"], "-pi is none: what begins with a dash and is no option stands behind --"),
        (["submit", "-pi.yaml"], "-pi.yaml is none: what begins with a dash and is no option stands behind --"),
        (["cancel", "-pi"], "-pi: what begins with a dash and is no option stands behind --"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*argv, *(["--controller", "127.0.0.1:1"] if argv and argv[0] in COMMANDS else [])]) == 2

    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_what_an_option_takes_may_begin_with_a_dash(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    COMMANDS[command].options(parser)
    options = [one for one in parser._actions if one.option_strings and one.nargs is None]

    for option in options:
        run([command, option.option_strings[0], "-2h", "--controller", "-2h", "-o", "-2h"])
        told = capsys.readouterr().err
        assert "expected one argument" not in told, told


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["run", "img", "--name", "-x"], "'-x' is no name"),
        (["run", "img", "--set", "priority=-5"], "-5 is not from 0"),
        (["run", "img", "--set", "-priority=5"], "did you mean priority?"),
        (["submit", "--", "-x.yaml"], "-x.yaml: No such file"),
        (["cancel", "--where", "-x"], "`-x`"),
        (["jobs", "--controller", "-x"], "'-x' is no address"),
        (["--controller", "-x", "jobs"], "'-x' is no address"),
        (["keygen", "--", "-/-"], "-/-: No such file"),
    ],
)
def test_what_begins_with_a_dash_is_refused_by_what_it_is(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 1
    assert complaint in capsys.readouterr().err


async def test_what_a_container_executes_may_begin_with_a_dash(controller: Controller) -> None:
    controller.answer("CreateJob", job("img-1a2b"))

    await headrace("run", "img", "--set", "env.A=-1", "--", "-c", "--", "-x", controller=controller.address)

    sent = controller.requests[0].spec
    assert (list(sent.command), sent.env["A"]) == (["-c", "--", "-x"], "-1")


async def test_jobs_are_listed_under_headings(controller: Controller) -> None:
    waiting = job("mlp-9f", "QUEUED", reason="no node has\nan arm64 processor")
    controller.answer("ListJobs", ListJobsResponse(jobs=[job("pi-1a2b", node="east-1"), waiting]))

    ended = await headrace("jobs", controller=controller.address)

    assert ended.lines == [
        "NAME     STATE    NODE    AGE  MOVES  WHY",
        "pi-1a2b  RUNNING  east-1  -    0      -",
        "mlp-9f   QUEUED   -       -    0      no node has an arm64 processor",
    ]


async def test_where_goes_to_the_controller_as_it_was_written(controller: Controller) -> None:
    controller.answer("ListJobs", ListJobsResponse())

    await headrace("jobs", "--where", 'state == "running"', controller=controller.address)

    assert controller.requests[0].filter == 'state == "running"'


async def test_a_list_has_all_pages(controller: Controller) -> None:
    controller.answer(
        "ListJobs", ListJobsResponse(jobs=[job("a")], next_page_token=MORE), ListJobsResponse(jobs=[job("b")])
    )

    ended = await headrace("jobs", controller=controller.address)

    assert [line.split()[0] for line in ended.lines] == ["NAME", "a", "b"]
    assert controller.requests[1].page_token == MORE


async def test_a_limit_says_that_jobs_were_left_out(controller: Controller) -> None:
    controller.answer("ListJobs", ListJobsResponse(jobs=[job("a"), job("b")], next_page_token=MORE))

    ended = await headrace("jobs", "--limit", "1", controller=controller.address)

    assert len(ended.lines) == 2
    assert "--limit 0" in ended.complaint


@pytest.mark.parametrize(("limit", "asked"), [("1", [2, 1]), ("1500", [1000, 1000]), ("0", [1000, 1000])])
async def test_a_limit_that_all_jobs_are_within_says_nothing_of_others(
    controller: Controller, limit: str, asked: list[int]
) -> None:
    controller.answer("ListJobs", ListJobsResponse(jobs=[job("a")], next_page_token=MORE), ListJobsResponse())

    ended = await headrace("jobs", "--limit", limit, controller=controller.address)

    assert (len(ended.lines), ended.complaint) == (2, "")
    assert [request.page_size for request in controller.requests] == asked


async def test_json_has_the_fields_of_the_protocol(controller: Controller) -> None:
    controller.answer("GetJob", job(epoch=3, outputs=attempt_pb2.Outputs(digest="sha256:aa", file_count=2)))

    ended = await headrace("job", "pi", "-o", "json", controller=controller.address)

    shown = json.loads(ended.out)
    assert (shown["name"], shown["state"], shown["epoch"]) == ("jobs/pi-1a2b", "RUNNING", "3")
    assert shown["outputs"]["fileCount"] == 2
    assert shown["attempts"] == []


async def test_yaml_says_what_json_says(controller: Controller) -> None:
    controller.answer("ListNodes", ListNodesResponse(nodes=[node()]))

    in_json = await headrace("nodes", "-o", "json", controller=controller.address)
    in_yaml = await headrace("nodes", "-o", "yaml", controller=controller.address)

    assert YAML(typ="safe").load(in_yaml.out.decode()) == json.loads(in_json.out)


@pytest.mark.parametrize("written", ["pi", "jobs/pi"])
async def test_a_name_is_passed_on_as_it_was_written(controller: Controller, written: str) -> None:
    controller.answer("GetJob", job())

    await headrace("job", written, controller=controller.address)

    assert controller.requests[0].name == "jobs/pi"


async def test_a_refusal_is_one_line_with_its_reason(controller: Controller) -> None:
    controller.answer("GetJob", NO_JOB)

    ended = await headrace("job", "pi", controller=controller.address)

    assert ended.code == 1
    assert ended.out == b""
    assert ended.complaint == "refused: no job is named pi; headrace jobs lists them [JOB_UNKNOWN]"


async def test_each_mistake_of_a_job_file_has_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("name: pi\nimage: registry.example/pi:1\nnmae: pi\ntasks: 0\n")

    ended = await headrace("submit", str(tmp_path / "job.yaml"), controller="127.0.0.1:1")

    first, second = ended.complaint.splitlines()
    assert ended.code == 1
    assert first.startswith("refused: ")
    assert "job.yaml:3: nmae: unknown key" in first
    assert second.endswith("job.yaml:4: tasks: 0 is not from 1 to 256 [JOB_FILE_INVALID]")


async def test_a_controller_that_does_not_answer_is_a_refusal() -> None:
    ended = await headrace("jobs", controller="127.0.0.1:1")

    assert ended.code == 1
    assert ended.complaint.endswith("[CONTROLLER_UNREACHABLE]")
    assert "127.0.0.1:1" in ended.complaint


@pytest.mark.parametrize("place", [("--controller",), ("jobs", "--controller")])
async def test_an_option_names_the_controller_before_or_after_the_command(
    controller: Controller, place: tuple[str, ...]
) -> None:
    controller.answer("ListJobs", ListJobsResponse())
    rest = () if "jobs" in place else ("jobs",)

    ended = await headrace(*place, controller.address, *rest, controller="127.0.0.1:1")

    assert ended.code == 0


@pytest.mark.parametrize("option", ["", "127.0.0.1:1"])
@pytest.mark.parametrize("variable", ["", "127.0.0.1:2"])
@pytest.mark.parametrize("written", ["", "127.0.0.1:3"])
def test_the_controller_is_where_the_settings_say(tmp_path: Path, option: str, variable: str, written: str) -> None:
    environ = {"HOME": str(tmp_path), "HEADRACE_CONTROLLER": variable}
    if written:
        file = tmp_path / ".config/headrace/config.toml"
        file.parent.mkdir(parents=True)
        file.write_text(f'controller = "{written}"\n')

    assert controller_address(option, environ) == load_client(option, environ).controller


async def test_what_is_no_address_is_refused() -> None:
    ended = await headrace("jobs", "--controller", "nonsense")

    assert ended.code == 1
    assert ended.complaint.endswith("[ADDRESS_INVALID]")


async def test_a_proxy_for_the_web_is_not_asked_for_the_controller(controller: Controller) -> None:
    controller.answer("ListJobs", ListJobsResponse())

    ended = await headrace("jobs", controller=controller.address, http_proxy="http://127.0.0.1:1")

    assert ended.code == 0


@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml"])
async def test_what_a_job_says_does_not_steer_the_terminal(controller: Controller, output: str) -> None:
    controller.answer("ListJobs", ListJobsResponse(jobs=[job(reason="\x1b]0;owned\x07 \x9b31m \x7f")]))

    ended = await headrace("jobs", "-o", output, controller=controller.address)

    assert not set("\x1b\x07\x9b\x7f") & set(ended.out.decode())


async def test_control_characters_in_json_are_still_those_that_were_sent(controller: Controller) -> None:
    controller.answer("ListJobs", ListJobsResponse(jobs=[job(reason="\x9b31m é")]))

    ended = await headrace("jobs", "-o", "json", controller=controller.address)

    assert json.loads(ended.out)["jobs"][0]["reason"] == "\x9b31m é"


async def test_a_terminal_that_lacks_a_character_is_shown_another() -> None:
    ended = await headrace("--help", PYTHONIOENCODING="ascii")

    assert (ended.code, ended.complaint) == (0, "")
    assert b"COMMAND ?" in ended.out


async def test_a_full_disk_behind_standard_output_is_a_refusal() -> None:
    program = shlex.join([*PROGRAM, "version"])
    shell = await asyncio.create_subprocess_shell(
        f"{program} > /dev/full", cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await shell.communicate()

    assert shell.returncode == 1
    assert complaint.decode().strip() == "refused: [Errno 28] No space left on device [ENOSPC]"


async def test_the_version_needs_no_controller() -> None:
    ended = await headrace("version", "-o", "json", controller="127.0.0.1:1")

    assert (ended.code, json.loads(ended.out)["protocol"]) == (0, "headrace.v1")


async def test_the_version_is_an_option_too() -> None:
    as_option, as_command = await headrace("--version"), await headrace("version")

    assert (as_option.code, as_option.out, as_option.complaint) == (0, as_command.out, "")
