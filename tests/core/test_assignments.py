"""What a node is told, and when what it is told counts as new."""

from controller.core import model as controller
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from headrace.attempts import Attempt, AttemptState
from headrace.sessions import Assignment, Report
from tests.core.small_world import AMD64, PINS, World, description, spec


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


def test_an_attempt_that_goes_on_makes_no_new_generation() -> None:
    cluster = cluster_with_two_jobs()
    runs = Attempt("train-1", 1, state=AttemptState.RUNNING)
    before = assignment_in(cluster.handle(controller.Reported(report(2))))

    after = assignment_in(cluster.handle(controller.Reported(report(3, runs))))

    assert (after.generation, after.placements) == (before.generation, before.placements)


def test_every_report_is_acknowledged_with_all_that_the_node_should_run() -> None:
    cluster = cluster_with_two_jobs()

    for sequence in (2, 3):
        told = assignment_in(cluster.handle(controller.Reported(report(sequence))))

        assert told.acked_sequence == sequence
        assert [placement.job for placement in told.placements] == ["train-1", "train-2"]


def test_a_job_that_ends_is_taken_out_of_what_its_node_should_run_in_a_new_generation() -> None:
    cluster = cluster_with_two_jobs()
    done = Attempt("train-1", 1, state=AttemptState.EXITED, exit_code=0)
    before = assignment_in(cluster.handle(controller.Reported(report(2))))

    after = assignment_in(cluster.handle(controller.Reported(report(3, done))))

    assert after.generation == before.generation + 1
    assert [placement.job for placement in after.placements] == ["train-2"]
