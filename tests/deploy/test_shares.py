"""Tenants of jobs on processors, GPUs and NPUs end a simulated day within 5 % of their shares."""

import pytest

from benchmarks.shares import DAY_MS, ON_CPU, ON_GPU, SCENARIOS, TO_REACH, Day, Tenant


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_tenants_end_a_day_near_their_shares(scenario: str) -> None:
    day = Day(SCENARIOS[scenario], nodes=4, seed=1)
    day.run()
    assert {had.tenant: had.off for had in day.had() if had.off > TO_REACH} == {}


def test_who_comes_late_has_its_share_of_what_is_left() -> None:
    half_ms = DAY_MS // 2
    tenants = {"early": Tenant(1, (ON_CPU, ON_GPU)), "late": Tenant(1, (ON_CPU, ON_GPU), comes_ms=half_ms)}
    day = Day(tenants, nodes=3, seed=1)
    day.run(half_ms)
    before = {had.tenant: had.part for had in day.had()}
    day.run()
    after = {had.tenant: had.part for had in day.had()}
    # What was idle was its to use; what it had fades, so it is not made up for in full.
    assert before == {"early": 1.0, "late": 0.0}
    assert 0.25 <= after["late"] <= 0.5
