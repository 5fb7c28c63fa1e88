"""Laws of how long a job is said to run: by jobs like it, else by its work and what the place can do."""

from dataclasses import replace

import pytest

from controller.core.past_runs import PastRun, PastRuns
from controller.core.placement.durations import EFFICIENCY, Estimate, predicted
from controller.core.placement.fit import Place
from headrace.attempts import Attempt, Platform
from headrace.jobs import AcceleratorRequest, Candidate, Job, JobSpec, JobState, Requests, Work
from headrace.nodes import Cpu, Device, Figure, Node, NodeDescription, Origin
from tests.core.lone_controller import candidates
from tests.core.small_world import AMD64, ARM64, FIRST, GIB, PINS, World, spec

EMULATED = replace(ARM64, emulated=True)
SPEC = Figure("bf16_tflops", 1000.0, Origin.SPEC, "a datasheet")
MEASURED = Figure("fp64_gflops", 100.0, Origin.MEASURED, "NumPy")
CARDS = tuple(Device(name, "gpu", "nvidia", "H200", figures=(SPEC,)) for name in ("g1", "g2"))
NODES = {
    name: Node(
        f"nodes/{name}",
        description=NodeDescription(cpu=Cpu(model, threads=4, figures=(MEASURED,)), platforms=(platform,)),
        devices=CARDS if model == "EPYC" else (),
    )
    for name, model, platform in (
        ("a", "EPYC", AMD64),
        ("b", "EPYC", AMD64),
        ("c", "Xeon", AMD64),
        ("nameless", "", AMD64),
        ("other", "", AMD64),
        ("emulated", "", EMULATED),
    )
}


def place(node: str, *devices: str, platform: Platform = AMD64) -> Place:
    return Place(node, PINS[0], platform, devices, 0, ())


def job(precision: str, operations: float = 1e15, **changes: object) -> JobSpec:
    return spec(work=Work(operations, precision), **changes)


def run(node: str, millis: int, *devices: str, platform: Platform = AMD64) -> PastRun:
    return PastRun(node, platform, devices, millis)


def estimate(wanted: JobSpec, where: Place, *past: PastRun) -> Estimate | None:
    return predicted(wanted, where, NODES, past)


def test_declared_work_is_divided_by_what_jobs_reach_of_the_devices_granted() -> None:
    one = estimate(job("bf16"), place("a", "g1"))
    two = estimate(job("bf16"), place("a", "g1", "g2"))

    assert one == Estimate(round(1000 / EFFICIENCY[Origin.SPEC]), "declared work, spec figure (a datasheet)")
    assert two is not None
    assert two.millis == one.millis // 2


def test_a_part_of_a_device_takes_longer() -> None:
    half = AcceleratorRequest(1, share_millis=500)
    whole = estimate(job("bf16"), place("a", "g1"))
    part = estimate(job("bf16", resources=Requests(1000, GIB, half)), place("a", "g1"))

    assert (part and part.millis) == 2 * (whole.millis if whole else 0)


def test_a_part_by_memory_is_that_part_of_each_device() -> None:
    nodes = {
        name: replace(NODES["a"], devices=(replace(CARDS[0], memory_bytes=gibibytes * GIB),))
        for name, gibibytes in (("large", 80), ("small", 16))
    }
    eight = Requests(1000, GIB, AcceleratorRequest(1, memory_bytes=8 * GIB))
    whole = estimate(job("bf16"), place("a", "g1"))
    large, small = (predicted(job("bf16", resources=eight), place(name, "g1"), nodes, ()) for name in nodes)

    assert whole
    assert (large and large.millis, small and small.millis) == (10 * whole.millis, 2 * whole.millis)


def test_a_job_without_devices_has_its_share_of_the_processors() -> None:
    quarter = estimate(job("fp64", 1e11), place("a"))
    all_of_them = estimate(job("fp64", 1e11, resources=Requests(4000, GIB)), place("a"))
    more = estimate(job("fp64", 1e11, resources=Requests(8000, GIB)), place("a"))

    assert quarter == Estimate(round(4000 / EFFICIENCY[Origin.MEASURED]), "declared work, measured figure (NumPy)")
    assert all_of_them == more == Estimate(round(1000 / EFFICIENCY[Origin.MEASURED]), quarter.basis)


def of_processors(cpu: Cpu) -> Estimate | None:
    about = replace(NODES["a"].description, cpu=cpu)
    return predicted(job("fp64"), place("a"), {"a": replace(NODES["a"], description=about)}, ())


def test_processors_that_do_not_say_how_many_threads_they_have_foretell_nothing() -> None:
    assert of_processors(Cpu("EPYC", threads=0, figures=(MEASURED,))) is None


@pytest.mark.parametrize("gflops", [1e-300, 5e-324])
def test_however_little_a_node_can_do_a_number_says_how_long_that_takes(gflops: float) -> None:
    found = of_processors(Cpu("EPYC", threads=4, figures=(replace(MEASURED, value=gflops),)))

    assert found is not None
    assert found.millis == 1 << 53


def test_a_precision_that_a_place_does_not_tell_of_foretells_nothing() -> None:
    assert estimate(job("int8"), place("a", "g1")) is None
    assert estimate(job("bf16"), place("a")) is None


def test_figures_of_a_native_node_foretell_nothing_of_what_it_emulates() -> None:
    assert estimate(job("fp64"), place("a", platform=EMULATED)) is None
    assert estimate(job("fp64"), place("emulated", platform=EMULATED)) is not None


def test_a_job_that_declares_nothing_and_never_ran_is_not_foretold() -> None:
    assert estimate(spec(), place("a", "g1")) is None


def test_past_runs_on_the_node_are_believed_before_declared_work() -> None:
    past = (run("a", 1000), run("a", 3000), run("a", 9000))

    assert estimate(job("fp64"), place("a"), *past) == Estimate(3000, "3 past runs here")


def test_past_runs_on_the_same_hardware_tell_where_there_are_none_on_the_node() -> None:
    past = (run("b", 1000), run("b", 3000), run("c", 50))

    assert estimate(spec(), place("a"), *past) == Estimate(2000, "2 past runs on the same hardware (b)")


def test_runs_with_other_devices_or_emulated_tell_nothing() -> None:
    assert estimate(spec(), place("a"), run("a", 1000, "g1")) is None
    assert estimate(spec(), place("a", "g1"), run("a", 1000)) is None
    assert estimate(spec(), place("a", "g1"), run("a", 1000, "gone")) is None
    assert estimate(spec(), place("a", platform=EMULATED), run("a", 1000)) is None
    assert estimate(spec(), place("a", "g2"), run("b", 700, "g1")) == Estimate(
        700, "1 past run on the same hardware (b)"
    )


def test_processors_that_do_not_say_what_they_are_are_like_no_others() -> None:
    assert estimate(spec(), place("other"), run("nameless", 1000)) is None
    assert estimate(spec(), place("other"), run("forgotten", 1000)) is None


def ended(state: JobState = JobState.SUCCEEDED, *nodes: str, **changes: object) -> Job:
    attempts = tuple(
        Attempt("train-1", epoch=epoch, node=node, platform=AMD64, start_time_ms=1_000, end_time_ms=5_000)
        for epoch, node in enumerate(nodes or ("a",), 1)
    )
    return replace(Job("jobs/train-1", spec(), state, attempts=attempts, end_time_ms=9_000), **changes)


def test_a_run_is_as_long_as_its_attempt_and_known_to_jobs_of_its_name_image_and_command() -> None:
    past = PastRuns()
    past.ended(ended())

    assert past.like(spec()) == (PastRun("a", AMD64, (), 4_000),)
    assert past.like(spec(command=("other",))) == past.like(spec(display_name="other")) == ()


@pytest.mark.parametrize(
    "job", [ended(JobState.FAILED), ended(JobState.CANCELLED), ended(JobState.SUCCEEDED, "a", "b"), ended(attempts=())]
)
def test_a_job_that_failed_or_moved_does_not_tell_how_long_it_takes_anywhere(job: Job) -> None:
    past = PastRuns()
    past.ended(job)

    assert past.like(spec()) == ()


def test_of_each_kind_the_newest_runs_are_kept() -> None:
    past = PastRuns()
    for length in range(30):
        past.ended(ended(end_time_ms=9_000, attempts=(replace(ended().attempts[0], end_time_ms=1_000 + length),)))

    assert [run.millis for run in past.like(spec())] == list(range(10, 30))


def test_a_job_that_succeeded_tells_of_the_next_one_after_a_restart_too() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit(where='name == "a"')
    world.pass_time(7_000)
    world.exit(FIRST, 0)
    world.pass_time(1_000)
    asked = Job("", spec(where='name == "a"'), images=PINS)

    before = candidates(world.cluster.book, asked)
    world.restart_controller()

    assert before == candidates(world.cluster.book, asked)
    assert [(one.node, one.run_basis) for one in before] == [("a", "1 past run here"), ("b", "")]
    assert 7_000 <= (before[0].run_millis or 0) <= 9_000
    assert before[1] == Candidate("b", 'does not match where: name == "a"')


def test_a_full_node_says_so_and_how_long_the_job_would_run_there() -> None:
    world = World(a=AMD64)
    world.submit(resources=Requests(4000, GIB))
    book = world.cluster.book
    cpu = replace(book.nodes["a"].description.cpu, figures=(MEASURED,))
    book.nodes["a"] = replace(book.nodes["a"], description=replace(book.nodes["a"].description, cpu=cpu))

    (found,) = candidates(book, Job("", job("fp64"), images=PINS))
    (own,) = candidates(book, book.jobs["train-1"])

    assert found.reason == "has less than 1 core free"
    assert found.run_basis == "declared work, measured figure (NumPy)"
    assert own.reason == ""


def test_those_that_fit_come_first_the_one_that_would_be_chosen_before_all() -> None:
    world = World(a=AMD64, b=AMD64, c=AMD64)
    world.submit()
    asked = Job("", spec(prefer=()), images=PINS)
    used = world.job().node

    names = [one.node for one in candidates(world.cluster.book, asked)]

    assert names == [*sorted({"a", "b", "c"} - {used}), used]
