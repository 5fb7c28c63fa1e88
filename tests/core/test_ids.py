"""Laws of names for people."""

import pytest

from headrace.ids import and_others, job_id


@pytest.mark.parametrize(
    ("names", "told"),
    [([], ""), (["a", "b"], "a, b"), (["a", "b", "c"], "a, b and 1 other"), ([*"abcd"], "a, b and 2 others")],
)
def test_of_many_names_a_few_are_told_and_the_others_counted(names: list[str], told: str) -> None:
    assert and_others(names, named=2) == told


def test_a_request_makes_the_id_that_it_has_always_made() -> None:
    # A controller of any version has to find the job that another one made of it.
    assert job_id("train", "r") == "train-nrrsxi"
    assert job_id("pi", "5f0c") == "pi-yznydd"
