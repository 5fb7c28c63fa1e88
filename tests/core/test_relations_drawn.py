"""Arrays and sequences of jobs as they are drawn: whatever happens to them, each ends once, and as it should."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runtimes.runtime import Ref
from headrace import elements
from headrace.jobs import Condition, Dependency, Job, JobState
from tests.core.small_world import AMD64, World

# What is done to an array: an element's program leaves with a code, or it is cancelled; the controller is killed.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("exit"), st.integers(0, 11), st.sampled_from((0, 0, 3))),
        st.tuples(st.just("cancel"), st.integers(0, 11), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    max_size=14,
)
_ENDS = {0: JobState.SUCCEEDED, 3: JobState.FAILED}


def ended(array: Job) -> dict[int, JobState]:
    """How each element has ended, by the array's record; twice is an error."""
    known = array.elements
    assert known is not None
    sets = (
        (JobState.SUCCEEDED, known.succeeded),
        (JobState.FAILED, known.failed),
        (JobState.CANCELLED, known.cancelled),
    )
    found: dict[int, JobState] = {}
    for state, written in sets:
        for first, last in elements.ranges(elements.loaded(written)):
            for index in range(first, last + 1):
                assert index not in found
                found[index] = state
    return found


@settings(max_examples=50, deadline=None)
@given(count=st.integers(2, 12), fresh=st.integers(1, 3), steps=STEPS)
def test_each_element_of_an_array_ends_once_as_it_came_to_end(
    count: int, fresh: int, steps: list[tuple[str, int, int]]
) -> None:
    world = World(a=AMD64)
    world.cluster.book.relations.fresh_at_once = fresh
    world.submit(element_count=count)
    expected: dict[int, JobState] = {}

    def leaves(index: int, code: int) -> None:
        ref = Ref(f"train-1-{index}", 0, 1)
        if ref in world.sites["a"].engine.running():
            expected.setdefault(index, _ENDS[code])
            world.exit(ref, code)

    for what, number, code in steps:
        match what:
            case "exit":
                leaves(number % count, code)
            case "cancel" if not world.job().ended:
                expected.setdefault(number % count, JobState.CANCELLED)
                world.cancel(f"train-1-{number % count}")
            case "restart":
                world.restart_controller()
                world.cluster.book.relations.fresh_at_once = fresh
        world.pass_time(1_000)
        assert expected.items() <= {**ended(world.job()), **expected}.items()
    for _ in range(count):
        for index in range(count):
            leaves(index, 0)
        world.pass_time(1_000)

    assert ended(world.job()) == expected
    assert world.job().ended
    assert len(expected) == count
    started = [ref.job for ref in world.sites["a"].engine.started]
    assert len(started) == len(set(started))
    assert list(world.cluster.book.jobs) == []


@settings(max_examples=50, deadline=None)
@given(data=st.data(), count=st.integers(2, 7), restarts=st.booleans())
def test_what_follows_what_starts_or_ends_as_its_conditions_say(
    data: st.DataObject, count: int, *, restarts: bool
) -> None:
    world = World(a=AMD64, b=AMD64)
    codes = [data.draw(st.sampled_from((0, 3))) for _ in range(count)]
    after: list[tuple[Dependency, ...]] = []
    for number in range(count):
        before = data.draw(st.lists(st.integers(0, number - 1), max_size=2, unique=True)) if number else []
        after.append(tuple(Dependency(f"job-{one}", data.draw(st.sampled_from(Condition))) for one in before))
        world.submit(f"job-{number}", after=after[number])

    for _ in range(count):
        if restarts:
            world.restart_controller()
        for number in range(count):
            world.exit(Ref(f"job-{number}", 0, 1), codes[number])
        world.pass_time(2_000)

    ends: list[JobState] = []
    for number in range(count):
        starts = all(_holds(one, ends[int(one.job.removeprefix("job-"))]) for one in after[number])
        ends.append(_ENDS[codes[number]] if starts else JobState.CANCELLED)
    assert [world.job(f"job-{number}").state for number in range(count)] == ends


def _holds(one: Dependency, end: JobState) -> bool:
    """Of a job that has ended like this: nobody cancelled one that had started."""
    match one.condition:
        case Condition.ENDED:
            return True
        case Condition.STARTED:
            return end is not JobState.CANCELLED
        case _:
            return end.name == one.condition.name


@given(st.sets(st.integers(0, 9_999), max_size=60))
def test_a_set_of_elements_is_the_same_when_it_was_written_down(numbers: set[int]) -> None:
    found = elements.loaded(elements.dumped(elements.bits(sorted(numbers))))

    told = [number for first, last in elements.ranges(found) for number in range(first, last + 1)]
    assert told == sorted(numbers)
    assert all(elements.holds(found, number) for number in numbers)
