"""headrace logs, events, jobs --watch: what comes one after the other, and how it ends."""

import asyncio
import json
import shlex
import signal

import pytest

from headrace.cli import words
from headrace.refusals import Code, Refusal
from headrace.v1 import event_pb2
from headrace.v1.job_service_pb2 import (
    ListEventsResponse,
    ListJobsResponse,
    ReadLogResponse,
)
from tests.shell.controller_double import HANG, PROGRAM, ROOT, Controller, begin, headrace, job

NO_JOB = Refusal(Code.NOT_FOUND, "JOB_UNKNOWN", "no job is named pi; headrace jobs lists them")


async def test_a_log_is_written_byte_by_byte(controller: Controller) -> None:
    controller.answer("ReadLog", [ReadLogResponse(data=b"\xff\x00a"), ReadLogResponse(offset=3, data=b"\r\n")])

    ended = await headrace("logs", "pi", controller=controller.address)

    assert (ended.code, ended.out, ended.error) == (0, b"\xff\x00a\r\n", b"")


async def test_a_log_in_json_has_the_fields_of_the_protocol(controller: Controller) -> None:
    controller.answer("ReadLog", [ReadLogResponse(data=b"\xff\x00a"), ReadLogResponse(offset=3, data=b"b")])

    ended = await headrace("logs", "pi", "-o", "json", controller=controller.address)

    assert list(map(json.loads, ended.lines)) == [{"offset": "0", "data": "/wBh"}, {"offset": "3", "data": "Yg=="}]


async def test_a_log_without_its_beginning_says_so(controller: Controller) -> None:
    controller.answer("ReadLog", [ReadLogResponse(offset=2048, data=b"tail")])

    ended = await headrace("logs", "pi", controller=controller.address)

    assert ended.out == b"tail"
    assert "2.00KiB" in ended.complaint


async def test_a_followed_log_goes_on_where_it_was_when_the_controller_came_back(controller: Controller) -> None:
    controller.answer("ReadLog", [ReadLogResponse(data=b"one "), HANG], [ReadLogResponse(offset=4, data=b"two")])
    process = await begin("logs", "pi", "-f", controller=controller.address)
    assert process.stdout is not None
    assert await process.stdout.readexactly(4) == b"one "

    await controller.stop()
    await controller.start()

    assert await process.stdout.read() == b"two"
    assert await process.wait() == 0
    assert controller.requests[-1].offset == 4


async def test_events_are_shown_oldest_first(controller: Controller) -> None:
    controller.answer("ListEvents", ListEventsResponse(events=[event(1), event(2)]))

    ended = await headrace("events", "--subject", "jobs/pi", controller=controller.address)

    assert ended.lines[1] == "1970-01-01 00:00:01  jobs/pi-1a2b  JOB_PLACED  placed on east-1"
    assert controller.requests[0].subject == "jobs/pi"


async def test_of_more_events_than_wanted_the_newest_are_shown_and_the_rest_is_told_of(controller: Controller) -> None:
    controller.answer("ListEvents", ListEventsResponse(events=[event(2), event(3), event(4)]))

    ended = await headrace("events", "--limit", "2", "-o", "json", controller=controller.address)

    assert [one["sequence"] for one in json.loads(ended.out)["events"]] == ["3", "4"]
    assert ended.complaint == "older events are left out; --limit 0 shows all, not only 2"
    assert controller.requests[0].newest_count == 3


@pytest.mark.parametrize(("written", "seconds"), [("1970-01-01T01:00:07+01:00", 7), ("1970-01-01 00:01", 60)])
async def test_events_are_asked_for_from_a_time_on(controller: Controller, written: str, seconds: int) -> None:
    controller.answer("ListEvents", ListEventsResponse())

    await headrace("events", "--since", written, controller=controller.address)

    assert controller.requests[0].since.seconds == seconds


async def test_events_are_asked_for_by_how_long_ago_they_were(controller: Controller) -> None:
    controller.answer("ListEvents", ListEventsResponse())
    before = words.now_ms()

    await headrace("events", "--since", "2h", "--limit", "0", controller=controller.address)

    assert before - 7_200_000 <= words.millis_of(controller.requests[0].since) <= words.now_ms() - 7_200_000
    assert controller.requests[0].newest_count == 0


@pytest.mark.parametrize("option", [("--since", "yesterday"), ("--limit", "-1"), ("--limit", "9999999999")])
async def test_a_window_that_is_none_is_wrong_usage(controller: Controller, option: tuple[str, str]) -> None:
    ended = await headrace("events", *option, controller=controller.address)

    assert ended.code == 2
    assert option[0] in ended.complaint


async def test_followed_events_go_on_after_the_last_one_seen(controller: Controller) -> None:
    controller.answer("WatchEvents", [event(7), HANG], [event(8), Refusal(Code.NOT_FOUND, "ENOUGH", "enough")])
    process = await begin("events", "-f", "--limit", "5", "-o", "json", controller=controller.address)
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["sequence"] == "7"

    await controller.stop()
    await controller.start()

    assert json.loads(await process.stdout.readline())["sequence"] == "8"
    assert await process.wait() == 1
    assert [one.newest_count for one in controller.requests] == [5, 0]
    assert controller.requests[-1].after_sequence == 7


async def test_watched_jobs_are_told_of_when_they_change(controller: Controller) -> None:
    same = ListJobsResponse(jobs=[job("a"), job("b", node="east-1")])
    controller.answer("ListJobs", same, same, ListJobsResponse(jobs=[job("a", "SUCCEEDED")]), NO_JOB)

    ended = await headrace("jobs", "--watch", controller=controller.address)

    assert ended.lines == ["a RUNNING (epoch 0)", "b RUNNING on east-1 (epoch 0)", "a SUCCEEDED (epoch 0)"]


async def test_ctrl_c_ends_quietly_with_130(controller: Controller) -> None:
    controller.answer("WatchEvents", [event(1), HANG])
    process = await begin("events", "-f", controller=controller.address)
    assert process.stdout is not None
    await process.stdout.readline()

    process.send_signal(signal.SIGINT)

    _, error = await process.communicate()
    assert (process.returncode, error) == (130, b"")


async def test_a_reader_that_left_is_no_reason_to_complain(controller: Controller) -> None:
    controller.answer("ReadLog", [ReadLogResponse(offset=n << 20, data=bytes(1 << 20)) for n in range(8)])
    process = await begin("logs", "pi", controller=controller.address)
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readexactly(1)

    process.stdout._transport.close()

    assert await process.stderr.read() == b""
    assert await process.wait() == 141


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
@pytest.mark.parametrize("command", ["logs pi", "jobs", "job pi -o json", "logs pi -o yaml", "version", "jobs --help"])
async def test_where_standard_output_is_closed_the_same_is_done_in_silence(
    controller: Controller, command: str, closed: str
) -> None:
    controller.answer("ReadLog", [ReadLogResponse(data=b"\xff")])
    controller.answer("ListJobs", ListJobsResponse(jobs=[job()]))
    controller.answer("GetJob", job())
    environment = {"PATH": "/usr/bin:/bin", "HEADRACE_CONTROLLER": controller.address}

    shell = await asyncio.create_subprocess_shell(
        f"{shlex.join(PROGRAM)} {command} {closed}", cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await shell.communicate()

    assert (shell.returncode, complaint) == (0, b"")


def event(sequence: int) -> event_pb2.Event:
    told = event_pb2.Event(sequence=sequence, subject="jobs/pi-1a2b", reason="JOB_PLACED", message="placed on east-1")
    told.create_time.seconds = sequence
    return told
