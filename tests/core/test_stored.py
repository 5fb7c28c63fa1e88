"""Records that are read from bytes: what is shared between them, and what is not."""

import pytest
from google.protobuf.message import DecodeError

from headrace import stored, wire
from headrace.attempts import Attempt, AttemptState, Steps
from headrace.jobs import Job, JobSpec, Requests, Timeouts
from headrace.v1 import job_pb2


def read(job: Job) -> Job:
    return stored.load(Job, wire.dump(job).SerializeToString())


def job(number: int) -> Job:
    spec = JobSpec(f"run-{number}", "image", ("train", str(number)), {"SEED": str(number)}, Requests(2000, 1 << 30))
    return Job(f"jobs/run-{number}", spec, epoch=number)


def test_jobs_that_ask_for_the_same_share_what_they_ask_for() -> None:
    one, other = read(job(1)), read(job(2))

    assert (one, other) == (job(1), job(2))
    assert one.spec.resources is other.spec.resources
    assert one.spec.image is other.spec.image


def test_what_may_be_changed_of_a_record_is_its_own() -> None:
    one, other = read(job(1)), read(job(1))

    one.spec.env["SEED"] = "3"

    assert other.spec.env == {"SEED": "1"}


def test_a_part_in_which_all_is_zero_is_not_the_same_as_none() -> None:
    said = Attempt("run-1", 1, state=AttemptState.RUNNING, steps=Steps(0))
    told_nothing = Attempt("run-1", 1, state=AttemptState.RUNNING)

    found = read(Job("jobs/run-1", JobSpec("run", "image", timeouts=Timeouts(run_ms=0)), attempts=(said, told_nothing)))

    assert (found.attempts, found.spec.timeouts) == ((said, told_nothing), Timeouts(run_ms=0))


def test_what_a_newer_version_wrote_beside_is_passed_over() -> None:
    # Field 999, in the job and in its spec.
    unknown = bytes([0xBA, 0x3E, 1, 7])
    spec = wire.dump(job(1).spec).SerializeToString() + unknown
    body = wire.dump(Job("jobs/run-1", JobSpec("", ""))).SerializeToString() + unknown
    whole = job_pb2.Job.FromString(body)
    whole.spec.CopyFrom(job_pb2.JobSpec.FromString(spec))

    assert stored.load(Job, whole.SerializeToString()).spec == job(1).spec


def test_a_state_that_this_version_does_not_know_is_refused_with_the_fields_name() -> None:
    with pytest.raises(ValueError, match=r"headrace.v1.Job.state: 99 is not a known JobState"):
        stored.load(Job, bytes([0x18, 99]))


def test_what_is_no_record_is_refused_in_its_parts_too() -> None:
    torn = job_pb2.Job(name="jobs/run-1").SerializeToString() + bytes([0x12, 2, 0xFF, 0xFF])
    # A name, and a node, that are no texts.
    for body in (b"\xff\xff", torn, b"\x0a\x01\xff", b"\x32\x01\xff"):
        with pytest.raises(DecodeError):
            stored.load(Job, body)
