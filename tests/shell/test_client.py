"""The client for users' programs, against a controller whose answers are written down."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from headrace import wire
from headrace.attempts import Outputs
from headrace.chunks import CHUNK_BYTES, compressed, digest_of
from headrace.client import Client
from headrace.connection import Connection, messages_of
from headrace.events import Event
from headrace.jobs import Job, JobSpec, JobState, Level, MigrationPlan
from headrace.manifests import Directory, File, Link, Manifest, dump, manifest_of, outputs_digest
from headrace.nodes import Drain, Node, NodeState
from headrace.refusals import Code, Refusal
from headrace.v1.checkpoint_service_pb2 import (
    Chunk,
    DownloadChunksRequest,
    DownloadChunksResponse,
    GetManifestResponse,
)
from headrace.v1.job_service_pb2 import (
    ListEventsResponse,
    ListJobsResponse,
    MigrateJobResponse,
    ReadLogResponse,
    WatchJobRequest,
)
from headrace.v1.node_service_pb2 import ListNodesResponse
from tests.shell.controller_double import HANG, Controller, headrace, job, node

SPEC = JobSpec("pi", "registry.example/pi:1", command=("python", "pi.py"))
MORE = "2"  # A page token.
CONTENTS = {"model/weights": os.urandom(CHUNK_BYTES) + b"end", "model/copy": b"end", "empty": b""}


@pytest.fixture
async def client(controller: Controller) -> AsyncIterator[Client]:
    async with Client(controller.address) as opened:
        yield opened


async def test_a_submitted_job_is_a_record(controller: Controller, client: Client) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    created = await client.create_job(SPEC)

    assert (created.id, created.state) == ("pi-1a2b", JobState.QUEUED)
    assert wire.load(JobSpec, controller.requests[0].spec) == SPEC


async def test_each_submission_has_a_request_id_of_its_own_unless_one_is_given(
    controller: Controller, client: Client
) -> None:
    controller.answer("CreateJob", job(state="QUEUED"))

    for request_id in ("", "", "mine"):
        await client.create_job(SPEC, request_id=request_id)

    first, second, third = (request.request_id for request in controller.requests)
    assert first
    assert second not in ("", first)
    assert third == "mine"


async def test_a_submission_that_found_no_answer_is_sent_again_as_the_same_one(
    controller: Controller, client: Client
) -> None:
    busy = Refusal(Code.UNAVAILABLE, "STARTING", "the controller is starting; ask again")
    controller.answer("CreateJob", busy, busy, job(state="QUEUED"))

    await client.create_job(SPEC)

    assert len({request.request_id for request in controller.requests}) == 1
    assert len(controller.requests) == 3


async def test_a_checked_job_is_not_created(controller: Controller, client: Client) -> None:
    controller.answer("CreateJob", job())

    await client.check_job(SPEC)

    assert controller.requests[0].validate_only


async def test_what_is_refused_is_raised_with_its_reason(controller: Controller, client: Client) -> None:
    refusal = Refusal(Code.NOT_FOUND, "JOB_UNKNOWN", "no job is named pi; headrace jobs lists them", job="pi")
    controller.answer("GetJob", refusal)

    with pytest.raises(Refusal) as raised:
        await client.job("pi")

    assert raised.value == refusal


async def test_a_controller_that_never_answered_is_not_waited_for() -> None:
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(Refusal, match=r"127\.0\.0\.1:1") as raised:
            async for _ in client.watch_job("pi"):
                pass

    assert raised.value.reason == "CONTROLLER_UNREACHABLE"


async def test_lists_have_all_pages(controller: Controller, client: Client) -> None:
    controller.answer(
        "ListJobs", ListJobsResponse(jobs=[job("a")], next_page_token=MORE), ListJobsResponse(jobs=[job("b")])
    )
    controller.answer("ListNodes", ListNodesResponse(nodes=[node("x")]))
    controller.answer("ListEvents", ListEventsResponse(events=[wire.dump(Event("jobs/a", "JOB_PLACED", "placed"))]))

    assert [job.id async for job in client.jobs()] == ["a", "b"]
    assert [node.state async for node in client.nodes()] == [NodeState.READY]
    assert [event.reason async for event in client.events("jobs/a")] == ["JOB_PLACED"]


async def test_a_job_is_watched_over_a_restart_of_the_controller(controller: Controller, client: Client) -> None:
    controller.answer("WatchJob", [job(), HANG], [job(state="SUCCEEDED")])
    seen: list[Job] = []

    async for change in client.watch_job("pi"):
        seen.append(change)
        if len(seen) == 1:
            await controller.stop()
            await controller.start()

    assert [change.state for change in seen] == [JobState.RUNNING, JobState.SUCCEEDED]
    assert controller.requests[-1].name == "jobs/pi-1a2b"


async def test_a_controller_that_stays_away_is_given_up(controller: Controller) -> None:
    controller.answer("WatchNodes", [node(), HANG])

    async with Client(controller.address, patience_seconds=0.2) as client:
        watch = client.watch_nodes()
        await anext(watch)
        await controller.stop()
        with pytest.raises(Refusal) as raised:
            await anext(watch)

    assert raised.value.reason == "CONTROLLER_UNREACHABLE"


async def test_a_watch_that_was_too_slow_is_begun_anew(controller: Controller, client: Client) -> None:
    too_slow = Refusal(Code.UNAVAILABLE, "WATCH_TOO_SLOW", "this watch fell too far behind; watch again")
    controller.answer("WatchJob", [job(), too_slow], [job(state="SUCCEEDED")])

    assert [change.state async for change in client.watch_job("pi")] == [JobState.RUNNING, JobState.SUCCEEDED]


async def test_a_watch_that_is_left_and_closed_has_ended_its_call(controller: Controller) -> None:
    controller.answer("WatchJob", [job(), HANG])

    async with Connection(controller.address) as connection:
        call = connection.jobs.WatchJob(WatchJobRequest(name="jobs/pi"))
        async with aclosing(connection.stream(lambda: messages_of(call))) as watch:
            await anext(watch)
        assert call.cancelled()


async def test_waiting_answers_with_the_ended_job(controller: Controller, client: Client) -> None:
    controller.answer("WatchJob", [job(), job(state="FAILED", reason="exit code 3")])

    ended = await client.wait("pi")

    assert (ended.state, ended.reason) == (JobState.FAILED, "exit code 3")


async def test_a_watch_that_ends_before_the_job_is_no_end_of_the_job(controller: Controller, client: Client) -> None:
    controller.answer("WatchJob", [job()])

    with pytest.raises(Refusal) as raised:
        await client.wait("pi")

    assert raised.value.reason == "WATCH_ENDED"


async def test_a_log_is_read_from_where_it_is_wanted(controller: Controller, client: Client) -> None:
    controller.answer("ReadLog", [ReadLogResponse(offset=10, data=b"ab"), ReadLogResponse(offset=12, data=b"c")])

    parts = [part async for part in client.read_log("pi", offset=8)]

    assert [(part.lost, part.offset, part.data) for part in parts] == [(2, 10, b"ab"), (0, 12, b"c")]
    assert controller.requests[0].offset == 8


async def test_the_end_of_a_log_has_lost_nothing(controller: Controller, client: Client) -> None:
    controller.answer("ReadLog", [ReadLogResponse(offset=90, data=b"tail")])

    parts = [part async for part in client.read_log("pi", offset=-4)]

    assert [part.lost for part in parts] == [0]


async def test_events_are_watched_from_a_sequence_on(controller: Controller, client: Client) -> None:
    controller.answer("WatchEvents", [wire.dump(Event("jobs/a", "JOB_PLACED", "placed", sequence=8)), HANG])

    async with aclosing(client.watch_events(after_sequence=7)) as watch:
        first = await anext(watch)

    assert first.sequence == 8
    assert controller.requests[0].after_sequence == 7


async def test_a_plan_moves_nothing(controller: Controller, client: Client) -> None:
    plan = MigrationPlan(Level.CHECKPOINT, "east-1", "west-1")
    controller.answer("MigrateJob", MigrateJobResponse(plan=wire.dump(plan), job=job()))

    assert await client.plan_migration("pi", target="west") == plan

    assert controller.requests[0].validate_only


async def test_a_move_answers_with_the_job(controller: Controller, client: Client) -> None:
    controller.answer("MigrateJob", MigrateJobResponse(job=job()))

    assert (await client.migrate("pi", where='region == "west"')).id == "pi-1a2b"

    assert not controller.requests[0].validate_only


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("GetNode", Client.node),
        ("CordonNode", Client.cordon),
        ("UncordonNode", Client.uncordon),
        ("DrainNode", Client.drain),
        ("ForgetNode", Client.forget),
    ],
)
async def test_a_node_is_a_record(
    controller: Controller, client: Client, method: str, call: Callable[[Client, str], object]
) -> None:
    controller.answer(method, node())

    found = await call(client, "east")

    assert isinstance(found, Node)
    assert (found.id, found.drain) == ("east-1", Drain.NONE)
    assert controller.requests[0].name == "nodes/east"


async def test_fetched_outputs_are_the_files_to_the_byte(
    controller: Controller, client: Client, tmp_path: Path
) -> None:
    kept = keep(controller, manifest())

    fetched = await client.fetch_outputs("pi", tmp_path / "results" / "pi")

    assert fetched == kept
    found = {path: (tmp_path / "results/pi" / path).read_bytes() for path in CONTENTS}
    assert found == CONTENTS
    assert (tmp_path / "results/pi/latest").readlink() == Path("model/weights")


async def test_outputs_go_into_an_empty_directory(controller: Controller, client: Client, tmp_path: Path) -> None:
    keep(controller, manifest())
    (tmp_path / "here").mkdir()

    await client.fetch_outputs("pi", tmp_path / "here")

    assert (tmp_path / "here" / "empty").exists()


@pytest.mark.parametrize("occupied", ["directory", "file"])
async def test_outputs_never_go_over_what_is_there(
    controller: Controller, client: Client, tmp_path: Path, occupied: str
) -> None:
    keep(controller, manifest())
    here = tmp_path / "here"
    if occupied == "file":
        here.write_text("mine")
    else:
        here.mkdir()
        (here / "mine").write_text("mine")

    with pytest.raises(Refusal) as raised:
        await client.fetch_outputs("pi", here)

    assert raised.value.reason == "DIRECTORY_NOT_EMPTY"
    assert controller.requests == []


async def test_a_chunk_that_is_not_what_its_name_says_leaves_nothing(
    controller: Controller, client: Client, tmp_path: Path
) -> None:
    keep(controller, manifest(), spoil=lambda plain: bytes(len(plain)))

    with pytest.raises(Refusal) as raised:
        await client.fetch_outputs("pi", tmp_path / "here")

    assert raised.value.reason == "CHUNK_CORRUPT"
    assert held_by(tmp_path) == []


async def test_files_that_are_not_those_of_the_digest_leave_nothing(
    controller: Controller, client: Client, tmp_path: Path
) -> None:
    lying = manifest(sha256="0" * 64)
    keep(controller, lying)

    with pytest.raises(Refusal) as raised:
        await client.fetch_outputs("pi", tmp_path / "here")

    assert raised.value.reason == "OUTPUTS_CORRUPT"
    assert held_by(tmp_path) == []


async def test_a_listing_of_another_digest_than_the_jobs_is_refused(
    controller: Controller, client: Client, tmp_path: Path
) -> None:
    keep(controller, manifest(), digest="sha256:" + "0" * 64)

    with pytest.raises(Refusal) as raised:
        await client.fetch_outputs("pi", tmp_path / "here")

    assert raised.value.reason == "OUTPUTS_CORRUPT"


@pytest.mark.parametrize(
    ("state", "path", "why"), [("RUNNING", "/output", "RUNNING"), ("SUCCEEDED", "", "outputs.path")]
)
async def test_a_job_without_outputs_says_why(
    controller: Controller, client: Client, tmp_path: Path, state: str, path: str, why: str
) -> None:
    without = job(state=state)
    without.spec.output_path = path
    controller.answer("GetJob", without)

    with pytest.raises(Refusal, match=why) as raised:
        await client.fetch_outputs("pi", tmp_path / "here")

    assert raised.value.reason == "NO_OUTPUTS"


async def test_the_program_fetches_outputs_too(controller: Controller, tmp_path: Path) -> None:
    kept = keep(controller, manifest())

    ended = await headrace("outputs", "pi", str(tmp_path / "here"), controller=controller.address)

    assert ended.code == 0
    assert ended.lines[0].endswith(kept.digest)


def held_by(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def manifest(sha256: str = "") -> Manifest:
    return manifest_of(
        directories=[Directory("model", 0o755, os.getuid(), os.getgid())],
        files=[file(path, content, sha256) for path, content in CONTENTS.items()],
        links=[Link("latest", "model/weights")],
    )


def keep(
    controller: Controller,
    made: Manifest,
    *,
    digest: str = "",
    spoil: Callable[[bytes], bytes] = bytes,
) -> Outputs:
    """Has the controller answer as one that holds these outputs."""
    raw = dump(made)
    outputs = Outputs(digest_of(raw), digest or outputs_digest(made), made.size_bytes, len(made.files))
    chunks = {digest_of(piece): piece for content in CONTENTS.values() for piece in pieces(content)}

    def download(request: DownloadChunksRequest) -> Iterator[DownloadChunksResponse]:
        for name in request.digests:
            yield DownloadChunksResponse(chunks=[Chunk(digest=name, data=compressed(spoil(chunks[name])))])

    controller.answer("GetJob", job(state="SUCCEEDED", outputs=wire.dump(outputs)))
    controller.answer("GetManifest", GetManifestResponse(manifest=raw))
    controller.answer("DownloadChunks", download)
    return outputs


def file(path: str, content: bytes, sha256: str) -> File:
    return File(
        path,
        mode=0o644,
        uid=os.getuid(),
        gid=os.getgid(),
        mtime_ns=1_000_000_000,
        size=len(content),
        chunks=tuple(digest_of(piece) for piece in pieces(content)),
        sha256=sha256 or hashlib.sha256(content).hexdigest(),
    )


def pieces(content: bytes) -> list[bytes]:
    return [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
