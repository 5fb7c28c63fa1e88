"""Laws of jobs for which devices of one sort will do as well as others: which they get is known with their node."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import assignments, keeping, model, moves
from controller.core.book import Policy
from controller.core.placement import fit as fitting
from controller.core.placement.demand import least
from controller.core.placement.fit import Place, Usage, bound, fit
from headrace.attempts import AttemptState
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Preference, Requests, Timeouts, Variant
from headrace.nodes import Capacity, Device, Engine, Node, NodeDescription
from headrace.projects import Declared, Quota
from headrace.sessions import Report
from tests.core.lone_controller import Controller, candidates, wanted
from tests.core.small_world import AMD64, GIB, PINS

LARGE = NodeDescription(platforms=(AMD64,), capacity=Capacity(16_000, 64 * GIB))
H100, A100 = (AcceleratorRequest(count, f'model == "{model}"') for count, model in ((1, "H100"), (2, "A100")))
EITHER = wanted(resources=Requests(1000, GIB, H100, (A100,)))


def cards(model: str, count: int) -> tuple[Device, ...]:
    return tuple(Device(f"{model}-{number}", "gpu", "nvidia", model, number) for number in range(count))


def cluster(**nodes: tuple[Device, ...]) -> Controller:
    found = Controller()
    for name, devices in nodes.items():
        found.node(name, LARGE, devices)
    found.tick()
    return found


def given_to(by: Controller, spec: JobSpec) -> tuple[str, ...]:
    return given_of(by, by.submit(spec))


def given_of(by: Controller, job: Job) -> tuple[str, ...]:
    attempt = by.book.jobs[job.id].attempt
    return attempt.devices if attempt is not None else ()


def test_a_node_gives_what_is_named_first_and_where_it_cannot_the_next() -> None:
    one = cluster(a=(*cards("H100", 1), *cards("A100", 3)))

    assert given_to(one, EITHER) == ("H100-0",)
    assert given_to(one, EITHER) == ("A100-0", "A100-1")
    assert given_to(one, EITHER) == ()


def test_a_job_is_told_of_the_devices_that_it_has_and_of_no_others() -> None:
    one = cluster(a=cards("A100", 2))
    job = one.book.jobs[one.submit(EITHER).id]

    (placement,) = assignments.placements(one.book.nodes["a"], [job])

    assert placement.spec.resources == Requests(1000, GIB, A100)
    assert placement.devices == ("A100-0", "A100-1")


def test_one_that_finds_nothing_of_all_says_what_it_lacks_of_each() -> None:
    one = cluster(a=cards("A100", 1))
    job = one.submit(EITHER)

    assert job.state is JobState.QUEUED
    lacks = 'no device free with model == "H100" and fewer than 2 devices free with model == "A100"'
    assert job.reason == f"waits: 1 node: has {lacks}"


def test_so_it_does_of_a_node_that_has_too_few_cores_besides() -> None:
    one = cluster(a=cards("A100", 1))
    spec = replace(EITHER, resources=replace(EITHER.resources, cpu_millis=32_000))

    (found,) = candidates(one.book, Job("", spec, images=PINS))

    lacks = 'no device free with model == "H100" and fewer than 2 devices free with model == "A100"'
    assert found.reason == f"has {lacks}"
    assert one.submit(spec).reason == f"waits: 1 node: has {lacks}"


def test_it_starts_once_a_node_comes_that_has_the_other() -> None:
    one = cluster(a=cards("A100", 1))
    job = one.submit(EITHER)

    one.node("b", LARGE, cards("A100", 2))
    one.settle()

    assert one.at(job) == ("b",)


def test_what_a_job_that_is_about_to_come_will_have_is_by_its_own_alternative() -> None:
    one = cluster(a=cards("H100", 1), b=cards("A100", 2))
    job = one.book.jobs[one.submit(EITHER).id]
    other = next(name for name in ("a", "b") if name != job.node)
    place = fit(job, one.book.nodes[other], one.book.usage(other), now_wall_ms=0)
    assert isinstance(place, Place)

    coming = Usage().with_coming(bound(job.spec, place.variant))

    whose = {"a": H100, "b": A100}[other]
    assert coming.coming == (whose,)
    assert least(job).devices == 1


def test_which_of_them_a_node_has_is_found_in_columns_and_only_the_best_node_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = cluster(**{f"n{number}": cards("H100" if number % 4 == 0 else "A100", 2) for number in range(40)})
    looked: list[str] = []
    devices_of = fitting._first_devices

    def counted(wants: Requests, node: Node, usage: Usage) -> object:
        looked.append(node.id)
        return devices_of(wants, node, usage)

    monkeypatch.setattr(fitting, "_first_devices", counted)
    for cpu_millis in (1000, 1001):
        looked.clear()
        job = one.submit(wanted(resources=Requests(cpu_millis, GIB, H100, (A100,))))
        assert len(one.at(job)) == 1
        assert len(looked) <= 4


def test_room_is_kept_for_one_of_which_an_alternative_is_within_its_projects_quota() -> None:
    one = Controller({"p": Declared(quota=Quota(device_millis=1000), borrows=False)})
    one.node("a", LARGE, cards("A100", 1))
    one.settle()
    one.submit(wanted(resources=Requests(1000, GIB, AcceleratorRequest(1))))

    many = AcceleratorRequest(2, 'model == "H100"')
    job = one.submit(wanted(project="p", resources=Requests(1000, GIB, many, (AcceleratorRequest(1),))))
    one.settle()

    assert one.book.turns.kept[job.id].places == ("a",)
    assert "quota" not in one.explain(job).outlook.basis


def test_where_the_first_is_more_than_its_projects_quota_a_job_gets_another_and_keeps_no_room_of_the_first() -> None:
    one = Controller({"p": Declared(quota=Quota(device_millis=1000), borrows=False)})
    one.node("a", LARGE, cards("H100", 2))
    one.settle()
    many, few = AcceleratorRequest(2, 'model == "H100"'), AcceleratorRequest(1, 'model == "A100"')
    wants = wanted(project="p", resources=Requests(1000, GIB, many, (few,)))
    job = one.submit(wants)
    one.settle()
    assert job.id not in one.book.turns.kept
    assert given_to(one, wanted(resources=Requests(1000, GIB, many))) == ("H100-0", "H100-1")

    one.node("b", LARGE, cards("A100", 1))
    one.node("c", LARGE, cards("H100", 2))
    one.settle()

    assert one.at(job) == ("b",)
    (placement,) = assignments.placements(one.book.nodes["b"], [one.book.jobs[job.id]])
    assert placement.spec.resources == Requests(1000, GIB, few)


@pytest.mark.parametrize("borrows", [False, True])
def test_a_job_is_not_moved_to_more_devices_than_its_projects_quota_has_room_for(*, borrows: bool) -> None:
    one = Controller({"p": Declared(quota=Quota(device_millis=1_000), borrows=borrows)})
    one.node("a", LARGE, cards("H100", 1))
    one.tick()
    two_or_one = Requests(1000, GIB, AcceleratorRequest(2), (AcceleratorRequest(1),))
    job = one.submit(wanted(project="p", resources=two_or_one))
    one.node("b", LARGE, cards("H100", 2))
    one.tick()

    place = moves.elsewhere(one.book, one.book.jobs[job.id])

    assert isinstance(place, Place)
    assert (place.node, len(place.devices)) == ("b", 2 if borrows else 1)
    assert place.variant == (0 if borrows else 1)


def test_room_that_is_kept_and_room_that_others_leave_is_of_the_devices_that_will_be_there() -> None:
    one = cluster(a=cards("A100", 2))
    here = one.submit(wanted(resources=Requests(1000, GIB, AcceleratorRequest(1)), timeouts=Timeouts(run_ms=3_600_000)))
    job, behind = one.submit(EITHER), one.submit(EITHER)
    one.settle()
    assert one.book.turns.kept[job.id].gone == (here.id,)
    one.book.turns.before = [job.id]
    scene = keeping.scene(one.book, one.book.jobs[behind.id])

    assert scene.usage(one.book.nodes["a"], [here.id]).coming == (A100,)

    urgent = one.submit(replace(EITHER, priority=Policy().preempting_priority))
    one.settle()
    assert one.book.turns.claims[urgent.id].leaving == (here.id,)
    assert one.book.usage("a").coming == (A100,)


def quota(devices: int) -> Declared:
    return Declared(quota=Quota(device_millis=devices * 1000), borrows=False)


def has_left(by: Controller, job_id: str, sequence: int, devices: tuple[Device, ...]) -> None:
    """The node of a job that was asked to leave reports that it has."""
    attempt = by.book.jobs[job_id].attempt
    assert attempt is not None
    gone = replace(attempt, state=AttemptState.EXITED, stop_requested=True, exit_code=143)
    report = Report(attempt.node, 1, sequence, LARGE, devices, engine=Engine(reachable=True), attempts=(gone,))
    by.cluster.handle(model.Reported(report))


def test_for_an_urgent_job_whose_quota_has_no_room_for_the_first_others_leave_that_have_another() -> None:
    here = (*cards("H100", 2), *cards("A100", 1))
    one = Controller({"p": quota(1)})
    one.node("a", LARGE, here)
    one.settle()
    many, few = AcceleratorRequest(2, 'model == "H100"'), AcceleratorRequest(1, 'model == "A100"')
    low = one.submit(wanted(project="p", resources=Requests(1000, GIB, few)))

    wants = Requests(1000, GIB, many, (few,))
    urgent = one.submit(wanted(project="p", resources=wants, priority=Policy().preempting_priority))
    one.settle()

    claim = one.book.turns.claims[urgent.id]
    assert claim.leaving == (low.id,)
    assert [spec.resources.accelerators for spec in claim.specs] == [few]
    has_left(one, low.id, 2, here)
    assert given_of(one, urgent) == ("A100-0",)


def test_where_the_first_tasks_of_a_gang_would_use_up_its_quota_others_leave_so_that_all_have_what_is_cheap() -> None:
    first, second = (*cards("H100", 2), *cards("A100", 1)), cards("A100", 1)
    one = Controller({"p": quota(2), "q": quota(0)})
    one.book.projects.declared["q"] = replace(one.book.projects.declared["q"], borrows=True)
    one.node("a", LARGE, first)
    one.node("b", LARGE, second)
    one.settle()
    many, few = AcceleratorRequest(2, 'model == "H100"'), AcceleratorRequest(1, 'model == "A100"')
    borrows = one.submit(wanted(project="q", resources=Requests(1000, GIB, few), where='node == "b"'))

    gang = one.submit(wanted(project="p", resources=Requests(1000, GIB, many, (few,)), task_count=2))
    one.settle()

    assert one.book.turns.claims[gang.id].leaving == (borrows.id,)
    has_left(one, borrows.id, 2, second)
    tasks = [one.book.jobs[f"{gang.id}-{number}"] for number in range(2)]
    assert sorted(given_of(one, task) for task in tasks) == [("A100-0",), ("A100-0",)]


def test_a_gang_begins_with_those_alternatives_for_which_others_have_left() -> None:
    first, second = cards("H100", 2), cards("A100", 2)
    one = cluster(a=first, b=second)
    one.settle()
    small, large = AcceleratorRequest(1, 'model == "H100"'), AcceleratorRequest(2)
    low = [one.submit(wanted(resources=Requests(1000, GIB, small))) for _ in range(2)]
    low.append(one.submit(wanted(resources=Requests(1000, GIB, large))))

    wants = Requests(1000, GIB, large, (small,))
    gang = one.submit(wanted(resources=wants, priority=Policy().preempting_priority, task_count=3))
    one.settle()
    assert sorted(one.book.turns.claims[gang.id].leaving) == [job.id for job in low]

    # As large as the first may be, there are two such places, and one more of the other.
    for number, (job, devices) in enumerate(zip(low, (first, first, second), strict=True), 2):
        has_left(one, job.id, number, devices)
    tasks = [one.book.jobs[f"{gang.id}-{number}"] for number in range(3)]
    assert sorted(given_of(one, task) for task in tasks) == [("A100-0", "A100-1"), ("H100-0",), ("H100-1",)]


def test_where_neither_alone_will_do_some_tasks_of_a_gang_have_one_and_some_the_other() -> None:
    one = cluster(a=cards("H100", 2), b=cards("A100", 2))
    wants = Requests(1000, GIB, AcceleratorRequest(2), (AcceleratorRequest(1, 'model == "H100"'),))

    gang = one.submit(wanted(resources=wants, task_count=3))

    tasks = [one.book.jobs[f"{gang.id}-{number}"] for number in range(3)]
    assert sorted(given_of(one, task) for task in tasks) == [("A100-0", "A100-1"), ("H100-0",), ("H100-1",)]


def test_so_it_is_where_its_project_s_quota_has_no_room_for_one_alone_and_nodes_have_too_few_of_the_other() -> None:
    one = Controller({"p": quota(3)})
    for name, devices in (("a", cards("H100", 2)), ("b", cards("H100", 2)), ("c", cards("A100", 1))):
        one.node(name, LARGE, devices)
    one.settle()
    many, few = AcceleratorRequest(2, 'model == "H100"'), AcceleratorRequest(1, 'model == "A100"')

    wants, likes = Requests(1000, GIB, many, (few,)), (Preference('node != "c"', 1),)
    gang = one.submit(wanted(project="p", resources=wants, prefer=likes, task_count=2))

    tasks = [one.book.jobs[f"{gang.id}-{number}"] for number in range(2)]
    assert sorted(given_of(one, task) for task in tasks) == [("A100-0",), ("H100-0", "H100-1")]


@given(st.integers(0, 3), st.integers(0, 3))
def test_each_number_stands_for_one_variant_with_one_alternative(variant: int, which: int) -> None:
    variants = tuple(Variant('arch == "amd64"', f"registry.example/{number}:1") for number in range(1, 4))
    asked = tuple(AcceleratorRequest(count) for count in range(1, 5))
    spec = replace(EITHER, variants=variants, resources=Requests(1000, GIB, asked[0], asked[1:]))

    found = bound(spec, which * 4 + variant)

    assert found.image == (f"registry.example/{variant}:1" if variant else spec.image)
    assert found.resources == Requests(1000, GIB, asked[which])
    assert found.variants == ()
    assert Job("jobs/j", spec).spec.resources.alternatives == asked[1:]
