"""Laws of the two nodes of a move: what each of them is told, and what the job holds of each meanwhile."""

from dataclasses import replace
from itertools import permutations, product

from controller.core import assignments
from controller.core.placement.fit import Usage
from headrace.attempts import Attempt, Checkpoint
from headrace.jobs import AcceleratorRequest, Job, JobState, Level, Migration, MigrationState, Requests, Variant
from headrace.nodes import Device, Node
from headrace.sessions import Goal, Placement, Prefetch
from tests.core.small_world import AMD64, ARM64, GIB, PINS, spec

SOURCE, TARGET = Node("nodes/a"), Node("nodes/b")
WHOLE = Usage(cpu_millis=1000, memory_bytes=GIB, names=(("default", "train"),))
SAVED = Checkpoint("sha256:1-1", epoch=1, sequence=1)


def coming() -> Job:
    """A job that runs at the source while the target brings what it needs."""
    first = Attempt("train-1", 1, node="a", platform=AMD64, image=PINS[0].image)
    move = Migration(MigrationState.PREFETCHING, Level.CHECKPOINT, "a", "b", 1, PINS[1].image, ARM64)
    job = Job("jobs/train-1", spec(), JobState.RUNNING, epoch=1, node="a", attempts=(first,), migrations=(move,))
    return replace(job, checkpoint=SAVED)


def committed() -> Job:
    """The same job, which has left the source, and is to start at the target."""
    job = coming()
    second = Attempt("train-1", 2, node="b", platform=ARM64, image=PINS[1].image)
    move = replace(job.migrations[0], state=MigrationState.STARTING, target_epoch=2)
    job = replace(job, state=JobState.STARTING, epoch=2, node="b", migrations=(move,))
    return replace(job, attempts=(*job.attempts, second))


def test_a_job_that_is_about_to_come_holds_its_room_at_both_nodes() -> None:
    assert assignments.usage("a", (coming(),)) == WHOLE
    assert assignments.usage("b", (coming(),)) == WHOLE


def test_a_job_that_has_left_holds_no_room_where_it_was() -> None:
    assert assignments.usage("a", (committed(),)) == Usage()
    assert assignments.usage("b", (committed(),)) == WHOLE


def test_the_target_alone_is_told_what_to_bring_and_which_attempt_will_come() -> None:
    coming_here = Placement("train-1", 2, PINS[1].image, ARM64, spec(), restore=SAVED.digest)
    hint = Prefetch("train-1", PINS[1].image, ARM64, SAVED.digest, coming_here)

    assert assignments.prefetches(TARGET, (coming(),)) == (hint,)
    assert assignments.prefetches(SOURCE, (coming(),)) == ()


def test_the_target_of_a_job_that_has_never_saved_brings_the_image_alone() -> None:
    [hint] = assignments.prefetches(TARGET, (replace(coming(), checkpoint=None),))

    assert (hint.image, hint.checkpoint) == (PINS[1].image, "")


def test_the_attempt_that_will_come_has_the_variant_that_was_bound_for_the_target() -> None:
    job = coming()
    varied = replace(job.spec, variants=(Variant("false", command=("x",)), Variant("true", command=("y",))))
    moves = (replace(job.migrations[0], variant=2),)

    [hint] = assignments.prefetches(TARGET, (replace(job, spec=varied, migrations=moves),))

    assert hint.standby is not None
    assert (hint.standby.spec.command, hint.standby.spec.variants) == (("y",), ())


def test_a_job_that_needs_devices_is_not_started_ahead_since_they_are_granted_later() -> None:
    needs = Requests(accelerators=AcceleratorRequest(1))

    [hint] = assignments.prefetches(TARGET, (replace(coming(), spec=spec(resources=needs)),))

    assert hint.standby is None


def test_nothing_is_to_be_brought_any_more_once_the_job_is_the_targets() -> None:
    assert assignments.prefetches(TARGET, (committed(),)) == ()
    assert assignments.prefetches(SOURCE, (committed(),)) == ()


def test_the_source_alone_runs_the_job_before_it_has_left() -> None:
    assert [(one.epoch, one.goal) for one in assignments.placements(SOURCE, (coming(),))] == [(1, Goal.RUN)]
    assert assignments.placements(TARGET, (coming(),)) == ()


def test_the_source_keeps_what_the_job_left_until_the_target_runs_it() -> None:
    assert [(one.epoch, one.goal) for one in assignments.placements(SOURCE, (committed(),))] == [(1, Goal.FREEZE)]
    assert [(one.epoch, one.goal) for one in assignments.placements(TARGET, (committed(),))] == [(2, Goal.RUN)]


def test_the_target_starts_from_what_the_source_saved() -> None:
    [placement] = assignments.placements(TARGET, (committed(),))

    assert placement.restore == SAVED.digest


def test_what_a_node_was_told_is_not_made_again() -> None:
    told = assignments.placements(TARGET, (committed(),))

    again = assignments.placements(TARGET, (replace(committed(), state=JobState.RUNNING),), told)

    assert again == told
    assert again[0] is told[0]


def test_what_a_node_is_told_is_the_same_whatever_it_was_told_before() -> None:
    job = committed()
    last = job.attempts[-1]
    part = spec(resources=Requests(accelerators=AcceleratorRequest(1, share_millis=500)))
    others = [
        replace(job, state=JobState.CANCELLING),
        replace(job, rendezvous="b:1"),
        replace(job, checkpoint=None),
        *(
            replace(job, attempts=(last_one,))
            for last_one in (
                replace(last, image="other"),
                replace(last, platform=AMD64),
                replace(last, devices=("d",)),
            )
        ),
        replace(job, spec=part, attempts=(replace(last, devices=("d",)),)),
        replace(job, spec=replace(job.spec, variants=(Variant("true", command=("y",)),))),
        replace(
            job,
            spec=replace(job.spec, variants=(Variant("true", command=("y",)),)),
            attempts=(replace(last, variant=1),),
        ),
    ]
    nodes = (TARGET, replace(TARGET, devices=(Device("d", "gpu", "nvidia", "H100", memory_bytes=4 * GIB),)))
    for first, then in permutations(product((job, *others), nodes), 2):
        told = assignments.placements(first[1], (first[0],))

        assert assignments.placements(then[1], (then[0],), told) == assignments.placements(then[1], (then[0],))


def test_what_an_attempt_saves_itself_is_not_what_it_starts_from() -> None:
    [placement] = assignments.placements(SOURCE, (coming(),))

    assert placement.restore == ""
