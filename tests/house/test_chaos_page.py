"""The page of what was killed where: each point is in it, and no kill that no test makes."""

from headrace.faultpoints import POINTS
from tests.cluster.chaos import page
from tests.cluster.chaos.cases import cases


def test_each_fault_point_is_come_to_by_some_test() -> None:
    assert [point for point in POINTS if point not in {case.point for case in cases()}] == []


def test_the_page_has_a_line_for_each_case_and_no_other() -> None:
    lines = page.rows("chaos")[len(page.HEAD) :]

    assert [line.split(" | ")[:-1] for line in lines] == [page.row(case, "-").split(" | ")[:-1] for case in cases()]


def test_the_page_has_the_points_as_they_are() -> None:
    assert page.rows("points") == page.points()
