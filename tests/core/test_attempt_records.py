"""Laws of an attempt's record: why it ended, how long that took, and what is asked for again as it was not done."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from agent.runtimes.runtime import ContainerState
from headrace.attempts import AttemptState, Phase
from headrace.jobs import CheckpointPolicy
from headrace.sessions import Goal
from tests.core.one_agent import LEASE_MS, Agent, container, kinds, placement
from tests.core.small_world import FIRST, spec

POLICY = CheckpointPolicy("/checkpoint", interval_ms=10_000, grace_ms=60_000)


def running() -> Agent:
    one = Agent()
    one.run(placement(job=spec(checkpoint=POLICY)))
    return one


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("COMMAND_NOT_FOUND", "check the job's command"),
        ("IMAGE_NOT_RUNNABLE", "build it for this one"),
        ("START_FAILED", "see the job's log"),
    ],
)
def test_a_program_that_could_not_be_run_is_the_reason_of_the_exit_and_the_remedy_is_said(
    reason: str, remedy: str
) -> None:
    one = running()

    seen = replace(container(ContainerState.EXITED, code=127), exec_failed=reason)
    one.tell(agent.EngineFound("test", (seen,)))

    assert (one.attempt().state, one.attempt().exit_code, one.attempt().reason) == (AttemptState.SAVING, 127, reason)
    assert remedy in one.attempt().message


def test_how_long_a_job_took_to_leave_is_a_phase_of_its_attempt() -> None:
    one = running()

    one.tell(agent.Exited(FIRST, 0, stop_millis=1_234))

    assert one.attempt().phases == (Phase("stop", 1_234),)


def test_an_attempt_that_nobody_asked_to_leave_took_no_time_to_leave() -> None:
    one = running()

    one.tell(agent.Exited(FIRST, 0))

    assert one.attempt().phases == ()


@pytest.mark.parametrize("undone", [agent.Interrupted, agent.Declined])
def test_a_periodic_checkpoint_that_was_not_taken_is_no_end_of_periodic_checkpoints(undone: type) -> None:
    one = running()
    assert agent.Save in kinds(one.pass_time(POLICY.interval_ms))
    one.tell(undone(FIRST, "not now", agent.Save))
    runs = agent.EngineFound("test", (container(ContainerState.RUNNING),))
    one.tell(runs)
    one.tell(runs)
    one.assign(placement(job=spec(checkpoint=POLICY)))

    assert agent.Save in kinds(one.pass_time(POLICY.interval_ms))


def test_a_job_is_not_asked_to_leave_while_a_pause_is_under_way_for_it_could_not_obey() -> None:
    freeze = placement(job=spec(checkpoint=POLICY), goal=Goal.FREEZE)
    one = running()
    one.assign(freeze)
    one.tell(agent.Fingerprinted(FIRST, "before"))
    assert agent.Pause(FIRST) in one.pass_time(LEASE_MS)
    one.tell(agent.Connected(one.core.memory.session))

    done = one.assign(freeze)

    assert one.attempt().state is AttemptState.STOPPING
    assert agent.AskToLeave not in kinds(done)
    assert agent.Unpause(FIRST) in one.tell(agent.PauseEnded(FIRST, paused=True))
