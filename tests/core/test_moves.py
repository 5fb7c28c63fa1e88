"""Laws of moves, both cores at work: what one takes along, and when it is refused."""

import pytest

from controller.core.model import MoveAnswer
from headrace.attempts import Platform
from headrace.jobs import CheckpointPolicy, JobState, Level, MigrationState
from tests.core.small_world import AMD64, ARM64, FIRST, SECOND, World, refusal


def test_a_move_of_a_job_with_a_contract_goes_on_from_its_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)

    answer = world.move(target="b")

    assert isinstance(answer, MoveAnswer)
    assert answer.plan.level is Level.CHECKPOINT
    assert world.job().migrations[-1].state is MigrationState.SUCCEEDED
    assert world.running() == {"b": [SECOND]}
    assert world.sites["b"].held[SECOND].placement.restore == "sha256:1-1"
    assert world.sites["a"].engine.containers == {}


def test_a_move_of_a_job_without_a_contract_says_what_it_loses() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=None)
    world.join("b", ARM64)
    world.pass_time(60_000)

    answer = world.move(target="b", dry_run=True)

    assert isinstance(answer, MoveAnswer)
    assert answer.plan.level is Level.RESTART
    assert answer.plan.lost_millis == 60_000
    assert world.job().migrations == ()


def test_a_job_moves_ten_times_and_each_epoch_starts_once() -> None:
    world = World(a=AMD64, b=ARM64)
    world.submit()

    for _ in range(10):
        world.move()

    assert world.job().epoch == 11
    started = [ref for site in world.sites.values() for ref in site.engine.started]
    assert len(started) == len({*started}) == 11


def test_a_job_that_does_not_save_on_request_goes_on_from_its_last_checkpoint() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=CheckpointPolicy("/checkpoint", interval_ms=10_000, grace_ms=5_000))
    world.join("b", ARM64)
    world.pass_time(15_000)
    world.sites["a"].engine.saves = False

    world.move(target="b")

    assert world.running() == {"b": [SECOND]}
    assert world.sites["b"].held[SECOND].placement.restore == "sha256:1-1"
    assert "did not save" in world.job().migrations[-1].reason


def test_a_job_cannot_be_moved_twice_at_once() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")

    assert refusal(world.move(target="b")).reason == "MOVE_UNDER_WAY"
    assert world.running() == {"a": [FIRST]}


@pytest.mark.parametrize(
    ("target", "reason"),
    [("mars", "NODE_NOT_FOUND"), ("a", "ALREADY_THERE"), ("r", "TARGET_UNFIT"), ("", "NO_TARGET")],
    ids=["unknown", "its own", "unfit", "any"],
)
def test_a_move_to_nowhere_is_refused_and_leaves_the_job_as_it_was(target: str, reason: str) -> None:
    world = World(a=AMD64, r=Platform("linux", "riscv64"))
    world.submit()
    before = world.job()

    assert refusal(world.move(target=target)).reason == reason
    assert world.job() == before


def test_a_cancelled_move_ends_with_the_job() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")

    world.cancel()
    world.pass_time(10_000)

    assert world.job().state is JobState.CANCELLED
    assert world.running() == {}
