"""Laws of how long a job is said to run where none like it ran: by what it and others showed elsewhere."""

from collections.abc import Sequence
from dataclasses import replace

from controller.core.past_runs import PastRun, PastRuns
from controller.core.placement.durations import Estimate
from controller.core.placement.fit import Place
from controller.core.placement.learned import Foretold, Learned
from controller.core.placement.profiles import Profile, hardware, profile_of
from headrace.attempts import Attempt, Steps
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests, Work
from headrace.nodes import Cpu, Device, Figure, Node, NodeDescription, Origin
from tests.core.small_world import AMD64, PINS, spec

CARD = AcceleratorRequest(1)
CARDS = {"fast": ("V100", 16.0), "slow": ("K80", 4.0), "slow-too": ("K80", 4.0), "strange": ("", None)}


def _figures(tflops: float | None) -> tuple[Figure, ...]:
    return () if tflops is None else (Figure("fp32_tflops", tflops, Origin.SPEC, "a datasheet"),)


NODES = {
    name: Node(
        f"nodes/{name}",
        description=NodeDescription(cpu=Cpu("EPYC", threads=4), platforms=(AMD64,)),
        devices=(Device("g1", "gpu", "nvidia", model, figures=_figures(tflops)),),
    )
    for name, (model, tflops) in CARDS.items()
}
MINE = spec(resources=Requests(1000, 1 << 30, CARD))
OTHER = replace(MINE, display_name="other", image="registry.example/other:1")


def run(node: str, millis: int) -> PastRun:
    return PastRun(node, AMD64, ("g1",), millis)


def place(node: str) -> Place:
    return Place(node, PINS[0], AMD64, ("g1",), 0, ())


def estimate(node: str, runs: Sequence[tuple[JobSpec, PastRun]], wanted: JobSpec = MINE) -> Estimate | None:
    learned = Learned(NODES)
    for one, ran in runs:
        learned.observe(profile_of(one), ran)
    alike = [ran for one, ran in runs if profile_of(one) == profile_of(wanted)]
    return Foretold(wanted, learned, alike, NODES).at(wanted, place(node))


def test_other_jobs_tell_how_much_slower_other_hardware_is() -> None:
    seen = [(MINE, run("fast", 10_000)), (OTHER, run("fast", 500)), (OTHER, run("slow", 3_000))]

    found = estimate("slow-too", seen)

    assert found == Estimate(60_000, "observed 1 run on 1 kind of hardware, completed from 1 other job, within 2.2 x")


def test_a_run_on_the_same_hardware_is_believed_before_what_others_show() -> None:
    seen = [(MINE, run("fast", 10_000)), (OTHER, run("fast", 500)), (OTHER, run("slow", 3_000))]

    assert estimate("slow-too", [*seen, (MINE, run("slow", 7_000))]) == Estimate(
        7_000, "1 past run on the same hardware (slow)"
    )


def test_makers_figures_tell_where_no_other_job_does() -> None:
    declared = replace(MINE, work=Work(1e15, "fp32"))

    found = estimate("slow", [(declared, run("fast", 10_000))], declared)

    assert found is not None
    assert found.millis == 40_000
    assert found.basis.startswith("observed 1 run on 1 kind of hardware, completed from makers' figures, within ")


def test_a_job_that_never_ran_is_told_by_its_declared_work_alone() -> None:
    declared = replace(MINE, work=Work(1e15, "fp32"))
    seen = [(OTHER, run("fast", 500)), (OTHER, run("slow", 3_000))]

    found = estimate("slow", seen, declared)

    assert found is not None
    assert found.basis == "declared work, spec figure (a datasheet)"
    assert estimate("slow", seen) is None


def test_hardware_that_does_not_say_what_it_is_is_like_no_other() -> None:
    seen = [(MINE, run("fast", 10_000)), (OTHER, run("fast", 500)), (OTHER, run("strange", 3_000))]

    assert estimate("strange", seen) is None
    assert hardware(AMD64, ("gone",), NODES["fast"]) is None


def test_a_new_tag_is_no_new_kind_of_job_and_other_resources_are() -> None:
    assert profile_of(replace(MINE, image="registry.example:5000/team/train:1")) == profile_of(
        replace(MINE, image="registry.example:5000/team/train@sha256:" + "a" * 64)
    )
    assert profile_of(MINE) != profile_of(spec())
    assert profile_of(MINE) != profile_of(
        spec(resources=Requests(1000, 1 << 30, AcceleratorRequest(1, memory_bytes=1)))
    )
    assert profile_of(MINE).repository == "registry.example/train"
    assert isinstance(profile_of(MINE), Profile)


def told_of(*steps: Steps | None, state: JobState = JobState.FAILED) -> PastRuns:
    attempts = tuple(
        Attempt("train-1", epoch, node, platform=AMD64, devices=("g1",), start_time_ms=1, end_time_ms=9_001, steps=one)
        for epoch, (node, one) in enumerate(zip(CARDS, steps, strict=False), 1)
    )
    past = PastRuns()
    past.ended(Job("jobs/train-1", MINE, state, attempts=attempts, end_time_ms=9_001))
    return past


def test_a_job_that_moved_tells_by_its_steps_how_long_all_of_it_takes_at_each_place() -> None:
    past = told_of(Steps(50, 100, 40, 4_000), Steps(100, 100, 50, 25_000), state=JobState.SUCCEEDED)

    assert [(one.node, one.millis) for one in past.like(MINE)] == [("fast", 10_000), ("slow", 50_000)]


def test_steps_without_an_end_or_without_a_pace_tell_nothing() -> None:
    assert told_of(Steps(50, None, 40, 4_000), Steps(50, 100, 0, 4_000), None).like(MINE) == ()


def test_a_whole_run_counts_as_long_as_it_took_whatever_its_steps_say() -> None:
    assert told_of(Steps(50, 100, 40, 4_000), state=JobState.SUCCEEDED).like(MINE) == (run("fast", 9_000),)
