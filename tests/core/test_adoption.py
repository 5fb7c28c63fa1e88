"""Laws of adoption: what an agent that was killed takes up again, from its journal and its engine's list."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from agent.runtimes.runtime import ContainerState
from headrace.attempts import ENDED_ATTEMPT, Attempt, AttemptState, Checkpoint
from headrace.jobs import Partition
from headrace.sessions import Goal, Placement
from tests.core.one_agent import LEASE_MS, Agent, container, kinds, placement
from tests.core.small_world import AMD64, FIRST, spec


def held(state: AttemptState, wanted: Placement | None = None, **changes: object) -> agent.Recollection:
    """What a journal holds of one attempt."""
    attempt = Attempt("train-1", 1, node="a", platform=AMD64, state=state, **changes)  # type: ignore[arg-type]
    return agent.Recollection(
        agent.Memory(3, "cluster-1"), (agent.Held(wanted or placement(), attempt),), {"train-1": 1}
    )


def restarted(state: AttemptState, seen: ContainerState | None) -> Agent:
    """An agent that found this in its journal, and the container like this, or none."""
    return Agent(held(state), *([container(seen, code=0)] if seen is not None else []))


@pytest.mark.parametrize("seen", [None, ContainerState.CREATED])
def test_a_restarted_agent_prepares_again_what_it_was_preparing(seen: ContainerState | None) -> None:
    one = restarted(AttemptState.PREPARING, seen)

    assert kinds(one.assign(placement())).count(agent.Prepare) == 1


def test_a_restarted_agent_starts_what_it_had_noted_and_not_started() -> None:
    one = restarted(AttemptState.STARTING, ContainerState.CREATED)
    assert agent.Start not in kinds(one.booted)

    assert kinds(one.assign(placement())).count(agent.Start) == 1


def test_a_restarted_agent_takes_up_what_it_had_started_without_hearing_so() -> None:
    one = restarted(AttemptState.STARTING, ContainerState.RUNNING)

    assert one.attempt().state is AttemptState.RUNNING
    assert agent.Start not in kinds(one.booted + one.assign(placement()))


@pytest.mark.parametrize(
    "state", [AttemptState.STARTING, AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING]
)
def test_a_restarted_agent_collects_what_ended_while_it_was_away(state: AttemptState) -> None:
    one = restarted(state, ContainerState.EXITED)

    assert kinds(one.booted).count(agent.Collect) == 1
    assert (one.attempt().state, one.attempt().exit_code) == (AttemptState.SAVING, 0)


@pytest.mark.parametrize("seen", [ContainerState.RUNNING, ContainerState.PAUSED])
def test_a_restarted_agent_holds_still_what_runs_until_it_has_a_lease(seen: ContainerState) -> None:
    one = restarted(AttemptState.RUNNING, seen)
    assert (agent.Pause in kinds(one.booted)) == (seen is ContainerState.RUNNING)
    one.tell(agent.PauseEnded(FIRST, paused=True))

    assert agent.Unpause(FIRST) in one.assign(placement())


def test_a_restarted_agent_lets_go_on_what_it_held_still() -> None:
    one = restarted(AttemptState.PAUSED, ContainerState.PAUSED)
    one.assign(placement())

    one.tell(agent.PauseEnded(FIRST, paused=False))

    assert one.attempt().state is AttemptState.RUNNING


def test_a_restarted_agent_asks_again_what_it_had_asked_to_leave() -> None:
    one = restarted(AttemptState.STOPPING, ContainerState.RUNNING)
    one.tell(agent.PauseEnded(FIRST, paused=True))
    one.assign(placement(goal=Goal.CANCEL))

    assert agent.AskToLeave in kinds(one.tell(agent.PauseEnded(FIRST, paused=False)))


def test_a_restarted_agent_collects_again_what_it_was_collecting() -> None:
    one = restarted(AttemptState.SAVING, ContainerState.EXITED)

    assert kinds(one.booted).count(agent.Collect) == 1


@pytest.mark.parametrize("state", ENDED_ATTEMPT)
def test_a_restarted_agent_does_nothing_with_what_is_over_but_tell_of_it(state: AttemptState) -> None:
    one = restarted(state, ContainerState.EXITED)

    assert kinds(one.booted) == []
    assert [one.state for one in one.sent[-1].attempts] == [state]


@pytest.mark.parametrize("state", AttemptState)
def test_a_restarted_agent_removes_whatever_is_not_wanted_any_more(state: AttemptState) -> None:
    one = restarted(state, ContainerState.EXITED)

    assert agent.Remove(FIRST) in one.assign()


@pytest.mark.parametrize(
    "state", [AttemptState.STARTING, AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING]
)
def test_it_takes_two_lists_to_know_that_a_container_is_gone(state: AttemptState) -> None:
    one = restarted(state, None)
    # Nothing is asked of a container that may not be there.
    assert kinds(one.booted) in ([agent.Relist], [agent.Relist, agent.Follow])
    assert one.attempt().state is state

    done = one.tell(agent.EngineFound("test", ()))

    assert (one.attempt().state, one.attempt().exit_code) == (AttemptState.SAVING, None)
    assert one.attempt().reason == "CONTAINER_MISSING"
    assert agent.Collect in kinds(done)


def test_a_container_that_is_in_no_journal_is_removed() -> None:
    one = Agent(None, container(ContainerState.RUNNING))

    assert agent.Remove(FIRST) in one.booted


def test_a_restarted_agent_begins_another_session_than_it_had() -> None:
    one = Agent(held(AttemptState.RUNNING), container(ContainerState.RUNNING), alone=True)

    assert one.core.memory.session == 4


def test_a_restarted_agent_counts_its_checkpoints_on() -> None:
    saved = Checkpoint("sha256:7", 1, 7)
    one = Agent(held(AttemptState.RUNNING, checkpoint=saved), container(ContainerState.EXITED, code=85))

    assert [effect.sequence for effect in one.booted if isinstance(effect, agent.Collect)] == [8]


def test_a_restart_of_the_agent_stops_no_job_that_is_to_stop_in_a_partition() -> None:
    wanted = placement(job=spec(partition=Partition.STOP))

    one = Agent(held(AttemptState.RUNNING, wanted), container(ContainerState.RUNNING), alone=True)

    assert agent.Pause(FIRST) in one.booted
    one.pass_time(10 * LEASE_MS)
    assert one.attempt().stop_requested is False


def test_a_restart_of_the_agent_refuses_no_attempt_that_is_to_stop_in_a_partition() -> None:
    wanted = placement(job=spec(partition=Partition.STOP))

    one = Agent(held(AttemptState.PREPARING, wanted), alone=True)

    assert one.attempt().state is AttemptState.PREPARING


def emptied(*, listed: bool) -> Agent:
    """An agent whose journal is gone, though its container runs, and which has seen it or not."""
    return Agent(agent.Recollection(agent.Memory(1_700_000_000)), container(ContainerState.RUNNING), listed=listed)


def test_an_epoch_that_has_a_container_is_taken_whatever_the_journal_says() -> None:
    one = emptied(listed=True)
    assert agent.Prepare not in kinds(one.assign(placement()))

    one.tell(agent.EngineFound("test", ()))

    assert (one.attempt().state, one.attempt().reason) == (AttemptState.REFUSED, "EPOCH_TAKEN")


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_job_is_neither_given_back_nor_begun_while_a_container_of_it_is_there_that_is_not_held(epoch: int) -> None:
    one = emptied(listed=True)

    one.assign(placement(epoch))

    assert one.core.held == {}


def test_that_an_epoch_has_a_container_is_written_down_before_the_container_is_removed() -> None:
    assert kinds(emptied(listed=True).booted)[:2] == [agent.Forget, agent.Remove]


def test_an_agent_without_a_journal_takes_nothing_on_before_it_knows_the_engines_containers() -> None:
    one = emptied(listed=False)
    assert agent.Prepare not in kinds(one.assign(placement(), replace(placement(), job="other-1")))

    done = one.tell(agent.EngineFound("test", (container(ContainerState.RUNNING),)))

    assert [effect.placement.job for effect in done if isinstance(effect, agent.Prepare)] == ["other-1"]


def test_an_agent_without_a_journal_remembers_its_cluster_no_sooner_than_it_knows_the_engines_containers() -> None:
    one = emptied(listed=False)
    assert agent.Remember not in kinds(one.assign())
    one.tell(agent.EngineFound("test", ()))

    assert agent.Remember in kinds(one.assign())


def test_an_agent_with_a_journal_takes_on_what_it_is_assigned_though_its_engine_is_not_there() -> None:
    one = Agent(agent.Recollection(agent.Memory(3, "cluster-1")), listed=False)

    assert agent.Keep in kinds(one.assign(placement()))


def test_a_restarted_agent_gives_no_job_back_before_it_knows_whether_a_container_of_it_is_there() -> None:
    one = Agent(agent.Recollection(agent.Memory(3, "cluster-1"), epochs={"train-1": 1}), listed=False)
    one.assign(placement())
    assert one.core.held == {}

    one.tell(agent.EngineFound("test", ()))

    assert one.attempt().reason == "EPOCH_TAKEN"


def test_what_is_to_stop_in_a_partition_and_is_held_still_is_not_let_go_on_to_leave() -> None:
    wanted = placement(job=spec(partition=Partition.STOP))
    one = Agent(held(AttemptState.RUNNING, wanted), container(ContainerState.PAUSED))
    one.assign(wanted)
    one.tell(agent.Declined(FIRST, "not this one", agent.Unpause))

    done = one.pass_time(2 * LEASE_MS)

    assert agent.Unpause not in kinds(done)


def test_a_container_that_nobody_holds_and_that_cannot_be_removed_yet_is_held_still() -> None:
    one = Agent(None, container(ContainerState.RUNNING))
    assert agent.Remove(FIRST) in one.booted

    assert one.tell(agent.Declined(FIRST, "device or resource busy", agent.Remove)) == [agent.Pause(FIRST)]


def test_a_container_that_nobody_holds_is_removed_though_the_engine_broke_off_the_first_time() -> None:
    one = Agent(None, container(ContainerState.RUNNING))

    one.tell(agent.Interrupted(FIRST, "no answer", agent.Remove))
    doubted = one.tell(agent.EngineFound("test", (container(ContainerState.RUNNING),)))
    sure = one.tell(agent.EngineFound("test", (container(ContainerState.RUNNING),)))

    assert agent.Relist() in doubted
    assert agent.Remove(FIRST) in sure
