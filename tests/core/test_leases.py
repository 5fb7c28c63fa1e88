"""Laws of leases that grow with the number of nodes: nobody is believed lost too early, or found out too late."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.core import model as controller
from controller.core.book import Book
from controller.core.cluster import Cluster
from controller.core.leases import REPORTS_A_LEASE, lease_of
from controller.core.policy import Policy
from headrace.attempts import Attempt, AttemptState
from headrace.jobs import AcceleratorRequest, JobSpec, JobState, Requests
from headrace.nodes import Device, Engine, Health, NodeState
from headrace.sessions import Assignment, Report
from tests.core.small_world import GIB, PINS, description, spec

# More reports a second than this nodes may not send: with one node a lease is 15 s, with 12 it is 36.
POLICY = Policy(reports_per_second=1)
MANY = 12
RUNS = Attempt("train-1", 1, state=AttemptState.RUNNING)


def cluster(policy: Policy = POLICY, nodes: int = 1) -> Cluster:
    """A controller that has just heard so many nodes: n0, n1 …"""
    made = Cluster(Book("cluster-1", policy, (), ()))
    made.handle(controller.Ticked(1_000, 1_700_000_000_000))
    for number in range(nodes):
        made.handle(report(number))
    return made


def report(number: int, sequence: int = 1, session: int = 1, **changes: Any) -> controller.Reported:
    engine = Engine(reachable=True, message="test")
    return controller.Reported(Report(f"n{number}", session, sequence, description(), engine=engine, **changes))


def pass_time(passed: Cluster, millis: int) -> None:
    book, until_ms = passed.book, passed.book.now_ms + millis
    while book.now_ms < until_ms:
        # In one step it would look as if the controller had stood still.
        step_ms = min(1_000, until_ms - book.now_ms)
        passed.handle(controller.Ticked(book.now_ms + step_ms, book.wall_ms + step_ms))


def told(effects: list[controller.Effect]) -> list[Assignment]:
    return [effect.assignment for effect in effects if isinstance(effect, controller.Assign)]


def saved(effects: list[controller.Effect]) -> list[int]:
    """The leases that are written down."""
    records = [effect.record for effect in effects if isinstance(effect, controller.Save)]
    return [record.agent_ms for record in records if isinstance(record, controller.LeaseTold)]


def state(of: Cluster, node: str = "n0") -> NodeState:
    return of.book.nodes[node].state


@given(st.integers(1, 100_000), st.integers(1, 5_000), st.integers(1_000, 3_600_000))
def test_nodes_report_no_more_often_than_they_may_unless_leases_would_become_too_long(
    nodes: int, reports_per_second: int, lease_ms: int
) -> None:
    policy = Policy(lease_ms=lease_ms, reports_per_second=reports_per_second)
    lease = lease_of(policy, nodes)

    sent_per_second = REPORTS_A_LEASE * nodes / (lease.agent_ms / 1000)
    assert sent_per_second <= reports_per_second or lease.agent_ms == max(lease_ms, policy.spread_ms_max)
    assert lease.agent_ms >= lease_ms
    assert lease.agent_ms <= lease_of(policy, nodes + 1).agent_ms


def test_a_lease_that_has_grown_does_not_have_a_lost_nodes_jobs_wait_for_longer() -> None:
    longest = lease_of(POLICY, 1_000_000)

    assert longest.node_ms < JobSpec("train", "team/train:1").lost_after_ms


def test_nodes_are_told_of_the_longer_lease_once_there_are_more_of_them() -> None:
    few = cluster()
    pass_time(few, few.book.leases.lease.answer_ms)
    [before] = told(few.handle(report(0, 2)))
    for number in range(1, MANY):
        few.handle(report(number))

    [after] = told(few.handle(report(0, 3)))

    assert before.lease_millis == POLICY.lease_ms
    assert after.lease_millis == 1000 * REPORTS_A_LEASE * MANY


def test_a_node_that_goes_by_a_shorter_lease_is_answered_before_that_is_over() -> None:
    grown = cluster(Policy(reports_per_second=1, lease_ms=1_000))
    pass_time(grown, lease_of(grown.book.policy, 1).answer_ms)
    [before] = told(grown.handle(report(0, 2)))
    for number in range(1, MANY):
        grown.handle(report(number))
    # Far less than a tenth of what the lease is now.
    pass_time(grown, before.lease_millis // REPORTS_A_LEASE)

    assert [one.acked_sequence for one in told(grown.handle(report(0, 3)))] == [3]


def test_a_node_whose_stream_is_over_is_doubted_long_before_its_silence_tells() -> None:
    left = cluster(nodes=MANY)
    left.handle(controller.SessionOver("n0", 1))

    pass_time(left, POLICY.doubt_ms)
    assert state(left) is NodeState.READY

    pass_time(left, 1)
    assert state(left) is NodeState.SUSPECT
    assert state(left, "n1") is NodeState.READY
    assert left.book.leases.lease.suspect_ms > 2 * POLICY.doubt_ms


def test_a_stream_that_ends_while_others_have_not_come_back_yet_tells_as_soon_as_ever() -> None:
    before = cluster(nodes=3)
    after = Cluster(Book("cluster-1", Policy(lease_ms=180_000), (), tuple(before.book.nodes.values())))
    pass_time(after, 1)
    after.handle(report(0, 1, session=2))
    after.handle(controller.SessionOver("n0", 2))

    pass_time(after, POLICY.doubt_ms + 1)

    assert (state(after), state(after, "n1")) == (NodeState.SUSPECT, NodeState.READY)


def test_a_node_that_is_heard_again_in_time_is_not_doubted() -> None:
    back = cluster(nodes=MANY)
    back.handle(controller.SessionOver("n0", 1))
    pass_time(back, POLICY.doubt_ms)
    back.handle(report(0, 1, session=2))

    pass_time(back, POLICY.doubt_ms)

    assert state(back) is NodeState.READY


def test_the_end_of_an_older_stream_says_nothing_of_a_node_that_has_another() -> None:
    moved = cluster(nodes=MANY)
    moved.handle(report(0, 1, session=2))
    moved.handle(controller.SessionOver("n0", 1))

    pass_time(moved, 2 * POLICY.doubt_ms)

    assert state(moved) is NodeState.READY


def test_a_node_that_was_doubted_for_its_stream_is_ready_with_its_next_report() -> None:
    back = cluster(nodes=MANY)
    back.handle(controller.SessionOver("n0", 1))
    pass_time(back, 2 * POLICY.doubt_ms)
    back.handle(report(0, 1, session=2))

    assert state(back) is NodeState.READY


def test_the_end_of_a_stream_has_no_job_replaced_before_its_nodes_lease_is_over() -> None:
    left = cluster(nodes=1)
    left.handle(controller.Submitted(1, "train-1", spec(lost_after_ms=1), PINS))
    assert left.book.jobs["train-1"].node == "n0"
    left.handle(controller.SessionOver("n0", 1))

    pass_time(left, left.book.leases.lease.node_ms)
    assert left.book.jobs["train-1"].state is JobState.STARTING
    assert left.book.jobs["train-1"].epoch == 1

    pass_time(left, 1)
    assert left.book.jobs["train-1"].epoch == 2


def test_a_lease_is_saved_before_a_node_is_told_of_it_and_only_when_it_is_another() -> None:
    fresh = cluster(nodes=0)

    first, second = fresh.handle(report(0)), fresh.handle(report(1))
    others = [fresh.handle(report(number)) for number in range(2, MANY)]

    assert saved(first) == [POLICY.lease_ms]
    assert saved(second) == []
    assert [one for effects in others for one in saved(effects)] == [
        18_000,
        21_000,
        24_000,
        27_000,
        30_000,
        33_000,
        36_000,
    ]
    kinds = [type(effect) for effect in first]
    assert first.index(controller.Save(controller.LeaseTold(POLICY.lease_ms))) < kinds.index(controller.Assign)


def test_a_controller_that_has_shorter_leases_than_the_one_before_waits_for_the_longer_ones_to_be_over() -> None:
    before = cluster(nodes=MANY)
    before.handle(controller.Submitted(1, "train-1", spec(lost_after_ms=1), PINS))
    jobs, nodes = tuple(before.book.jobs.values()), tuple(before.book.nodes.values())
    longest = before.book.leases.longest
    shorter = Policy(lease_ms=1_000, lease_before_ms=longest.agent_ms)
    after = Cluster(Book("cluster-1", shorter, jobs, nodes))
    pass_time(after, 1)

    pass_time(after, longest.node_ms)
    assert after.book.jobs["train-1"].epoch == 1

    pass_time(after, 1)
    assert after.book.jobs["train-1"].epoch == 2


def test_an_older_lease_is_told_to_nobody_and_counts_no_more_than_one_that_has_grown_beyond_it() -> None:
    grown = cluster(Policy(reports_per_second=1, lease_ms=1_000, lease_before_ms=20_000), nodes=0)

    [first] = told(grown.handle(report(0)))
    assert first.lease_millis == 3_000
    assert grown.book.leases.longest.agent_ms == 20_000

    for number in range(1, MANY):
        grown.handle(report(number))
    assert grown.book.leases.longest is grown.book.leases.lease


def test_what_was_told_before_counts_no_more_once_it_is_over() -> None:
    short = cluster(Policy(lease_ms=1_000, lease_before_ms=60_000))
    assert short.book.leases.longest.agent_ms == 60_000

    pass_time(short, 100_000)
    assert saved(short.handle(report(0, 2))) == [1_000]
    assert short.book.leases.longest.agent_ms == 1_000


def test_a_node_that_does_not_come_back_to_a_controller_that_has_just_started_is_doubted() -> None:
    before = cluster(nodes=2)
    slow = Policy(lease_ms=180_000)
    after = Cluster(Book("cluster-1", slow, (), tuple(before.book.nodes.values())))
    pass_time(after, 1)
    after.handle(report(1, 1, session=2))
    pass_time(after, slow.return_ms)
    assert state(after) is NodeState.READY
    pass_time(after, 1)
    assert (state(after), state(after, "n1")) == (NodeState.SUSPECT, NodeState.READY)


def test_one_report_without_a_device_does_not_have_it_lost_however_long_leases_are() -> None:
    gpu = Device("gpu-0", "gpu", "nvidia", "H100", health=Health.HEALTHY)
    slow = cluster(Policy(lease_ms=180_000))
    slow.handle(report(0, 2, devices=(gpu,)))
    wants = spec(resources=Requests(1000, GIB, AcceleratorRequest(1)))
    slow.handle(controller.Submitted(1, "train-1", wants, PINS))
    slow.handle(report(0, 3, devices=(gpu,), attempts=(RUNS,)))
    slow.handle(report(0, 4, attempts=(RUNS,)))
    pass_time(slow, 60_000)
    slow.handle(report(0, 5, attempts=(RUNS,)))
    pass_time(slow, 59_000)
    assert slow.book.jobs["train-1"].reason == ""

    slow.handle(report(0, 6, attempts=(RUNS,)))
    pass_time(slow, 2_000)
    assert "gpu-0 is lost" in slow.book.jobs["train-1"].reason


def test_the_end_of_a_stream_of_a_node_that_never_reported_says_nothing() -> None:
    empty = cluster()

    assert empty.handle(controller.SessionOver("unknown", 1)) == []


def test_a_controller_that_stood_still_doubts_nobody_for_the_time_it_did() -> None:
    frozen = cluster(nodes=MANY)
    frozen.handle(controller.SessionOver("n0", 1))

    book = frozen.book
    frozen.handle(controller.Ticked(book.now_ms + 20_000, book.wall_ms + 20_000))

    # It heard nobody meanwhile, and so no new stream either.
    assert state(frozen) is NodeState.READY
