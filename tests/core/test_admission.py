"""Laws of what is taken on: a job that none of the nodes could ever run is refused; any other waits for its place."""

import pytest

from controller.core.model import Submitted
from controller.core.placement.admission import unrunnable
from headrace.attempts import Platform
from headrace.jobs import Emulation, ImagePin, Job, JobSpec, JobState, Requests, Variant
from headrace.nodes import Drain, Node, NodeState
from headrace.refusals import Code
from tests.core.small_world import AMD64, ARM64, GIB, IMAGE, PINS, World, refusal, spec

RISCV64 = Platform("linux", "riscv64")
S390X = Platform("linux", "s390x")
EMULATED = Platform("linux", "arm64", emulated=True)
OTHER = "registry.example/other:1"


def submit(world: World, wanted: JobSpec | None = None, pins: tuple[ImagePin, ...] = PINS, **how: object) -> object:
    return world.ask(lambda token: Submitted(token, "train-1", wanted or spec(), pins, **how))  # type: ignore[arg-type]


def pin(platform: Platform, reference: str = IMAGE) -> ImagePin:
    return ImagePin(platform, "registry.example/x@sha256:" + "c" * 64, reference)


def is_taken_on(answer: object) -> bool:
    return isinstance(answer, Job)


def test_a_job_whose_image_no_node_can_run_is_refused_with_what_there_is_and_what_to_do() -> None:
    world = World(a=AMD64, r=RISCV64)

    refused = refusal(submit(world, pins=(pin(S390X), pin(ARM64))))

    assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "IMAGE_NO_NODE")
    assert refused.message == (
        f"no node can run {IMAGE}, which is for linux/arm64, linux/s390x; the nodes that there are run linux/amd64, "
        "linux/riscv64; build it for one of these, or add a node for linux/arm64, linux/s390x"
    )


def test_a_job_that_is_refused_leaves_nothing() -> None:
    world = World(r=RISCV64)

    submit(world)

    assert "jobs/train-1" not in world.store
    assert "JOB_SUBMITTED" not in world.happenings


def test_a_check_refuses_what_a_submission_would() -> None:
    world = World(r=RISCV64)

    assert refusal(submit(world, dry_run=True)) == refusal(submit(world))


def test_a_check_of_what_can_run_creates_nothing() -> None:
    world = World(a=AMD64)

    answer = submit(world, dry_run=True)

    assert answer == Job(name="", spec=spec(), images=PINS)
    assert "jobs/train-1" not in world.store


def test_a_job_is_taken_on_while_no_node_is_known_and_waits() -> None:
    world = World()

    assert is_taken_on(submit(world, pins=(pin(S390X),)))
    assert world.job().state is JobState.QUEUED


def test_a_node_that_has_not_said_what_it_runs_is_none_that_cannot_run_it() -> None:
    assert unrunnable(spec(), (pin(S390X),), (Node("nodes/new"),)) is None


def test_a_node_that_is_away_counts() -> None:
    world = World(a=AMD64, r=RISCV64)
    world.sites["a"].cut = True
    world.pass_time(60_000)
    assert world.node("a").state is NodeState.SUSPECT

    assert is_taken_on(submit(world))


@pytest.mark.parametrize("drain", [Drain.CORDONED, Drain.DRAINING])
def test_a_node_that_takes_no_jobs_counts(drain: Drain) -> None:
    world = World(a=AMD64, r=RISCV64)
    world.drain("a", drain)

    assert is_taken_on(submit(world))


def test_a_node_that_is_full_counts() -> None:
    world = World(a=AMD64, r=RISCV64)

    assert is_taken_on(submit(world, spec(resources=Requests(64_000, GIB))))


def test_an_emulated_node_counts_where_the_job_allows_it() -> None:
    world = World(e=EMULATED)

    assert is_taken_on(submit(world, spec(emulation=Emulation.ALLOWED)))


def test_a_job_that_emulation_would_help_is_told_so() -> None:
    world = World(e=EMULATED)

    refused = refusal(submit(world))

    assert "run nothing without emulation; " in refused.message
    assert "say `emulation: allowed` in the job file" in refused.message


def test_a_job_that_emulation_would_not_help_is_not_told_of_it() -> None:
    world = World(e=EMULATED)

    refused = refusal(submit(world, spec(emulation=Emulation.ALLOWED), (pin(S390X),)))

    assert "run linux/arm64 (emulated); build it for one of these, or add a node for linux/s390x" in refused.message


def test_an_image_of_a_variant_is_enough() -> None:
    world = World(a=AMD64)
    wanted = spec(variants=(Variant('vendor == "huawei"', OTHER),))

    assert is_taken_on(submit(world, wanted, (pin(S390X), pin(AMD64, OTHER))))


def test_a_refusal_names_the_images_of_all_variants() -> None:
    world = World(r=RISCV64)
    wanted = spec(variants=(Variant('vendor == "huawei"', OTHER),))

    refused = refusal(submit(world, wanted, (pin(S390X), pin(ARM64, OTHER))))

    assert f"{IMAGE}, which is for linux/s390x, nor {OTHER}, which is for linux/arm64;" in refused.message


def test_a_job_that_was_taken_on_is_not_refused_when_its_request_is_repeated() -> None:
    world = World()
    submit(world, request_id="r")
    world.join("r", RISCV64)

    assert submit(world, request_id="r") == world.job()
