"""The eight rules of a session (node_service.proto), a law each: whoever takes a rule out of the code fails here."""

from agent.core import model as agent
from agent.runtimes.runtime import Ref
from controller.core import model as controller
from controller.core.book import Book, Policy
from controller.core.cluster import Cluster
from controller.core.leases import lease_of
from headrace.attempts import Attempt, AttemptState, Phase
from headrace.jobs import Job, JobState, MigrationState
from headrace.nodes import Node
from headrace.refusals import Refusal
from headrace.sessions import FAR_APART, Goal, Report
from tests.core.one_agent import LEASE_MS, Agent, placement
from tests.core.small_world import AMD64, ARM64, FIRST, PINS, SECOND, SLOW, World, description, spec


def controller_with_a_job() -> Cluster:
    """Node a reported once, in session 5; a job was placed there."""
    cluster = Cluster(Book("cluster-1", Policy(), (), ()))
    cluster.handle(controller.Ticked(1_000, 1_700_000_000_000))
    cluster.handle(controller.Reported(report(1)))
    cluster.handle(controller.Submitted(1, "train-1", spec(), PINS))
    return cluster


def report(sequence: int, *states: AttemptState, session: int = 5) -> Report:
    attempts = tuple(Attempt("train-1", 1, state=state) for state in states)
    whole = World(a=AMD64).node("a")
    return Report("a", session, sequence, description(), engine=whole.engine, attempts=attempts)


def job_of(cluster: Cluster) -> Job:
    return cluster.book.jobs["train-1"]


def test_rule_1_an_agent_whose_lease_lapsed_starts_nothing() -> None:
    one = Agent()
    one.assign(placement())

    one.pass_time(LEASE_MS)

    assert one.tell(agent.Prepared(FIRST)) == []
    assert one.attempt().state is AttemptState.PREPARING


def test_rule_1_an_agent_whose_lease_lapsed_holds_still_what_runs() -> None:
    one = Agent()
    one.run(placement())

    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)


def test_rule_1_the_agent_gives_up_before_the_controller_does() -> None:
    world = World(a=AMD64)
    world.submit(lost_after_ms=1)
    world.sites["a"].cut = True

    while world.running():
        assert world.job().epoch == 1
        world.pass_time(1_000)

    assert world.job().epoch == 1


def test_rule_2_the_lease_runs_from_when_the_acknowledged_report_left() -> None:
    one = Agent()
    one.run(placement())
    acknowledged = one.sent[-1].sequence

    one.pass_time(LEASE_MS - 1)
    one.assign(placement(), acked=acknowledged)

    assert agent.Pause(FIRST) in one.pass_time(1)


def test_rule_3_an_epoch_is_taken_on_once() -> None:
    one = Agent(agent.Recollection(epochs={"train-1": 3}))

    done = one.assign(placement(epoch=3))

    assert not [effect for effect in done if isinstance(effect, agent.Prepare)]
    assert one.attempt(Ref("train-1", 0, 3)).reason == "EPOCH_TAKEN"


def test_rule_3_what_was_taken_on_is_written_down_before_anything_is_done() -> None:
    one = Agent()

    done = one.assign(placement())

    kept, prepared = (
        next(i for i, one in enumerate(done) if isinstance(one, kind)) for kind in (agent.Keep, agent.Prepare)
    )
    assert kept < prepared


def test_rule_4_an_assignment_older_than_the_newest_seen_is_ignored() -> None:
    one = Agent()
    one.assign(placement(), generation=7)

    assert one.assign(generation=6) == []
    assert FIRST in one.core.held


def test_rule_4_a_restarted_controller_counts_on_above_all_that_it_ever_sent() -> None:
    cluster, saved, sent = controller_with_a_job(), [], [0]
    for session, jobs in ((6, 3), (7, 200), (8, 5), (9, 1)):
        effects = cluster.handle(controller.Reported(report(1, session=session)))
        for number in range(jobs):
            effects += cluster.handle(controller.Submitted(number, f"more-{session}-{number}", spec(), PINS))
        assigned = [one.assignment.generation for one in effects if isinstance(one, controller.Assign)]
        saved += [one.record for one in effects if isinstance(one, controller.Save) and isinstance(one.record, Node)]

        assert assigned == sorted(assigned)
        assert assigned[0] > sent[-1]

        sent = assigned
        cluster = Cluster(Book("cluster-1", Policy(), (), (saved[-1],)))
        cluster.handle(controller.Ticked(1_000, 1_700_000_000_000))


def test_rule_5_a_report_older_than_the_newest_seen_is_ignored() -> None:
    cluster = controller_with_a_job()
    cluster.handle(controller.Reported(report(3, AttemptState.RUNNING)))

    assert cluster.handle(controller.Reported(report(2, AttemptState.REFUSED))) == []
    assert job_of(cluster).state is JobState.RUNNING


def test_rule_5_a_report_of_an_older_session_is_ignored_and_that_session_ended() -> None:
    cluster = controller_with_a_job()

    effects = cluster.handle(controller.Reported(report(9, AttemptState.REFUSED, session=4)))

    assert [type(effect) for effect in effects] == [controller.Reject]
    assert job_of(cluster).state is JobState.STARTING


def test_rule_5_a_restarted_controller_still_knows_which_session_is_the_newest() -> None:
    before = controller_with_a_job().book
    cluster = Cluster(Book("cluster-1", Policy(), tuple(before.jobs.values()), tuple(before.nodes.values())))

    cluster.handle(controller.Reported(report(9, AttemptState.REFUSED, session=4)))

    assert job_of(cluster).state is JobState.STARTING


def test_rule_5_a_report_from_before_a_restart_of_the_controller_is_ignored() -> None:
    before = controller_with_a_job().book
    before_restart = report(2, AttemptState.PREPARING)
    Cluster(before).handle(controller.Reported(report(3, AttemptState.RUNNING)))
    cluster = Cluster(Book("cluster-1", Policy(), tuple(before.jobs.values()), tuple(before.nodes.values())))

    cluster.handle(controller.Reported(before_restart))

    [attempt] = job_of(cluster).attempts
    assert attempt.state is AttemptState.RUNNING


def test_rule_6_absence_is_not_evidence() -> None:
    cluster = controller_with_a_job()
    cluster.handle(controller.Reported(report(2)))
    assert job_of(cluster).epoch == 1
    cluster.handle(controller.Reported(report(3, AttemptState.RUNNING)))

    cluster.handle(controller.Reported(report(4)))

    assert (job_of(cluster).state, job_of(cluster).epoch) == (JobState.RUNNING, 1)


def test_rule_6_exited_and_refused_alone_free_a_task() -> None:
    for state in AttemptState:
        cluster = controller_with_a_job()

        cluster.handle(controller.Reported(report(2, state)))

        freed = "train-1" not in cluster.book.jobs or job_of(cluster).epoch == 2
        assert freed == (state in (AttemptState.EXITED, AttemptState.REFUSED)), state


def test_rule_7_an_assignment_of_another_session_is_ignored() -> None:
    one = Agent()
    old = one.core.memory.session
    one.tell(agent.Disconnected(old))
    one.tell(agent.Connected(old + 1))

    assert one.assign(placement(), session=old, generation=99) == []
    assert one.core.held == {}


def test_rule_7_nothing_of_an_older_session_is_started_in_a_new_one() -> None:
    one = Agent()
    one.assign(placement())
    one.tell(agent.Disconnected(one.core.memory.session))
    one.tell(agent.Connected(one.core.memory.session))

    done = one.tell(agent.Prepared(FIRST, (Phase("pull", 1),)))

    assert [type(effect) for effect in done] == [agent.Keep]
    assert one.attempt().state is AttemptState.PREPARING


def test_rule_7_a_new_session_is_told_all_under_a_new_generation() -> None:
    cluster = controller_with_a_job()
    before = cluster.book.nodes["a"].generation

    effects = cluster.handle(controller.Reported(report(1, session=6)))

    told = next(effect.assignment for effect in effects if isinstance(effect, controller.Assign))
    assert (told.session, [one.job for one in told.placements]) == (6, ["train-1"])
    assert told.generation > before


def test_rule_8_a_frozen_attempt_never_runs_again_under_its_epoch() -> None:
    one = Agent()
    one.run(placement())
    one.assign(placement(goal=Goal.FREEZE))
    one.tell(agent.Fingerprinted(FIRST, "before"))
    one.tell(agent.Exited(FIRST, 85))
    one.tell(agent.Collected(FIRST))

    done = one.assign(placement(goal=Goal.RUN), generation=9)

    assert not [effect for effect in done if isinstance(effect, (agent.Prepare, agent.Start, agent.Unpause))]
    assert one.attempt().state is AttemptState.EXITED


def test_rule_8_going_on_at_the_source_is_a_new_epoch() -> None:
    world = World(a=AMD64)
    world.submit(checkpoint=SLOW)
    world.join("b", ARM64)
    world.sites["a"].engine.obeys = False
    world.move(target="b")
    world.sites["b"].cut = True

    world.pass_time(70_000)

    assert world.job().migrations[-1].state is MigrationState.ABORTED
    assert world.running() == {"a": [SECOND]}


# What the rules leave open: who has a node's sessions.


def rejected(effects: list[controller.Effect]) -> Refusal:
    [reject] = [effect for effect in effects if isinstance(effect, controller.Reject)]
    assert reject.refusal.reason == "SESSION_SUPERSEDED"
    return reject.refusal


def silent_for(cluster: Cluster, millis: int) -> None:
    for _ in range(0, millis, 1_000):
        cluster.handle(controller.Ticked(cluster.book.now_ms + 1_000, cluster.book.wall_ms + 1_000))


def test_an_agent_whose_node_has_a_newer_session_that_went_silent_is_told_what_to_go_above() -> None:
    cluster = controller_with_a_job()
    cluster.handle(controller.Reported(report(1, session=2**40)))
    silent_for(cluster, lease_of(Policy(), 1).node_ms + 1_000)

    refusal = rejected(cluster.handle(controller.Reported(report(9))))

    assert refusal.metadata == {"session": str(2**40)}


def test_of_two_agents_with_one_node_the_one_that_is_not_heard_is_not_helped_to_put_the_other_out() -> None:
    cluster = controller_with_a_job()
    cluster.handle(controller.Reported(report(1, session=6)))
    silent_for(cluster, 1_000)

    refusal = rejected(cluster.handle(controller.Reported(report(9))))

    assert "do two agents have the same `node`" in refusal.message
    assert refusal.metadata == {}


def test_an_agent_goes_on_far_above_the_session_that_it_was_told_of_so_that_it_is_known_from_whoever_had_that() -> None:
    one = Agent()

    effects = one.tell(agent.Disconnected(one.core.memory.session, newest=2**40))

    assert [effect.session for effect in effects if isinstance(effect, agent.OpenSession)] == [2**40 + FAR_APART + 1]
    assert agent.Remember(one.core.memory) in effects
