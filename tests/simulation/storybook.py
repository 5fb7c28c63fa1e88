"""`python -m tests.simulation.storybook`: stories that a reader should know, told by both cores where nothing is drawn.

Each is a function that lets things happen to a world; what comes of it is compared with a file of its name.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from controller.core.model import CancelAsked, DrainAsked, MoveAsked, Save
from headrace.jobs import CheckpointPolicy, Job
from headrace.nodes import Drain
from tests.core.small_world import spec
from tests.simulation.programs import Program
from tests.simulation.transcript import Transcript
from tests.simulation.world import NODES, Wanted, World

FOLDER = Path(__file__).with_name("stories")
SAVES = CheckpointPolicy("/checkpoint", interval_ms=3_000, grace_ms=5_000)
STORIES: list[Callable[[World], None]] = []


class Unhurried(Random):
    """Draws the middle of what there is, so that a story changes only where a core does."""

    def random(self) -> float:
        """Neither early nor late."""
        return 0.5


def _story(story: Callable[[World], None]) -> Callable[[World], None]:
    STORIES.append(story)
    return story


def told(story: Callable[[World], None]) -> str:
    """The transcript of a story."""
    transcript = Transcript()
    names = list(NODES)[: 3 if "third" in (story.__doc__ or "") else 2]
    world = World(Unhurried(0), nodes={name: NODES[name] for name in names})
    world.pass_time(2_000)
    # What happens when nodes join is the same in each.
    world.story = transcript
    story(world)
    title = (story.__doc__ or "").strip()
    return "\n".join((title, "=" * len(title), "", *transcript.lines, "", *_ends(world))) + "\n"


def _ends(world: World) -> list[str]:
    ends = []
    for job in world.jobs:
        place = f" on {job.node}" if job.node and not job.ended else ""
        reason = f": {job.reason}" if job.reason else ""
        ends.append(f"In the end {job.name} is {job.state.name} in epoch {job.epoch}{place}{reason}.")
        for move in job.migrations:
            why = f": {move.reason}" if move.reason else ""
            ends.append(f"Its move from {move.source} to {move.target} {move.state.name}{why}.")
    return ends


def _submit(world: World, *, work_ms: int | None = None, lost_after_ms: int = 12_000) -> None:
    world.submit(Wanted("train", spec(checkpoint=SAVES, lost_after_ms=lost_after_ms), [Program(work_ms)]))
    world.pass_time(6_000)


def _move(world: World, target: str = "b") -> None:
    world.ask(lambda token: MoveAsked(token, "train", target=target))


@_story
def a_jobs_whole_life(world: World) -> None:
    """A job is submitted, placed, prepared, started, saved now and then, and done."""
    _submit(world, work_ms=8_000)
    world.pass_time(8_000)


@_story
def a_move(world: World) -> None:
    """A job moves: prefetch, freeze, commit, start at the target, release at the source."""
    _submit(world)
    _move(world)
    world.pass_time(8_000)


@_story
def a_move_whose_target_fails(world: World) -> None:
    """The target cannot start the job after the commit: it goes on at its source, in a new epoch, nothing lost."""
    _submit(world)
    _move(world)
    world.pass_time(1_500)
    world.faults = replace(world.faults, no_start=1.0)
    world.pass_time(3_500)
    world.faults = replace(world.faults, no_start=0.0)
    world.pass_time(5_000)


@_story
def a_cut_that_is_shorter_than_the_lease(world: World) -> None:
    """The network is away for less than a lease: nobody does anything about it."""
    _submit(world)
    world.sites["a"].line.cut(up=True, down=True)
    world.pass_time(3_000)
    world.sites["a"].line.mend()
    world.pass_time(4_000)


@_story
def a_cut_that_is_longer_than_the_lease(world: World) -> None:
    """The network is away for longer than a lease and shorter than `lost_after`: the job is held still, and goes on."""
    _submit(world)
    world.sites["a"].line.cut(up=True, down=True)
    world.pass_time(9_000)
    world.sites["a"].line.mend()
    world.pass_time(5_000)


@_story
def a_cut_that_is_longer_than_lost_after(world: World) -> None:
    """The network is away for longer than `lost_after`: the job goes on elsewhere, and what comes back is not heard."""
    _submit(world)
    world.sites["a"].line.cut(up=True, down=True)
    world.pass_time(16_000)
    world.sites["a"].line.mend()
    world.pass_time(5_000)


@_story
def an_agent_killed_in_a_move(world: World) -> None:
    """The source's agent is killed while the job is asked to leave: the next one finds what is to be done."""
    _submit(world)
    _move(world)
    world.pass_time(1_800)
    world.sites["a"].crash()
    world.pass_time(12_000)


@_story
def a_controller_killed_between_commit_and_send(world: World) -> None:
    """The controller is killed when it has saved that the target is to start the job, and has told nobody."""
    _submit(world)
    _move(world)
    world.controller.crashes_after(lambda effects: any(_commits(one) for one in effects))
    world.pass_time(12_000)


def _commits(effect: object) -> bool:
    return isinstance(effect, Save) and isinstance(effect.record, Job) and effect.record.epoch == 2


@_story
def a_drain(world: World) -> None:
    """A node is drained: what can move moves, and it is drained once it reports that nothing is left."""
    _submit(world)
    world.ask(lambda token: DrainAsked(token, "a", Drain.DRAINING))
    world.pass_time(9_000)


@_story
def a_cancel_during_a_move(world: World) -> None:
    """A job is cancelled while it moves: the move ends, and so does the job."""
    _submit(world)
    _move(world)
    world.pass_time(1_200)
    world.past.cancelled["train"] = None
    world.ask(lambda token: CancelAsked(token, "train"))
    world.pass_time(6_000)


@_story
def a_reboot(world: World) -> None:
    """A machine goes down with what it runs and comes back: the job has not failed, and goes on from its checkpoint."""
    _submit(world)
    world.sites["a"].reboot()
    world.pass_time(4_000)
    world.sites["a"].engine_up()
    world.pass_time(10_000)


@_story
def a_target_that_is_lost_before_the_commit(world: World) -> None:
    """The target falls silent while it brings what it needs: the move is given up, and the job never stood still."""
    _submit(world)
    _move(world)
    world.sites["b"].line.cut(up=True, down=True)
    world.pass_time(12_000)


def main() -> int:
    """Writes all stories anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for story in STORIES:
        (FOLDER / f"{story.__name__}.txt").write_text(told(story))
    sys.stdout.write(f"{len(STORIES)} stories are in {FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
