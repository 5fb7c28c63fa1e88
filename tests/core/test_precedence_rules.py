"""Rules of whose turn it is, in worlds that are drawn: of quotas, of what is borrowed, and that all start some day."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.runtimes.runtime import Ref
from controller.core.book import Policy
from headrace.jobs import JobState, Requests, Timeouts
from headrace.projects import Declared, Quota
from tests.core.small_world import AMD64, ARM64, GIB, World

# Both cores run in each.
EXAMPLES = 25
MINUTE_MS = 60_000
CORES = 4


def cores(most: int, *, borrows: bool = True) -> Declared:
    return Declared(quota=Quota(cpu_millis=most * 1000), borrows=borrows)


def asks(count: int) -> Requests:
    return Requests(count * 1000, GIB // 8)


def leave(world: World, name: str) -> None:
    """The job has done its work, if it runs."""
    job = world.job(name)
    if job.state is JobState.RUNNING:
        world.exit(Ref(name, 0, job.epoch), 0)


def has(world: World, project: str) -> int:
    jobs = world.cluster.book.jobs.values()
    return sum(job.spec.resources.cpu_millis for job in jobs if job.spec.project == project and job.node) // 1000


drawn = st.lists(
    st.tuples(st.sampled_from(("p", "q", "default")), st.integers(1, CORES), st.integers(0, 100), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn, st.integers(1, 4), st.integers(1, 4))
def test_a_quota_is_kept_by_who_does_not_borrow_whatever_comes(
    jobs: list[tuple[str, int, int, bool]], first: int, second: int
) -> None:
    world = World(declared={"p": cores(first, borrows=False), "q": cores(second)}, a=AMD64, b=ARM64)
    for number, (project, count, priority, ends) in enumerate(jobs):
        world.submit(f"job-{number}", project=project, resources=asks(count), priority=priority)
        if ends:
            leave(world, f"job-{number // 2}")
        world.pass_time(3_000)
        assert has(world, "p") <= first


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("p", "default")), st.integers(1, CORES), st.integers(0, 79)), max_size=8),
    st.integers(1, CORES),
)
def test_what_is_borrowed_is_given_back_when_its_owner_wants_it(
    borrowers: list[tuple[str, int, int]], wanted: int
) -> None:
    world = World(declared={"p": cores(0), "q": cores(CORES)}, a=AMD64)
    for number, (project, count, priority) in enumerate(borrowers):
        world.submit(f"job-{number}", project=project, resources=asks(count), priority=priority)
    world.submit("owner", project="q", resources=asks(wanted), priority=0)
    world.pass_time(15_000)
    assert world.job("owner").state is JobState.RUNNING
    for number in range(len(borrowers)):
        job = world.job(f"job-{number}")
        assert job.preemption_count == 0
        assert job.preemptor in ("", "owner")


@settings(max_examples=EXAMPLES, deadline=None)
@given(drawn)
def test_only_the_less_urgent_leave_for_the_more_urgent_and_nobody_has_his_own_preemptor_leave(
    jobs: list[tuple[str, int, int, bool]],
) -> None:
    world = World(a=AMD64, b=ARM64)
    left: dict[str, str] = {}
    for number, (_, count, priority, ends) in enumerate(jobs):
        world.submit(f"job-{number}", resources=asks(count), priority=priority)
        if ends:
            leave(world, f"job-{number // 2}")
        for _ in range(4):
            world.pass_time(1_000)
            for job in world.cluster.book.jobs.values():
                if not job.preemptor or left.get(job.id) == job.preemptor:
                    continue
                left[job.id] = job.preemptor
                who = world.job(job.preemptor)
                assert who.spec.priority >= Policy().preempting_priority
                assert job.spec.priority < who.spec.priority
                assert left.get(who.id) != job.id


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(2, 8),
    st.integers(10, 60),
    st.sampled_from((None, 10 * MINUTE_MS)),
    st.sampled_from((50, 52)),
)
def test_a_large_job_starts_though_small_ones_keep_coming(
    small: int, minutes: int, every_s: int, limit_ms: int | None, priority: int
) -> None:
    world = World(a=AMD64)
    world.submit("first", resources=asks(1), timeouts=Timeouts(run_ms=limit_ms))
    world.submit("large", resources=asks(CORES))
    begun, ends = world.now_ms, {"first": world.now_ms + minutes * MINUTE_MS}
    # A more urgent one goes before it only as long as it has not waited for its points.
    ahead_ms = max(0, priority - 50) * 600_000
    bound_ms = ahead_ms + Policy().patience_ms + (minutes + 2) * MINUTE_MS
    number = 0
    while world.job("large").state is JobState.QUEUED:
        assert world.now_ms - begun <= bound_ms
        number += 1
        name = f"small-{number}"
        world.submit(name, resources=asks(small), priority=priority, timeouts=Timeouts(run_ms=limit_ms))
        ends[name] = world.now_ms + minutes * MINUTE_MS
        world.pass_time(every_s * 1_000)
        for one in [one for one, end_ms in ends.items() if end_ms <= world.now_ms]:
            leave(world, one)
            del ends[one]
            if world.job(one).state is JobState.QUEUED:
                # It has not begun yet.
                ends[one] = world.now_ms + minutes * MINUTE_MS
