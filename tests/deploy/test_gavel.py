"""Laws of the simulated cluster: it repeats itself, loses no job, and knowing speeds is worth something in it."""

import json
import statistics
from pathlib import Path

import pytest

from benchmarks.gavel_jobs import CLUSTER, Throughputs, arrivals, read
from benchmarks.gavel_world import Knowledge, Outcome, Policy, World
from headrace.refusals import Refusal

# One that likes new devices, and one that does not.
UNEQUAL = Throughputs(
    {
        "new (batch size 1)": {"v100": 10.0, "p100": 5.0, "k80": 1.0},
        "old (batch size 1)": {"v100": 2.0, "p100": 4.0, "k80": 3.0},
    }
)


def simulated(policy: Policy, *, rate: float = 4.0, seed: int = 0) -> Outcome:
    jobs = arrivals(UNEQUAL, rate_per_hour=rate, count=150, seed=seed)
    return World(UNEQUAL, jobs, policy, seed=seed, downtime_seconds=30).run(lambda _ended: None)


def test_the_same_seed_gives_the_same_outcome() -> None:
    policy = Policy(Knowledge.LEARNED, moves=True)

    assert simulated(policy) == simulated(policy)
    assert simulated(policy) != simulated(policy, seed=1)


@pytest.mark.parametrize("knowledge", Knowledge)
def test_every_job_ends_and_none_sooner_than_it_could(knowledge: Knowledge) -> None:
    outcome = simulated(Policy(knowledge, moves=True), rate=20.0)
    jobs = arrivals(UNEQUAL, rate_per_hour=20.0, count=150, seed=0)

    assert len(outcome.seconds) == len(jobs)
    for job, seconds in zip(jobs, outcome.seconds, strict=True):
        # A run may be luckier than the file.
        assert seconds > 0.7 * job.steps / max(UNEQUAL.by_type[job.type].values())


def test_speeds_that_are_known_or_learned_bring_jobs_to_their_ends_sooner() -> None:
    agnostic, known, learned = (
        statistics.fmean(simulated(Policy(one, moves=one is not Knowledge.NONE)).seconds)
        for one in (Knowledge.NONE, Knowledge.KNOWN, Knowledge.LEARNED)
    )

    assert known < 0.7 * agnostic
    assert learned < 0.8 * agnostic


def test_types_for_several_devices_or_that_run_not_everywhere_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "throughputs.json"
    speeds = {"A3C, 1": 2.0, "('LM (batch size 5)', 1)": {"null": 3.0}, "A3C, 2": 4.0, "never, 1": 0.0}
    file.write_text(json.dumps(dict.fromkeys(CLUSTER, speeds)))

    assert read(file).by_type == {"A3C": dict.fromkeys(CLUSTER, 2.0), "LM (batch size 5)": dict.fromkeys(CLUSTER, 3.0)}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v100": {"A3C, 1": "fast"}}'])
def test_what_is_no_file_of_throughputs_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "throughputs.json"
    file.write_text(text)

    with pytest.raises(Refusal, match="no file of throughputs"):
        read(file)
