"""Laws of what a dry run foretells, from moves as records keep them."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

from google.protobuf.json_format import ParseDict

from controller.core.foresight import Foresight
from controller.core.model import MoveAnswer
from controller.core.placement.fit import Place
from headrace import wire
from headrace.attempts import Attempt, Checkpoint, Phase
from headrace.jobs import ImagePin, Job, Level, Migration, MigrationState
from headrace.v1 import job_pb2
from tests.core.small_world import AMD64, ARM64, IMAGE, PINS, World, spec

MIB = 1 << 20
# Two jobs, of 1 and of 16 MiB, that went round three nodes, as `benchmarks/predictions.py` had them go.
RECORDED = Path(__file__).with_name("recorded_moves.json")


def move(source: str, target: str, *, leaving: int, arriving: int, epoch: int = 1, moved_bytes: int = 0) -> Migration:
    """One that succeeded."""
    phases = (Phase("stop", leaving // 2), Phase("save", leaving - leaving // 2), Phase("restore", 1, moved_bytes))
    return Migration(
        MigrationState.SUCCEEDED,
        Level.CHECKPOINT,
        source,
        target,
        source_epoch=epoch,
        image=PINS[0].image,
        platform=AMD64,
        target_epoch=epoch + 1,
        phases=phases,
        downtime_millis=leaving + arriving,
    )


def job(name: str, *moves: Migration, at: str = "a", size_bytes: int = MIB) -> Job:
    """One that has these moves behind it, and runs."""
    saved = Checkpoint("sha256:1", 1, 2, size_bytes=size_bytes, sent_bytes=1000)
    attempts = tuple(Attempt(name, one.source_epoch, checkpoint=saved) for one in moves)
    return Job(f"jobs/{name}", spec(), images=PINS, node=at, checkpoint=saved, attempts=attempts, migrations=moves)


def foresight(*jobs: Job) -> Foresight:
    found = Foresight()
    found.recall(jobs)
    return found


def place(node: str, *, size_bytes: int = 5_000) -> Place:
    pin = ImagePin(AMD64, PINS[0].image, IMAGE, size_bytes)
    return Place(node, pin, AMD64, (), 0, ())


# How long.


def test_of_a_move_like_which_there_was_none_nothing_is_foretold() -> None:
    elsewhere = job("other", move("c", "d", leaving=10, arriving=20))

    assert foresight().downtime(job("mine"), Level.CHECKPOINT, target="b") is None
    assert foresight(elsewhere).downtime(job("mine"), Level.CHECKPOINT, target="b") is None


def test_what_a_job_took_between_two_nodes_it_will_take_again() -> None:
    mine = job("mine", *(move("a", "b", leaving=100, arriving=300, epoch=one) for one in (1, 3, 5)))
    other = job("other", move("a", "b", leaving=5_000, arriving=5_000))

    told = foresight(mine, other).downtime(mine, Level.CHECKPOINT, target="b")

    assert told == (400, "3 moves of this job from a to b")


def test_how_long_a_job_takes_to_leave_is_its_own_and_to_arrive_the_targets() -> None:
    mine = job("mine", move("a", "c", leaving=700, arriving=9_000))
    other = job("other", move("a", "b", leaving=10, arriving=200))

    told = foresight(mine, other).downtime(mine, Level.CHECKPOINT, target="b")

    assert told == (900, "1 move of others from a to b")


def test_where_only_the_target_is_known_it_is_told_from_that() -> None:
    other = job("other", move("c", "b", leaving=50, arriving=200))

    assert foresight(other).downtime(job("mine"), Level.CHECKPOINT, target="b") == (250, "1 move of others to b")


def test_where_the_target_is_not_known_it_is_told_from_the_jobs_other_moves() -> None:
    mine = job("mine", move("a", "c", leaving=100, arriving=200))

    told = foresight(mine).downtime(mine, Level.CHECKPOINT, target="b")

    assert told == (300, "1 move of this job to other nodes")


def test_jobs_of_about_the_same_size_tell_more_than_others() -> None:
    small = job("small", move("a", "b", leaving=10, arriving=100), size_bytes=MIB)
    large = job("large", move("a", "b", leaving=10, arriving=90_000), size_bytes=1024 * MIB)
    mine = job("mine", size_bytes=2 * MIB)

    told = foresight(small, large).downtime(mine, Level.CHECKPOINT, target="b")

    assert told == (110, "1 move of others from a to b")


def test_one_move_that_took_very_long_does_not_count_for_much() -> None:
    millis = (300, 60_000, 310)
    mine = job("mine", *(move("a", "b", leaving=0, arriving=one, epoch=n) for n, one in enumerate(millis)))

    told = foresight(mine).downtime(mine, Level.CHECKPOINT, target="b")

    assert told == (310, "3 moves of this job from a to b")


def test_the_newest_moves_count() -> None:
    millis = (9_000, 9_000, 9_000, 300, 300, 300)
    mine = job("mine", *(move("a", "b", leaving=0, arriving=one, epoch=n) for n, one in enumerate(millis)))

    told = foresight(mine).downtime(mine, Level.CHECKPOINT, target="b")

    assert told is not None
    assert told[0] == 300


def test_moves_of_another_level_tell_nothing() -> None:
    mine = job("mine", replace(move("a", "b", leaving=0, arriving=100), level=Level.RESTART))

    assert foresight(mine).downtime(mine, Level.CHECKPOINT, target="b") is None


def test_a_move_that_was_none_after_all_is_forgotten() -> None:
    mine = job("mine", move("a", "b", leaving=0, arriving=100))
    known = foresight(mine)

    known.moved(mine, replace(mine.migrations[0], state=MigrationState.ABORTED))

    assert known.downtime(mine, Level.CHECKPOINT, target="b") is None


# How much.


def runs(known: Foresight, node: str) -> None:
    known.paths.ran(job("mine"), Attempt("mine", 1, node, image=PINS[0].image))


def test_an_image_travels_only_to_a_node_that_has_not_run_it() -> None:
    mine = replace(job("mine"), checkpoint=None)
    known = foresight()
    runs(known, "b")

    assert known.moved_bytes(mine, Level.CHECKPOINT, place("b")) == 0
    assert known.moved_bytes(mine, Level.CHECKPOINT, place("c")) == 5_000


def test_of_a_job_that_never_moved_all_travels_and_what_changes_between_saves() -> None:
    known = foresight()
    runs(known, "b")

    assert known.moved_bytes(job("mine"), Level.CHECKPOINT, place("b")) == MIB + 2 * 1000


def test_of_a_job_that_has_saved_once_it_is_known_what_all_of_it_takes() -> None:
    saved = Checkpoint("sha256:1", 1, 1, size_bytes=MIB, sent_bytes=40_000)

    told = foresight().moved_bytes(replace(job("mine"), checkpoint=saved), Level.CHECKPOINT, place("b", size_bytes=0))

    assert told == 3 * 40_000


def test_a_node_that_has_had_the_job_is_sent_as_much_as_the_last_times() -> None:
    mine = job(
        "mine", *(move("a", "b", leaving=0, arriving=9, epoch=n, moved_bytes=m * MIB) for n, m in ((1, 4), (3, 1)))
    )

    told = foresight(mine).moved_bytes(mine, Level.CHECKPOINT, place("b", size_bytes=0))

    assert told == MIB


def test_a_node_that_has_not_had_the_job_is_sent_as_much_as_the_others_at_first() -> None:
    mine = job(
        "mine", *(move("a", "b", leaving=0, arriving=9, epoch=n, moved_bytes=m * MIB) for n, m in ((1, 4), (3, 1)))
    )

    told = foresight(mine).moved_bytes(mine, Level.CHECKPOINT, place("c", size_bytes=0))

    assert told == 4 * MIB


def test_a_job_that_begins_anew_takes_nothing_along() -> None:
    assert foresight().moved_bytes(job("mine"), Level.RESTART, place("b")) == 5_000


# Both cores, and records.


def test_a_dry_run_says_that_the_source_has_the_image_when_the_job_is_to_go_back() -> None:
    world = World(a=AMD64)
    world.submit()
    world.join("b", ARM64)
    there = world.move(target="b")

    back = world.move(target="a", dry_run=True)

    assert isinstance(there, MoveAnswer)
    assert isinstance(back, MoveAnswer)
    assert there.plan.bytes == 1_000
    assert back.plan.bytes < 1_000


def test_a_restarted_controller_foretells_from_the_records() -> None:
    world = World(a=AMD64, b=AMD64)
    world.submit()
    [node] = world.running()
    other = "b" if node == "a" else "a"
    world.store["jobs/train-1"] = replace(
        world.job(), migrations=(move(node, other, leaving=100, arriving=200, epoch=0),)
    )

    world.restart_controller()
    answer = world.move(target=other, dry_run=True)

    assert isinstance(answer, MoveAnswer)
    assert (answer.plan.downtime_millis, answer.plan.downtime_basis) == (
        300,
        f"1 move of this job from {node} to {other}",
    )


def test_of_recorded_moves_each_is_foretold_by_those_before_it() -> None:
    known = Foresight()
    off: list[float] = []
    for one in json.loads(RECORDED.read_text()):
        recorded = wire.load(Job, ParseDict(one, job_pb2.Job()))
        saved = {attempt.epoch: attempt.checkpoint for attempt in recorded.attempts}
        for each in recorded.migrations:
            then = replace(recorded, node=each.source, checkpoint=saved[each.source_epoch])
            told = known.downtime(then, each.level, target=each.target)
            off += [abs(told[0] / each.downtime_millis - 1)] if told is not None else []
            known.moved(recorded, each)

    assert len(off) > 50
    assert statistics.median(off) < 0.25
