"""Laws of exits in which a job had no part: its engine was stopped, or its machine was started anew."""

from dataclasses import replace

import pytest

from agent.core import model as agent
from agent.core.attempts import ENGINE_PATIENCE_MS
from agent.runtimes.runtime import ContainerState, ContainerStatus
from headrace.attempts import Attempt, AttemptState
from headrace.sessions import Goal
from tests.core.one_agent import Agent, kinds, placement
from tests.core.small_world import AMD64, FIRST

BY_SIGNAL = (143, 137, 255)
ALIVE = (AttemptState.STARTING, AttemptState.RUNNING, AttemptState.PAUSED, AttemptState.STOPPING)


def listed(code: int | None = None, **changes: object) -> agent.EngineFound:
    """The engine answers, and its one container runs, or has exited with this code."""
    state = ContainerState.RUNNING if code is None else ContainerState.EXITED
    status = replace(ContainerStatus(FIRST, state, code), **changes)  # type: ignore[arg-type]
    return agent.EngineFound("test", (status,))


def running(goal: Goal = Goal.RUN) -> Agent:
    one = Agent()
    one.run(placement())
    if goal is not Goal.RUN:
        one.assign(placement(goal=goal))
    return one


def recalled(code: int, *, state: AttemptState = AttemptState.RUNNING, started: str = "", now: str = "") -> Agent:
    """An agent that finds an attempt in its journal, of the boot `started`, and its container exited."""
    held = agent.Held(placement(), Attempt("train-1", 1, node="a", platform=AMD64, state=state), boot_id=started)
    recollection = agent.Recollection(agent.Memory(3, "cluster-1"), (held,), {"train-1": 1})
    return Agent(recollection, ContainerStatus(FIRST, ContainerState.EXITED, code), boot_id=now)


def ended(one: Agent) -> tuple[int | None, str]:
    """Exit code and reason of the attempt, which is over."""
    attempt = one.attempt()
    assert attempt.state is AttemptState.SAVING
    return attempt.exit_code, attempt.reason


# An engine that is stopped, or dies.


@pytest.mark.parametrize("code", BY_SIGNAL)
def test_what_a_signal_ended_while_the_engine_was_away_has_not_failed(code: int) -> None:
    one = running()
    one.tell(agent.EngineLost("no answer"))

    one.tell(listed(code))

    assert ended(one) == (None, "ENGINE_STOPPED")
    assert f"code {code}" in one.attempt().message


@pytest.mark.parametrize("code", [0, 1, 3, 85])
def test_an_exit_that_is_the_jobs_own_stays_so_though_the_engine_was_away(code: int) -> None:
    one = running()
    one.tell(agent.EngineLost("no answer"))

    one.tell(listed(code))

    assert ended(one) == (code, "")


def test_a_job_that_took_too_much_memory_has_done_so_though_the_engine_was_away() -> None:
    one = running()
    one.tell(agent.EngineLost("no answer"))

    one.tell(listed(137, out_of_memory=True))

    assert ended(one) == (137, "OUT_OF_MEMORY")


def test_a_job_that_was_asked_to_leave_has_left_though_the_engine_was_away() -> None:
    one = running(Goal.CANCEL)
    one.tell(agent.EngineLost("no answer"))

    one.tell(listed(143))

    assert ended(one) == (143, "")


def test_a_job_that_an_engine_killed_before_its_grace_was_over_has_not_failed() -> None:
    one = running(Goal.CANCEL)
    one.tell(agent.EngineLost("no answer"))

    one.tell(listed(137))

    assert ended(one) == (None, "ENGINE_STOPPED")


@pytest.mark.parametrize("code", BY_SIGNAL)
def test_news_that_a_signal_ended_a_job_is_believed_once_the_engine_lists_it(code: int) -> None:
    one = running()

    assert agent.Relist() in one.tell(agent.Exited(FIRST, code))
    assert one.attempt().state is AttemptState.RUNNING
    one.tell(listed(code))

    assert ended(one) == (code, "")


def test_news_that_a_signal_ended_a_job_is_an_engines_farewell_where_it_is_gone_then() -> None:
    one = running()
    one.tell(agent.Exited(FIRST, 143))
    one.tell(agent.EngineLost("its events broke off"))

    one.tell(listed(143))

    assert ended(one) == (None, "ENGINE_STOPPED")


@pytest.mark.parametrize("code", [0, 85, 1])
def test_news_of_any_other_exit_is_believed_at_once(code: int) -> None:
    one = running()

    one.tell(agent.Exited(FIRST, code))

    assert ended(one) == (code, "")


def test_news_that_a_job_left_as_it_was_asked_to_is_believed_at_once() -> None:
    one = running(Goal.CANCEL)

    one.tell(agent.Exited(FIRST, 143))

    assert ended(one) == (143, "")


def test_what_ran_on_while_the_engine_was_away_may_fail_afterwards() -> None:
    one = running()
    one.tell(agent.EngineLost("no answer"))
    one.tell(listed())

    one.tell(listed(137))

    assert ended(one) == (137, "")


@pytest.mark.parametrize("state", ALIVE)
def test_what_a_signal_ended_while_the_agent_was_away_has_not_failed(state: AttemptState) -> None:
    assert ended(recalled(137, state=state)) == (None, "ENGINE_STOPPED")


# A machine that is started anew.


@pytest.mark.parametrize("code", [*BY_SIGNAL, 1, 3])
def test_what_is_found_dead_after_a_reboot_has_not_failed(code: int) -> None:
    assert ended(recalled(code, started="monday", now="tuesday")) == (None, "NODE_REBOOTED")


@pytest.mark.parametrize("code", [0, 85])
def test_a_job_that_was_done_or_had_saved_before_a_reboot_was_so(code: int) -> None:
    assert ended(recalled(code, started="monday", now="tuesday")) == (code, "")


@pytest.mark.parametrize(("started", "now"), [("monday", "monday"), ("", "monday"), ("monday", "")])
def test_a_boot_that_is_not_known_to_be_another_one_is_no_reboot(started: str, now: str) -> None:
    assert ended(recalled(1, started=started, now=now)) == (1, "")


def test_what_is_started_after_a_reboot_is_of_this_boot() -> None:
    held = agent.Held(placement(), Attempt("train-1", 1, node="a", platform=AMD64), boot_id="monday")
    one = Agent(agent.Recollection(agent.Memory(3, "cluster-1"), (held,), {"train-1": 1}), boot_id="tuesday")
    one.assign(placement())

    done = one.tell(agent.Prepared(FIRST))

    [kept] = [effect.held for effect in done if isinstance(effect, agent.Keep)]
    assert (kept.attempt.state, kept.boot_id) == (AttemptState.STARTING, "tuesday")


# What was never started need not wait for its engine.


def preparing() -> Agent:
    one = Agent()
    one.assign(placement())
    one.tell(agent.EngineLost("no answer"))
    return one


def waited(one: Agent, millis: int) -> list[agent.Effect]:
    """All that is done while time passes, and the lease holds."""
    done: list[agent.Effect] = []
    for _ in range(millis // 1_000):
        done += one.pass_time(1_000)
        one.assign(placement())
    return done


def test_what_was_not_started_is_refused_once_the_engine_was_away_for_long() -> None:
    one = preparing()

    assert agent.Keep not in kinds(waited(one, ENGINE_PATIENCE_MS - 1_000))
    done = one.pass_time(1_000)

    attempt = one.attempt()
    assert (attempt.state, attempt.reason) == (AttemptState.REFUSED, "ENGINE_UNREACHABLE")
    assert "30 s" in attempt.message
    assert kinds(done) == [agent.Keep, agent.Send]


def test_what_was_refused_for_want_of_an_engine_is_never_started_when_it_is_back() -> None:
    one = preparing()
    waited(one, ENGINE_PATIENCE_MS)

    done = one.tell(agent.EngineFound("test", ())) + one.tell(agent.Prepared(FIRST)) + one.assign(placement())

    assert not {agent.Prepare, agent.Start} & {*kinds(done)}
    assert one.attempt().state is AttemptState.REFUSED


def test_what_may_have_been_started_is_not_refused_however_long_the_engine_is_away() -> None:
    one = Agent()
    one.assign(placement())
    one.tell(agent.Prepared(FIRST))
    one.tell(agent.EngineLost("no answer"))

    waited(one, 4 * ENGINE_PATIENCE_MS)

    assert one.attempt().state is AttemptState.STARTING


def test_an_engine_that_is_back_in_time_has_the_whole_time_again() -> None:
    one = preparing()
    waited(one, ENGINE_PATIENCE_MS - 1_000)
    one.tell(agent.EngineFound("test", ()))
    one.tell(agent.EngineLost("no answer"))

    waited(one, ENGINE_PATIENCE_MS - 1_000)

    assert one.attempt().state is AttemptState.PREPARING


def test_an_engine_that_never_answered_is_not_waited_for_any_longer() -> None:
    one = Agent()
    one.tell(agent.EngineLost("no answer"))
    waited(one, ENGINE_PATIENCE_MS)

    one.assign(placement(epoch=2))

    assert one.attempt(FIRST._replace(epoch=2)).reason == "ENGINE_UNREACHABLE"


def test_what_is_cancelled_before_its_start_does_not_wait_for_the_engine() -> None:
    one = preparing()

    one.assign(placement(goal=Goal.CANCEL))

    assert one.attempt().reason == "LEFT_BEFORE_START"
