"""Laws of an agent's core alone: what it makes of a lease that lapses, and of answers that come oddly."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from agent.core.attempts import MOVES, IllegalMove, moved
from agent.runtimes.runtime import ContainerState, ContainerStatus
from headrace.attempts import Attempt, AttemptState, Checkpoint
from headrace.jobs import CheckpointPolicy, Network, Partition
from headrace.nodes import Load
from headrace.sessions import Goal, Placement, Prefetch, Prefetched, PrefetchState
from tests.core.one_agent import LEASE_MS, Agent, container, kinds, placement
from tests.core.small_world import AMD64, FIRST, PINS, description, spec

POLICY = CheckpointPolicy("/checkpoint", interval_ms=10_000, grace_ms=5_000)


# Leases.


def test_a_job_that_is_to_stop_in_a_partition_is_asked_to_leave_when_the_lease_lapses() -> None:
    one = Agent()
    one.run(placement(job=spec(partition=Partition.STOP)))

    assert agent.Fingerprint in kinds(one.pass_time(LEASE_MS))


def test_a_job_that_is_stopping_is_held_still_when_the_lease_lapses_and_asked_anew_when_it_is_back() -> None:
    freeze = placement(goal=Goal.FREEZE, job=spec(checkpoint=replace(POLICY, grace_ms=60_000)))
    one = Agent()
    one.run(replace(freeze, goal=Goal.RUN))
    one.assign(freeze)
    one.tell(agent.Fingerprinted(FIRST, "before"))

    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)
    one.tell(agent.PauseEnded(FIRST, paused=True))
    one.tell(agent.Connected(one.core.memory.session))
    assert agent.Unpause(FIRST) in one.assign(freeze)
    assert agent.AskToLeave in kinds(one.tell(agent.PauseEnded(FIRST, paused=False)))
    assert one.core.held[FIRST].fingerprint == "before"


def test_a_lapse_does_not_wait_for_a_fingerprint() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.FREEZE))

    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)


def test_what_was_released_never_goes_on_whatever_the_engine_and_the_network_do() -> None:
    one = Agent()
    one.run(placement())
    one.pass_time(LEASE_MS)
    one.tell(agent.PauseEnded(FIRST, paused=True))
    one.tell(agent.Connected(one.core.memory.session))
    assert agent.Remove(FIRST) in one.assign()

    one.tell(agent.Interrupted(FIRST, "no answer", agent.Remove))
    one.reconnect()
    one.tell(agent.EngineFound("test", (container(ContainerState.PAUSED),)))
    done = one.tell(agent.EngineFound("test", (container(ContainerState.PAUSED),)))

    assert kinds(done) == [agent.Remove, agent.Send]


def test_what_was_released_while_the_engine_was_away_is_removed_though_its_session_has_ended_since() -> None:
    one = Agent()
    one.run(placement())
    one.tell(agent.EngineLost("no answer"))
    one.assign()

    one.reconnect()
    done = one.tell(agent.EngineFound("test", (container(ContainerState.RUNNING),)))

    assert agent.Remove(FIRST) in done


def test_generations_count_within_a_session_so_that_a_controller_set_back_is_heard_again() -> None:
    one = Agent()
    one.assign(generation=1_000)

    one.reconnect()
    one.assign(placement(), generation=1)

    assert FIRST in one.core.held


# Answers that come oddly.


def test_an_exit_before_the_start_was_heard_is_an_exit() -> None:
    one = Agent()
    one.assign(placement())
    one.tell(agent.Prepared(FIRST))

    one.tell(agent.Exited(FIRST, 0))
    one.tell(agent.Started(FIRST))

    assert one.attempt().state is AttemptState.SAVING


def test_nothing_is_begun_on_a_list_that_may_be_older_than_what_the_engine_did_without_saying_so() -> None:
    one = Agent()
    one.run(placement(job=spec(partition=Partition.STOP)))
    one.assign(placement(epoch=2), placement(job=spec(partition=Partition.STOP)))
    second = FIRST._replace(epoch=2)
    one.tell(agent.Prepared(second))
    one.tell(agent.Interrupted(second, "no answer", agent.Start))

    stale = one.tell(agent.EngineFound("test", _both(ContainerState.CREATED)))
    assert agent.Relist() in stale
    assert agent.Start not in kinds(stale)
    fresh = one.tell(agent.EngineFound("test", _both(ContainerState.RUNNING)))

    assert agent.Start not in kinds(fresh)
    assert one.attempt(second).state is AttemptState.RUNNING


def _both(second: ContainerState) -> tuple[ContainerStatus, ...]:
    return container(ContainerState.RUNNING), container(second, FIRST._replace(epoch=2))


def test_what_the_engine_did_not_answer_is_asked_again_once_it_answers_and_not_before() -> None:
    one = Agent()
    one.assign(placement())

    assert agent.Prepare not in kinds(one.tell(agent.Interrupted(FIRST, "no answer", agent.Prepare)))
    assert agent.Prepare not in kinds(one.pass_time(1_000))
    one.tell(agent.EngineFound("test", ()))
    assert agent.Prepare in kinds(one.tell(agent.EngineFound("test", ())))


def test_an_engine_that_does_not_answer_is_no_evidence_about_its_containers() -> None:
    one = Agent()
    one.run(placement())

    one.tell(agent.EngineLost("no answer"))
    one.pass_time(1_000)

    assert one.attempt().state is AttemptState.RUNNING


def test_a_fingerprint_of_a_freeze_that_was_not_carried_out_is_not_the_next_ones() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.FREEZE))
    one.reconnect()
    one.tell(agent.Fingerprinted(FIRST, "old"))

    done = one.assign(placement(goal=Goal.FREEZE))

    assert agent.Fingerprint in kinds(done)
    assert agent.AskToLeave not in kinds(done)


def test_a_fingerprint_that_a_lapse_has_overtaken_is_taken_anew() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.FREEZE))
    one.pass_time(LEASE_MS)
    one.tell(agent.PauseEnded(FIRST, paused=True))
    one.tell(agent.Fingerprinted(FIRST, "old"))
    one.tell(agent.Connected(one.core.memory.session))
    one.assign(placement(goal=Goal.FREEZE))

    assert agent.Fingerprint in kinds(one.tell(agent.PauseEnded(FIRST, paused=False)))


def test_that_a_job_is_asked_to_leave_is_written_down_before_it_is_asked() -> None:
    one = Agent()
    one.run(placement())

    done = one.assign(placement(goal=Goal.CANCEL))

    keeps = [
        at for at, effect in enumerate(done) if isinstance(effect, agent.Keep) and effect.held.attempt.stop_requested
    ]
    assert keeps[0] < kinds(done).index(agent.AskToLeave)


def test_a_request_to_leave_that_the_engine_did_not_answer_is_made_again() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.CANCEL))
    one.tell(agent.Interrupted(FIRST, "no answer", agent.AskToLeave))

    one.tell(agent.EngineFound("test", (container(ContainerState.RUNNING),)))
    done = one.tell(agent.EngineFound("test", (container(ContainerState.RUNNING),)))

    assert agent.AskToLeave in kinds(done)


def test_a_container_that_exits_while_it_is_paused_is_not_waited_for() -> None:
    one = Agent()
    one.run(placement())
    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)

    assert agent.Collect in kinds(one.tell(agent.Exited(FIRST, 0)))


def test_a_periodic_checkpoint_that_comes_late_neither_replaces_a_newer_one_nor_hides_why_the_job_ended() -> None:
    one = Agent()
    one.run(placement(job=spec(checkpoint=POLICY)))
    one.pass_time(POLICY.interval_ms)
    one.tell(agent.Exited(FIRST, 137, reason="OUT_OF_MEMORY", message="used too much"))
    one.tell(agent.Collected(FIRST, Checkpoint("sha256:2", 1, 2)))

    one.tell(agent.Saved(FIRST, Checkpoint("sha256:1", 1, 1)))

    assert one.attempt().checkpoint == Checkpoint("sha256:2", 1, 2)
    assert one.attempt().message == "used too much"


@pytest.mark.parametrize(
    ("code", "changed", "saved"), [(143, True, True), (143, False, False), (85, False, True), (0, False, False)]
)
def test_a_job_has_saved_on_request_if_its_directory_changed_or_its_exit_code_says_so(
    code: int, *, changed: bool, saved: bool
) -> None:
    one = Agent()
    one.run(placement(job=spec(checkpoint=POLICY)))
    one.assign(placement(job=spec(checkpoint=POLICY), goal=Goal.FREEZE))
    one.tell(agent.Fingerprinted(FIRST, "before"))

    one.tell(agent.Exited(FIRST, code))
    one.tell(agent.Collected(FIRST, Checkpoint("sha256:1", 1, 1), changed=changed))

    assert one.attempt().saved_on_request is saved


def test_one_periodic_checkpoint_is_taken_at_a_time() -> None:
    one = Agent()
    one.run(placement(job=spec(checkpoint=POLICY)))

    taken = [kinds(one.pass_time(5_000)).count(agent.Save) for _ in range(2)]
    one.assign(placement(job=spec(checkpoint=POLICY)))
    taken += [kinds(one.pass_time(5_000)).count(agent.Save) for _ in range(2)]

    assert taken == [0, 1, 0, 0]


def test_a_job_that_leaves_neither_when_asked_nor_in_time_is_killed_once() -> None:
    one = Agent()
    one.run(placement(job=spec(checkpoint=POLICY)))
    one.assign(placement(job=spec(checkpoint=POLICY), goal=Goal.CANCEL))

    killed = [kinds(one.pass_time(2_500)).count(agent.Kill) for _ in range(4)]

    assert killed == [0, 1, 0, 0]
    assert one.attempt().killed


def test_an_attempt_that_is_cancelled_while_it_is_prepared_is_refused_at_once() -> None:
    one = Agent()
    one.assign(placement())

    one.assign(placement(goal=Goal.CANCEL))

    assert (one.attempt().state, one.attempt().reason) == (AttemptState.REFUSED, "LEFT_BEFORE_START")


def test_an_attempt_whose_start_is_under_way_is_not_refused_for_it_may_run_already() -> None:
    one = Agent()
    one.assign(placement())
    one.tell(agent.Prepared(FIRST))

    one.assign(placement(goal=Goal.CANCEL))

    assert one.attempt().state is AttemptState.STARTING


# Hints.


def test_a_fetch_under_way_is_not_begun_anew_for_each_checkpoint_that_the_job_takes_meanwhile() -> None:
    one = Agent()
    first, second = (Prefetch("move-1", PINS[0].image, AMD64, checkpoint) for checkpoint in ("sha256:1", "sha256:2"))
    assert agent.Fetch(first) in one.assign(hints=(first,))

    assert one.assign(hints=(second,)) == []
    one.tell(agent.Fetched(Prefetched("move-1", first.image, "sha256:1", PrefetchState.READY)))

    assert [told.state for told in one.sent[-1].prefetched] == [PrefetchState.READY]
    assert kinds(one.assign(hints=(second,))) == [agent.DropFetched, agent.Fetch]


def test_a_hint_that_is_gone_is_dropped() -> None:
    one = Agent()
    hint = Prefetch("move-1", PINS[0].image, AMD64)
    one.assign(hints=(hint,))

    assert agent.DropFetched(hint) in one.assign()


@pytest.mark.parametrize(
    "coming",
    [placement(epoch=1), placement(epoch=2, job=spec(network=Network.HOST))],
    ids=["an epoch that was here", "the host's network"],
)
def test_nothing_is_started_ahead_that_would_not_be_taken_on(coming: Placement) -> None:
    one = Agent()
    one.assign(placement(epoch=1))

    plain = Prefetch("train-1", PINS[0].image, AMD64)

    assert agent.Fetch(plain) in one.assign(placement(epoch=1), hints=(replace(plain, standby=coming),))


def test_a_hint_is_carried_out_with_the_attempt_that_will_come() -> None:
    one = Agent()
    hint = Prefetch("train-1", PINS[0].image, AMD64, standby=placement(epoch=2))

    assert agent.Fetch(hint) in one.assign(hints=(hint,))


def test_a_hint_is_dropped_before_the_attempt_that_it_was_for_is_prepared() -> None:
    one = Agent()
    hint = Prefetch("train-1", PINS[0].image, AMD64, standby=placement(epoch=2))
    one.assign(hints=(hint,))

    done = one.assign(placement(epoch=2))

    assert done.index(agent.DropFetched(hint)) < done.index(agent.Prepare(placement(epoch=2)))


def test_what_stands_by_for_an_epoch_that_is_over_is_dropped_and_made_anew_for_the_next() -> None:
    one = Agent()
    hint = Prefetch("train-1", PINS[0].image, AMD64, standby=placement(epoch=2))
    one.assign(hints=(hint,))
    later = replace(hint, standby=placement(epoch=3))

    assert [one.assign(hints=(later,))[:2], one.assign(hints=(later,))[:1]] == [
        [agent.DropFetched(hint), agent.Fetch(later)],
        [],
    ]


@pytest.mark.parametrize("state", AttemptState)
def test_no_move_is_legal_that_is_not_in_the_table(state: AttemptState) -> None:
    for after in AttemptState:
        if after not in MOVES[state]:
            with pytest.raises(IllegalMove):
                moved(Attempt("train-1", 1, state=state), after)


def test_a_job_that_wants_the_hosts_network_is_refused_where_the_node_does_not_allow_it() -> None:
    one = Agent()

    done = one.assign(placement(job=spec(network=Network.HOST)))

    assert agent.Prepare not in kinds(done)
    assert (one.attempt().state, one.attempt().reason) == (AttemptState.REFUSED, "HOST_NETWORK_FORBIDDEN")


def test_a_job_that_wants_the_hosts_network_runs_where_the_node_allows_it() -> None:
    one = Agent()
    one.tell(agent.Sensed(replace(description(), host_network=True), (), Load()))

    assert agent.Prepare in kinds(one.assign(placement(job=spec(network=Network.HOST))))
