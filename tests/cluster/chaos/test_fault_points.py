"""A daemon or an engine that is killed at any fault point: no job is lost, none is doubled, nothing is left."""

import asyncio
import os

import pytest

from tests.cluster.chaos import page
from tests.cluster.chaos.cases import AMD64, TARGET, Case, cases
from tests.cluster.chaos.lanes import Outcome, outcomes
from tests.cluster.parts import Parts

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]

WRITES = os.environ.get("HEADRACE_CHAOS") == "write"


def _is_of_all_tests(case: Case) -> bool:
    """`make chaos` runs all of them. What is started ahead differs at its own points, most of all for its own agent."""
    return not case.ahead or (case.victim == TARGET and case.way == AMD64 and ".standby." in case.point)


CASES = tuple(case for case in cases() if WRITES or _is_of_all_tests(case))
Found = dict[Case, Outcome]


@pytest.fixture(scope="module")
def found(parts: Parts, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Found:
    """All cases that are asked for are run side by side, for the first test."""
    wanted = [item.callspec.params["case"] for item in request.session.items if _has_case(item)]
    found = asyncio.run(outcomes(wanted, parts, tmp_path_factory.mktemp("fault-points")))
    if WRITES:
        page.write(CASES, {case: outcome.text for case, outcome in found.items() if not outcome.wrong})
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_after_a_kill_at_a_fault_point_a_job_ends_as_if_nothing_had_happened(case: Case, found: Found) -> None:
    if found[case].wrong:
        pytest.fail(found[case].wrong, pytrace=False)

    assert page.row(case, found[case].text) in page.rows("chaos")


def _has_case(item: pytest.Item) -> bool:
    return "case" in getattr(getattr(item, "callspec", None), "params", {})
