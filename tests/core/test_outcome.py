"""The table of exit codes of INTERFACE.md, "The job's contract", line by line."""

import pytest

from controller.core.outcome import Verdict, outcome
from headrace.attempts import Attempt, AttemptState, Checkpoint, Outputs
from headrace.jobs import CheckpointPolicy, ExitZero, JobSpec, RetryCause

CHECKPOINT = Checkpoint("sha256:c", 1, 1)
OTHER_CODES = (1, 2, 84, 86, 125, 126, 127, 128, 130, 134, 137, 139, 255)


def exited(code: int | None, **changes: object) -> Attempt:
    return Attempt("train-1", 1, state=AttemptState.EXITED, exit_code=code, **changes)  # type: ignore[arg-type]


def contract(exit_zero: ExitZero = ExitZero.DONE, *, output_path: str = "") -> JobSpec:
    return JobSpec("t", "i", checkpoint=CheckpointPolicy("/c", exit_zero=exit_zero), output_path=output_path)


@pytest.mark.parametrize("stop_requested", [False, True])
def test_85_means_saved_start_me_again(stop_requested: bool) -> None:  # noqa: FBT001
    attempt = exited(85, stop_requested=stop_requested, checkpoint=CHECKPOINT)

    assert outcome(attempt, contract()).verdict is Verdict.RESUME


def test_85_of_a_job_that_never_saved_has_failed_for_it_would_only_repeat_itself() -> None:
    assert outcome(exited(85), contract()).verdict is Verdict.FAILED


def test_85_on_request_goes_on_even_from_the_beginning() -> None:
    assert outcome(exited(85, stop_requested=True), contract()).verdict is Verdict.RESUME


@pytest.mark.parametrize("exit_zero", ExitZero)
@pytest.mark.parametrize("checkpoint", [None, CHECKPOINT])
def test_0_without_a_request_means_done(exit_zero: ExitZero, checkpoint: Checkpoint | None) -> None:
    assert outcome(exited(0, checkpoint=checkpoint), contract(exit_zero)).verdict is Verdict.DONE


@pytest.mark.parametrize("exit_zero", ExitZero)
@pytest.mark.parametrize("code", [0, 143])
def test_0_or_143_on_request_goes_on_from_a_checkpoint_newer_than_the_request(code: int, exit_zero: ExitZero) -> None:
    attempt = exited(code, stop_requested=True, saved_on_request=True, checkpoint=CHECKPOINT)

    assert outcome(attempt, contract(exit_zero)).verdict is Verdict.RESUME


@pytest.mark.parametrize("checkpoint", [None, CHECKPOINT])
@pytest.mark.parametrize(("exit_zero", "verdict"), [(ExitZero.DONE, Verdict.DONE), (ExitZero.RESUME, Verdict.RESUME)])
def test_0_on_request_without_a_newer_checkpoint_means_what_the_job_says(
    exit_zero: ExitZero, verdict: Verdict, checkpoint: Checkpoint | None
) -> None:
    attempt = exited(0, stop_requested=True, checkpoint=checkpoint)

    assert outcome(attempt, contract(exit_zero)).verdict is verdict


def test_0_on_request_of_a_job_without_a_contract_means_done() -> None:
    assert outcome(exited(0, stop_requested=True), JobSpec("t", "i")).verdict is Verdict.DONE


@pytest.mark.parametrize("spec", [contract(), JobSpec("t", "i")])
def test_143_on_request_without_a_newer_checkpoint_goes_on_from_the_last_one(spec: JobSpec) -> None:
    assert outcome(exited(143, stop_requested=True), spec).verdict is Verdict.RESUME


@pytest.mark.parametrize("code", [137, 143])
def test_a_job_that_was_killed_when_its_grace_was_over_goes_on_from_its_last_checkpoint(code: int) -> None:
    assert outcome(exited(code, stop_requested=True, killed=True), contract()).verdict is Verdict.RESUME


@pytest.mark.parametrize("code", [137, 143])
def test_a_signal_that_nobody_asked_for_is_a_failure(code: int) -> None:
    assert outcome(exited(code, checkpoint=CHECKPOINT), contract()).verdict is Verdict.FAILED


@pytest.mark.parametrize("stop_requested", [False, True])
@pytest.mark.parametrize("code", OTHER_CODES)
def test_any_other_code_is_a_failure_of_the_job(code: int, stop_requested: bool) -> None:  # noqa: FBT001
    found = outcome(exited(code, stop_requested=stop_requested, checkpoint=CHECKPOINT), contract())

    assert found.verdict is Verdict.FAILED
    assert found.cause is RetryCause.EXIT_NONZERO
    assert str(code) in found.message


def test_an_exit_code_that_nobody_knows_is_the_nodes_failure() -> None:
    found = outcome(exited(None, stop_requested=True, checkpoint=CHECKPOINT), contract())

    assert (found.verdict, found.cause) == (Verdict.FAILED, RetryCause.NODE_LOST)


def test_what_the_node_knows_of_a_failure_is_told() -> None:
    assert outcome(exited(137, message="it used more memory than it may"), contract()).message.startswith("it used")


def test_a_job_whose_outputs_could_not_be_stored_is_not_done() -> None:
    spec = contract(output_path="/output")

    assert outcome(exited(0), spec).verdict is Verdict.FAILED
    assert outcome(exited(0, outputs=Outputs("sha256:m", "sha256:o")), spec).verdict is Verdict.DONE


def test_what_was_killed_and_by_nobody_here_may_have_taken_too_much_memory() -> None:
    assert "more memory than resources.memory allows" in outcome(exited(137), contract()).message
    assert "memory" not in outcome(exited(1), contract()).message
