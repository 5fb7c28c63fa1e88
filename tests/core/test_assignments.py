"""What a node is told, and when what it is told counts as new."""

from controller.core import model as controller
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.leases import lease_of
from headrace.attempts import Attempt, AttemptState
from headrace.sessions import Assignment, Report
from tests.core.small_world import AMD64, PINS, World, description, spec

ANSWER_MS = lease_of(Policy(), 1).answer_ms


def cluster_with_two_jobs() -> Cluster:
    """Node a, on which train-1 and train-2 are placed."""
    cluster = Cluster(Book("cluster-1", Policy(), (), ()))
    cluster.handle(controller.Ticked(1_000, 1_700_000_000_000))
    cluster.handle(controller.Reported(report(1)))
    for number in (1, 2):
        cluster.handle(controller.Submitted(number, f"train-{number}", spec(), PINS))
    return cluster


def report(sequence: int, *attempts: Attempt) -> Report:
    return Report("a", 5, sequence, description(), engine=World(a=AMD64).node("a").engine, attempts=attempts)


def assignment_in(effects: list[controller.Effect]) -> Assignment:
    [assign] = [effect for effect in effects if isinstance(effect, controller.Assign)]
    return assign.assignment


def heard(cluster: Cluster, report: Report, *, after_ms: int = ANSWER_MS) -> list[controller.Effect]:
    """What comes of a report that arrives so long after whatever was before it."""
    book = cluster.book
    cluster.handle(controller.Ticked(book.now_ms + after_ms, book.wall_ms + after_ms))
    return cluster.handle(controller.Reported(report))


def test_an_attempt_that_goes_on_makes_no_new_generation() -> None:
    cluster = cluster_with_two_jobs()
    runs = Attempt("train-1", 1, state=AttemptState.RUNNING)
    before = assignment_in(heard(cluster, report(2)))

    after = assignment_in(heard(cluster, report(3, runs)))

    assert (after.generation, after.placements) == (before.generation, before.placements)


def test_a_report_is_answered_with_all_that_the_node_should_run() -> None:
    cluster = cluster_with_two_jobs()

    for sequence in (2, 3):
        told = assignment_in(heard(cluster, report(sequence)))

        assert told.acked_sequence == sequence
        assert [placement.job for placement in told.placements] == ["train-1", "train-2"]


def test_reports_that_follow_on_an_answer_are_not_each_answered_with_nothing_new() -> None:
    cluster = cluster_with_two_jobs()
    assignment_in(heard(cluster, report(2)))

    assert not [one for one in heard(cluster, report(3), after_ms=1) if isinstance(one, controller.Assign)]


def test_a_report_is_answered_long_before_the_lease_of_an_earlier_answer_is_over() -> None:
    lease = lease_of(Policy(), 1)

    assert lease.answer_ms + lease.agent_ms // 3 < lease.agent_ms // 2


def test_a_job_that_ends_is_taken_out_of_what_its_node_should_run_in_a_new_generation_at_once() -> None:
    cluster = cluster_with_two_jobs()
    done = Attempt("train-1", 1, state=AttemptState.EXITED, exit_code=0)
    before = assignment_in(heard(cluster, report(2)))

    after = assignment_in(heard(cluster, report(3, done), after_ms=1))

    assert after.generation == before.generation + 1
    assert [placement.job for placement in after.placements] == ["train-2"]
