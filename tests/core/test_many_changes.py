"""Where many nodes have changed at once, those for whom room is kept look at few of them, and at the likeliest."""

from dataclasses import replace

import pytest

from controller.core import backfill, keeping, model
from headrace.attempts import AttemptState
from headrace.jobs import Job, Timeouts
from headrace.nodes import Capacity, Engine, Node, NodeDescription
from headrace.sessions import Report
from tests.core.lone_controller import MINUTE_MS, Controller, asks, wanted
from tests.core.small_world import AMD64, GIB

EIGHT = NodeDescription(platforms=(AMD64,), capacity=Capacity(8_000, 64 * GIB))
NODES, HEADS, FEW = 40, 4, 16
# On one of the nodes less is left behind.
LIKELIEST = "n23"


def end(by: Controller, job: Job) -> None:
    """The node of a job reports that it is done, beside others that go on."""
    attempt = by.book.jobs[job.id].attempt
    assert attempt is not None
    others = [one.attempt for one in by.book.jobs_at(attempt.node) if one.id != job.id and one.attempt is not None]
    attempts = (replace(attempt, state=AttemptState.EXITED, exit_code=0), *others)
    report = Report(attempt.node, 1, 2, EIGHT, (), engine=Engine(reachable=True), attempts=attempts)
    by.cluster.handle(model.Reported(report))


def test_many_nodes_that_change_at_once_cost_few_looks_and_the_likeliest_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "FEW", FEW)
    one, looks = Controller(), list[str]()
    for number in range(NODES):
        one.node(f"n{number}", EIGHT)
    one.tick()
    limit, soon = Timeouts(run_ms=60 * MINUTE_MS), Timeouts(run_ms=20 * MINUTE_MS)
    ends = []
    for number in range(NODES):
        where, is_it = f'node == "n{number}"', f"n{number}" == LIKELIEST
        one.submit(wanted(where=where, resources=asks(2 if is_it else 3), timeouts=soon if is_it else limit))
        ends.append(one.submit(wanted(where=where, resources=asks(5), timeouts=limit)))
    heads = [one.submit(wanted(resources=asks(7, 1 + number), priority=60)) for number in range(HEADS)]
    for _ in range(2):
        one.settle()
    assert list(one.book.turns.kept) == [head.id for head in heads]
    at = backfill._at

    def counted(job: Job, node: Node, scene: backfill.Scene, best: backfill.Kept | None) -> backfill.Kept | None:
        looks.append(node.id)
        return at(job, node, scene, best)

    monkeypatch.setattr(backfill, "_at", counted)
    for job in ends:
        end(one, job)
    one.tick(2 * keeping.PAUSE_MS)

    # All that have changed, for each of them, would be 160.
    assert 0 < len(looks) <= 3 * FEW
    assert one.book.turns.kept[heads[0].id].places == (LIKELIEST,)
