"""Laws of what an agent writes down: at once what nobody could tell it again, the rest soon."""

import pytest

from agent.core import model as agent
from agent.runtimes.runtime import ContainerState
from headrace.attempts import AttemptState, Checkpoint
from headrace.sessions import Goal
from tests.core.one_agent import LEASE_MS, Agent, container, placement
from tests.core.small_world import FIRST

EXITED = container(ContainerState.EXITED, code=0)
PLAIN: tuple[agent.Event, ...] = (
    agent.Prepared(FIRST),
    agent.Started(FIRST),
    agent.Exited(FIRST, 0),
    agent.Collected(FIRST),
)


def notes(effects: list[agent.Effect]) -> list[tuple[AttemptState, bool]]:
    """What is to be written of which state, and whether that may wait."""
    return [(one.held.attempt.state, one.soon) for one in effects if isinstance(one, agent.Keep)]


def test_of_a_plain_job_only_that_it_starts_must_be_on_the_disk_at_once() -> None:
    one = Agent()
    done = one.assign(placement())
    for event in PLAIN:
        done += one.tell(event)

    assert [state for state, soon in notes(done) if not soon] == [AttemptState.STARTING]


def test_what_is_noted_before_a_start_is_noted_before_it_is_done() -> None:
    one = Agent()
    one.assign(placement())

    done = one.tell(agent.Prepared(FIRST))

    must = [place for place, one in enumerate(done) if isinstance(one, agent.Keep) and not one.soon]
    assert must[-1] < done.index(agent.Start(placement()))


def test_that_a_job_was_asked_to_leave_is_noted_at_once() -> None:
    one = Agent()
    one.run(placement())

    done = one.assign(placement(goal=Goal.CANCEL))

    assert (AttemptState.STOPPING, False) in notes(done)


def test_how_a_job_ended_that_was_asked_to_leave_is_noted_at_once() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.CANCEL))

    assert notes(one.tell(agent.Exited(FIRST, 0))) == [(AttemptState.SAVING, False)]


@pytest.mark.parametrize("code", [1, 137, 143])
def test_an_exit_that_the_engine_may_have_brought_about_is_noted_at_once(code: int) -> None:
    one = Agent()
    one.run(placement())
    # A signal's code is believed once the engine has told of it in a list.
    done = one.tell(agent.EngineFound("test", (container(ContainerState.EXITED, code=code),)))

    assert notes(done) == [(AttemptState.SAVING, False)]


def test_a_checkpoint_is_noted_at_once() -> None:
    one = Agent()
    one.run(placement())

    done = one.tell(agent.Saved(FIRST, Checkpoint("sha256:1", epoch=1, sequence=1)))

    assert notes(done) == [(AttemptState.RUNNING, False)]


def test_what_is_given_back_is_noted_at_once() -> None:
    one = Agent()
    one.assign(placement())

    assert notes(one.tell(agent.NotStarted(FIRST, "IMAGE_PULL_FAILED", "no"))) == [(AttemptState.REFUSED, False)]


@pytest.mark.parametrize("heard", range(len(PLAIN) + 1))
def test_an_agent_that_lost_its_late_notes_comes_to_the_same_end(heard: int) -> None:
    one = Agent()
    done = one.assign(placement())
    for event in PLAIN[:heard]:
        done += one.tell(event)
    held = tuple(note.held for note in done if isinstance(note, agent.Keep) and not note.soon)[-1:]
    epochs = {FIRST.job: FIRST.epoch} if held else {}
    memory = one.core.memory

    after = Agent(agent.Recollection(memory, held, epochs), *(() if heard == 0 else (EXITED,)))
    if held:
        after.assign(placement())
        after.tell(agent.Collected(FIRST))

    assert [attempt.state for attempt in (one.attempt for one in after.core.held.values())] == (
        [AttemptState.EXITED] if held else []
    )


def test_an_epoch_of_which_no_note_was_left_is_begun_again() -> None:
    one = Agent()
    one.assign(placement())
    after = Agent(agent.Recollection(one.core.memory))

    done = after.assign(placement())

    assert agent.Prepare(placement()) in done
    assert after.now_ms < LEASE_MS


def test_of_a_job_that_was_elsewhere_before_everything_is_noted_at_once() -> None:
    one = Agent()

    assert notes(one.assign(placement(2))) == [(AttemptState.PREPARING, False)]
