"""What is said of a job that waits: what would change that, when it will start, and which nodes are shown."""

import pytest

from controller.core import asking, ways
from controller.core.book import Book
from headrace.explanations import Change, Explanation, Outlook
from headrace.jobs import AcceleratorRequest, Job, Network, Preference, Requests, Timeouts
from headrace.neighbours import Neighbours
from headrace.nodes import Capacity, Device, Health, NodeDescription
from headrace.projects import Declared, Quota
from tests.core.lone_controller import MINUTE_MS, Controller, asks, made, wanted
from tests.core.small_world import AMD64, GIB, PINS

QUOTAS = {"p": Declared(quota=Quota(cpu_millis=4000), borrows=False), "q": Declared(quota=Quota(cpu_millis=6000))}


def two_regions(made_one: Controller) -> Controller:
    for name, cores, memory, region in (("n1", 4, 8, "north"), ("n7", 16, 20, "south")):
        made_one.node(
            name, NodeDescription(region=region, platforms=(AMD64,), capacity=Capacity(cores * 1000, memory * GIB))
        )
    made_one.tick()
    return made_one


@pytest.fixture
def world() -> Controller:
    return two_regions(Controller())


def test_the_least_that_helps_of_memory_and_of_cores_is_told_the_smaller_change_first(world: Controller) -> None:
    world.submit(wanted(resources=asks(2, 4), where='name == "n7"'))
    world.settle()

    found = world.explain(Job("", wanted(resources=asks(8, 24)), images=PINS))

    now_ms = world.book.wall_ms
    assert found.changes == (Change("resources.memory", "24GiB", "16GiB", ("n7",), now_ms),)
    assert (found.fitting_count, found.fitting_empty_count, found.node_count) == (0, 0, 2)
    more = world.explain(Job("", wanted(resources=asks(20, 16)), images=PINS))
    assert more.changes == (Change("resources.cpu", "20", "14", ("n7",), now_ms),)


def test_a_condition_that_is_in_the_way_is_named_alone(world: Controller) -> None:
    spec = wanted(resources=asks(8, 8), where='region == "north" and capacity.cpu >= 2')

    found = world.explain(Job("", spec, images=PINS))

    told = [(one.field, one.from_value, one.to_value, one.nodes) for one in found.changes]
    assert told == [("resources.cpu", "8", "4", ("n1",)), ("where", 'region == "north"', "", ("n7",))]


@pytest.mark.parametrize(
    ("changes", "edits", "node"),
    [
        (
            {"resources": asks(8, 24), "where": 'region == "north"'},
            {("resources.memory", "24GiB", "20GiB"), ("where", 'region == "north"', "")},
            "n7",
        ),
        (
            {"resources": asks(20, 24)},
            {("resources.memory", "24GiB", "20GiB"), ("resources.cpu", "20", "16")},
            "n7",
        ),
        (
            {"resources": asks(8, 24), "project": "p"},
            {("resources.memory", "24GiB", "20GiB"), ("projects.p.quota", "cpu = 4", "cpu = 8")},
            "n7",
        ),
    ],
    ids=["memory and a condition", "memory and cores", "memory and a quota"],
)
def test_two_changes_that_help_only_together_are_told_where_no_single_one_does(
    changes: dict[str, object], edits: set[tuple[str, str, str]], node: str
) -> None:
    world = two_regions(Controller(QUOTAS))

    found = world.explain(Job("", wanted(**changes), images=PINS))

    assert found.changes == ()
    first = found.joint_changes[0]
    assert {(one.field, one.from_value, one.to_value) for one in first.edits} == edits
    assert first.nodes == (node,)


def test_of_two_changes_on_either_node_that_condition_alone_is_told_that_is_in_the_way() -> None:
    world = Controller()
    for name, cores, memory in (("n1", 4, 64), ("n2", 64, 8)):
        capacity = Capacity(cores * 1000, memory * GIB)
        world.node(name, NodeDescription(region="north", platforms=(AMD64,), capacity=capacity))
    world.tick()

    spec = wanted(resources=asks(20, 20), where='region == "north" and labels.zone == "z1"')
    found = world.explain(Job("", spec, images=PINS))

    said = [
        (one.nodes, [(edit.field, edit.from_value, edit.to_value) for edit in one.edits]) for one in found.joint_changes
    ]
    without = ("where", 'labels.zone == "z1"', "")
    assert said == [
        (("n2",), [("resources.memory", "20GiB", "8GiB"), without]),
        (("n1",), [("resources.cpu", "20", "4"), without]),
    ]


def test_where_three_things_are_in_the_way_nothing_is_told(world: Controller) -> None:
    found = world.explain(Job("", wanted(resources=asks(20, 24), where='region == "west"'), images=PINS))

    assert (found.changes, found.joint_changes) == ((), ())


def test_what_is_told_of_two_changes_is_tried_in_a_bounded_number_of_questions(
    world: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []

    def counted(book: Book, job: Job) -> object:
        asked.append(job)
        return asking.places(book, job)

    monkeypatch.setattr(ways, "places", counted)
    spec = wanted(
        resources=asks(20, 24, AcceleratorRequest(2, 'model == "H100" and memory >= 40GiB')),
        where='region == "north" and capacity.cpu >= 2',
        network=Network.HOST,
        neighbours=Neighbours(("other",)),
    )
    world.explain(Job("", spec, images=PINS))

    # None of the single ones helps, and not all together.
    assert len(asked) < 20


def told(found: Explanation) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(one.field, one.from_value, one.to_value, one.nodes) for one in found.changes]


@pytest.fixture
def contended() -> Controller:
    """One node of four cores, of which two are had for ten minutes at most; and a job that waits for all four."""
    made_one = Controller()
    made_one.node("n1", NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB)))
    made_one.tick()
    made_one.submit(wanted(resources=asks(2), timeouts=Timeouts(run_ms=10 * MINUTE_MS)))
    made_one.submit(wanted(resources=asks(4), timeouts=Timeouts(run_ms=10 * MINUTE_MS)))
    made_one.settle()
    return made_one


def test_for_one_that_waits_behind_another_either_s_priority_is_named(contended: Controller) -> None:
    found = contended.explain(Job("", wanted(resources=asks(2)), images=PINS))

    assert told(found)[:2] == [("priority", "50", "51", ("n1",)), ("jobs/job-2 priority", "50", "49", ("n1",))]
    for change in found.changes:
        after, spec = made(contended, wanted(resources=asks(2)), change)
        assert after.at(after.submit(spec)) == ("n1",), change


def test_whoever_waits_is_told_when_what_it_waits_for_has_ended_by_its_limit(contended: Controller) -> None:
    head = contended.book.jobs["job-2"]

    found = contended.explain(head)

    assert found.outlook is not None
    assert found.outlook.basis == "once jobs/job-1 has ended"
    assert found.outlook.nodes == ("n1",)
    # Ten minutes of running, and ten seconds to leave.
    begun_ms = contended.book.jobs["job-1"].create_time_ms
    assert found.outlook.start_time_ms is not None
    assert begun_ms is not None
    assert 610_000 <= found.outlook.start_time_ms - begun_ms <= 620_000
    # And the priority with which it would have that one leave.
    assert told(found) == [("resources.cpu", "4", "2", ("n1",)), ("priority", "50", "80", ("n1",))]


def test_one_that_has_others_before_it_starts_once_there_is_room_for_them_too(contended: Controller) -> None:
    for _ in range(3):
        contended.submit(wanted(resources=asks(4), timeouts=Timeouts(run_ms=MINUTE_MS)))
    contended.settle()
    last = contended.explain(contended.book.jobs["job-5"])

    assert last.outlook is not None
    assert last.outlook.jobs_before_count == 3
    # Those have not started: nothing says when the last of them will have ended.
    assert last.outlook.start_time_ms is None


def test_a_quota_that_is_in_the_way_is_told_with_what_would_do() -> None:
    world = Controller(QUOTAS)
    world.node("n1", NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 32 * GIB)))
    world.tick()
    world.submit(wanted(project="p", resources=asks(3)))
    world.settle()

    found = world.explain(Job("", wanted(project="p", resources=asks(3)), images=PINS))

    assert told(found)[0] == ("projects.p.quota", "cpu = 4", "cpu = 6", ("n1",))
    assert world.book.projects.declared == QUOTAS


def test_another_model_of_device_and_fewer_of_them_are_told() -> None:
    world = Controller()
    for name, model_name, count in (("n1", "H100", 1), ("n2", "A100", 2)):
        some = tuple(
            Device(f"{name}-{number}", "gpu", "nvidia", model_name, number, health=Health.HEALTHY)
            for number in range(count)
        )
        world.node(name, NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 32 * GIB)), some)
    world.tick()
    request = AcceleratorRequest(2, 'kind == "gpu" and model == "H100"')

    found = world.explain(Job("", wanted(resources=asks(1, 1, request)), images=PINS))

    assert told(found) == [
        ("resources.accelerators.count", "2", "1", ("n1",)),
        ("resources.accelerators", 'model == "H100"', 'model == "A100"', ("n2",)),
    ]


def test_a_gang_is_told_how_many_of_its_tasks_there_is_room_for(world: Controller) -> None:
    spec = wanted(task_count=8, resources=asks(4), timeouts=Timeouts(start_ms=MINUTE_MS))

    found = world.explain(world.submit(spec))

    assert ("tasks", "8", "5", ("n7", "n7", "n7", "n7", "n1")) in [
        (one[0], one[1], one[2], tuple(sorted(one[3], reverse=True))) for one in told(found)
    ]


def test_of_many_nodes_a_few_are_shown_and_all_are_counted() -> None:
    world = Controller()
    for number in range(100):
        about = NodeDescription(
            region="north" if number % 4 else "south", platforms=(AMD64,), capacity=Capacity(1000 * (1 + number), GIB)
        )
        world.node(f"n{number:03}", about)
    world.tick()

    found = world.explain(Job("", wanted(where='region == "north"', resources=asks(8)), images=PINS))

    assert len(found.candidates) < 12
    assert (found.node_count, found.fitting_count, found.fitting_empty_count) == (100, 70, 70)
    assert [(one.reason, one.node_count) for one in found.obstacles] == [
        ('does not match where: region == "north"', 25),
        ("has less than 8 cores free", 5),
    ]
    assert all(one.reason == "" for one in found.candidates[:5])
    assert [one.reason for one in found.candidates[5:]].count("has less than 8 cores free") == 2


def test_a_gang_is_told_when_there_will_be_room_for_all_its_tasks() -> None:
    world = Controller()
    about = NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB))
    for number, minutes in enumerate((5, 20, 10, None)):
        world.node(f"n{number}", about)
        world.tick()
        limit_ms = None if minutes is None else minutes * MINUTE_MS
        world.submit(wanted(where=f'name == "n{number}"', resources=asks(3), timeouts=Timeouts(run_ms=limit_ms)))
    world.settle()

    def outlook(tasks: int) -> Outlook:
        spec = wanted(task_count=tasks, resources=asks(2), timeouts=Timeouts(start_ms=MINUTE_MS))
        found = world.explain(Job("", spec, images=PINS)).outlook
        assert found is not None
        return found

    assert sorted(outlook(4).nodes) == ["n0", "n0", "n2", "n2"]
    assert outlook(4).basis == "once jobs/job-1, jobs/job-3 have ended"
    minutes = ((outlook(count).start_time_ms or 0) - world.book.wall_ms for count in (2, 4, 6))
    assert [round(one / MINUTE_MS) for one in minutes] == [5, 10, 20]
    assert outlook(8).start_time_ms is None


def test_why_it_is_here_is_told_beside_the_best_of_the_others() -> None:
    world = Controller()
    card = Device("0", "gpu", "nvidia", "H100", 0, health=Health.HEALTHY)
    about = NodeDescription(platforms=(AMD64,), capacity=Capacity(4000, 32 * GIB))
    for name, some in (("n1", (card,)), ("n2", ()), ("n3", ())):
        world.node(name, about, some)
    world.tick()

    job = world.submit(wanted())
    here = world.explain(job)
    world.submit(wanted(where='name == "n3"'))
    liked = wanted(prefer=(Preference('name == "n1"', 1.0),))

    assert (job.node, here.standing) == ("n2", ("n2 is as good as n3, and comes first by its name",))
    assert world.explain(Job("", liked, images=PINS)).standing == ("n1 comes before n2: more of `prefer` holds there",)
    rest = wanted(where='name != "n2"')
    assert world.explain(Job("", rest, images=PINS)).standing == (
        "n3 comes before n1: it has fewer devices, which this job does not need",
    )


def with_cards(*nodes: tuple[str, str, str, int]) -> Controller:
    """Nodes with so many devices of a vendor and model."""
    world = Controller()
    for name, vendor, model_name, count in nodes:
        some = tuple(
            Device(f"{name}-{number}", "gpu", vendor, model_name, number, health=Health.HEALTHY)
            for number in range(count)
        )
        world.node(name, NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 32 * GIB)), some)
    world.tick()
    return world


def test_devices_of_another_vendor_are_told_where_none_of_its_own_would_do() -> None:
    world = with_cards(("g-mi300", "amd", "MI300", 4))
    request = AcceleratorRequest(4, 'kind == "gpu" and vendor == "nvidia"')

    found = world.explain(Job("", wanted(resources=asks(1, 1, request)), images=PINS))

    assert told(found) == [("resources.accelerators", 'vendor == "nvidia"', "", ("g-mi300",))]


def test_of_several_sorts_of_devices_it_is_told_of_which_fewer_would_do_and_why_none_is_there() -> None:
    world = with_cards(("g-a100", "nvidia", "A100", 1))
    several = Requests(1000, GIB, AcceleratorRequest(2, 'model == "H100"'), (AcceleratorRequest(3, 'model == "A100"'),))

    found = world.explain(Job("", wanted(resources=several), images=PINS))

    assert [one.reason for one in found.candidates] == [
        'has fewer than 2 devices free with model == "H100" and fewer than 3 devices free with model == "A100"'
    ]
    assert told(found)[0] == ("resources.accelerators[1].count", "3", "1", ("g-a100",))


def test_of_little_cpu_the_most_that_starts_is_told_too() -> None:
    world = Controller()
    for name in ("n1", "n2", "n3"):
        world.node(name, NodeDescription(platforms=(AMD64,), capacity=Capacity(8000, 64 * GIB)))
    world.tick()
    spec = wanted(task_count=256, resources=Requests(100, GIB // 8), timeouts=Timeouts(start_ms=MINUTE_MS))

    found = world.explain(Job("", spec, images=PINS))

    assert ("resources.cpu", "100m", "90m") in [one[:3] for one in told(found)]
