"""Copies with some fields changed: what `dataclasses.replace` would answer with, and as little to be changed."""

import dataclasses

import pytest

from headrace import changes, jobs, nodes
from headrace.attempts import Attempt

JOB = jobs.Job("jobs/one", jobs.JobSpec("one", "image", command=("true",)), epoch=3, request_id="r")


def test_a_copy_is_what_the_standard_library_would_make() -> None:
    changed = {"reason": "waits", "state": jobs.JobState.CANCELLING, "waits_for": (), "exit_code": 0}
    copy = changes.replace(JOB, **changed)
    assert copy == dataclasses.replace(JOB, **changed)
    assert type(copy) is jobs.Job


def test_the_original_stays_as_it_was() -> None:
    before = dataclasses.asdict(JOB)
    changes.replace(JOB, reason="another")
    assert dataclasses.asdict(JOB) == before
    assert changes.replace(JOB) == JOB
    assert changes.replace(JOB) is not JOB


@pytest.mark.parametrize("kind", [jobs.Job, jobs.JobSpec, Attempt, nodes.Node, nodes.Device, jobs.Migration])
def test_every_field_is_copied_as_it_is(kind: type) -> None:
    values = {one.name: object() for one in dataclasses.fields(kind)}
    copy = changes.replace(kind(**values))
    assert {name: getattr(copy, name) for name in values} == values


def test_a_copy_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        changes.replace(JOB, reason="x").reason = "y"  # type: ignore[misc]


def test_a_field_that_there_is_not_is_an_error() -> None:
    with pytest.raises(TypeError, match="Job has no field nowhere"):
        changes.replace(JOB, nowhere=1)  # type: ignore[call-arg]


def test_a_class_that_works_out_fields_of_its_own_is_an_error() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Summed:
        one: int
        two: int
        both: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "both", self.one + self.two)

    with pytest.raises(TypeError, match=r"take dataclasses\.replace"):
        changes.replace(Summed(1, 2), one=2)


@pytest.mark.parametrize("kind", [jobs.Job, nodes.Device])
def test_what_is_made_of_values_is_what_the_class_makes(kind: type) -> None:
    values = tuple(object() for _ in dataclasses.fields(kind))

    found = changes.made(kind, values)

    assert found == kind(*values)
    assert type(found) is kind
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(found, dataclasses.fields(kind)[0].name, None)


def test_a_value_for_each_field_is_needed() -> None:
    with pytest.raises(TypeError, match="missing"):
        changes.made(nodes.Device, ("one", "two"))
