"""A move within a quota in units: what a job would have is measured as what it has, though units change meanwhile."""

from collections.abc import Callable
from dataclasses import replace

from agent.runtimes.runtime import Ref
from controller.core import model, moves
from headrace.attempts import EXIT_SAVED, AttemptState, Platform
from headrace.jobs import Job, Requests
from headrace.nodes import Capacity, Drain, Engine, NodeDescription
from headrace.projects import Declared, Quota
from headrace.refusals import Refusal
from headrace.sessions import Report
from tests.core.lone_controller import Controller, wanted
from tests.core.small_world import CONTRACT, GIB, _checkpoint

AMD64 = Platform("linux", "amd64")
SMALL = NodeDescription(platforms=(AMD64,), capacity=Capacity(8_000, 64 * GIB))
# With it, memory is scarce: what holds the same has more units.
LARGE = NodeDescription(platforms=(AMD64,), capacity=Capacity(100_000, 64 * GIB))
ENGINE = Engine(reachable=True)


def at_its_quota() -> tuple[Controller, Job]:
    """A job that runs on one of two nodes, and has all of the quota that its project may not pass."""
    controller = Controller({"default": Declared(1.0, Quota(unit_millis=4_000), borrows=False)})
    for name in "ab":
        controller.node(name, SMALL)
    controller.tick()
    job = controller.submit(wanted(resources=Requests(1_000, 32 * GIB), checkpoint=CONTRACT))
    controller.settle()
    reported(controller, job, 2, state=AttemptState.RUNNING)
    return controller, controller.book.jobs[job.id]


def reported(controller: Controller, job: Job, sequence: int, **changes: object) -> None:
    """The node of the job tells of its attempt."""
    now = controller.book.jobs[job.id]
    assert now.attempt is not None
    attempt = replace(now.attempt, **changes)  # type: ignore[arg-type]
    controller.cluster.handle(model.Reported(Report(now.node, 1, sequence, SMALL, engine=ENGINE, attempts=(attempt,))))


def asked(controller: Controller, make: Callable[[int], model.Event]) -> object:
    """What it answers."""
    controller.count += 1
    [answer] = [one for one in controller.cluster.handle(make(controller.count)) if isinstance(one, model.Answer)]
    return answer.value


def test_a_job_at_its_quota_may_move_though_units_have_changed_since_it_came() -> None:
    controller, job = at_its_quota()
    controller.node("z", LARGE)
    controller.tick()

    assert not isinstance(asked(controller, lambda token: model.MoveAsked(token, job.id, dry_run=True)), Refusal)


def test_it_leaves_a_node_that_is_drained() -> None:
    controller, job = at_its_quota()
    controller.node("z", LARGE)
    controller.tick()

    asked(controller, lambda token: model.DrainAsked(token, job.node, Drain.DRAINING))
    controller.settle()

    assert controller.book.jobs[job.id].migration is not None


def test_a_move_under_way_does_not_lose_both_its_places() -> None:
    controller, job = at_its_quota()
    asked(controller, lambda token: model.MoveAsked(token, job.id))
    moves.freeze(controller.book, controller.book.jobs[job.id], ())
    controller.node("z", LARGE)
    controller.tick()

    saved = _checkpoint(Ref(job.id, 0, 1), 1)
    ended = {"state": AttemptState.EXITED, "exit_code": EXIT_SAVED, "saved_on_request": True}
    reported(controller, job, 3, checkpoint=saved, **ended)
    controller.settle()

    assert controller.book.jobs[job.id].node
