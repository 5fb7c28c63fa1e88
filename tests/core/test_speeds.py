"""Laws of learned speeds: exact where observed, in the job's own scale elsewhere, and as certain as there is reason."""

from math import exp, isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.placement.profiles import Profile
from controller.core.placement.speeds import KEPT, MOST_KINDS, MOST_PROFILES, SPREAD_FIGURES, Speed, Speeds

KINDS = ("v100", "p100", "k80")
FIGURES = (15.7, 9.3, 4.37)

rates = st.floats(1e-3, 1e3)
cells = st.dictionaries(st.tuples(st.integers(0, 3), st.sampled_from(KINDS)), rates, min_size=1, max_size=10)


def profile(number: int, repository: str = "") -> Profile:
    return Profile(repository or f"team/train-{number}", "", (), "")


def learned(seen: dict[tuple[int, str], float], *, times: float = 1.0) -> Speeds:
    """What was seen, with job 0 so many times as fast."""
    speeds = Speeds()
    for (number, kind), rate in seen.items():
        speeds.observe(profile(number), kind, rate * (times if number == 0 else 1.0))
    return speeds


def told(speeds: Speeds, number: int, kind: str, figures: tuple[float | None, ...] = ()) -> Speed | None:
    return speeds.told(profile(number), KINDS, figures)[KINDS.index(kind)]


@given(cells)
def test_what_was_observed_is_told_as_it_was(seen: dict[tuple[int, str], float]) -> None:
    speeds = learned(seen)

    for (number, kind), rate in seen.items():
        found = told(speeds, number, kind, FIGURES)
        assert found is not None
        assert isclose(found.per_second, rate, rel_tol=1e-9)
        assert (found.runs_here, found.alike) == (1, 0)


@given(cells, st.floats(1e-2, 1e2))
def test_a_job_that_is_so_many_times_as_fast_everywhere_is_foretold_so_and_others_as_before(
    seen: dict[tuple[int, str], float], times: float
) -> None:
    before, after = learned(seen), learned(seen, times=times)
    runs_of_first = sum(number == 0 for number, _ in seen)

    for number in range(4):
        for kind in KINDS:
            one, other = told(before, number, kind, FIGURES), told(after, number, kind, FIGURES)
            assert one is not None
            assert other is not None
            factor = times if number == 0 and runs_of_first else 1.0
            assert isclose(other.per_second, one.per_second * factor, rel_tol=1e-6)
            assert isclose(other.spread, one.spread, rel_tol=1e-6)


@given(cells, st.integers(0, 3), st.sampled_from(KINDS), rates)
def test_an_observation_that_is_faster_makes_nothing_slower_there(
    seen: dict[tuple[int, str], float], number: int, kind: str, rate: float
) -> None:
    one, other = learned(seen), learned(seen)
    one.observe(profile(number), kind, rate)
    other.observe(profile(number), kind, rate * 2)

    slower, faster = told(one, number, kind), told(other, number, kind)
    assert slower is not None
    assert faster is not None
    assert faster.per_second > slower.per_second


@given(cells)
def test_what_is_told_lies_between_what_the_rows_say(seen: dict[tuple[int, str], float]) -> None:
    speeds = learned({**seen, (0, "v100"): 1.0})
    # What each row says of the k80 against the v100, where it knows both: no weights lead out of that.
    ratios = [seen[n, "k80"] / seen[n, "v100"] for n in (1, 2, 3) if (n, "k80") in seen and (n, "v100") in seen]
    known = {key: rate for key, rate in seen.items() if key[0]}
    found = told(learned({**known, (0, "v100"): 1.0}), 0, "k80")

    assert (found is not None) == bool(ratios)
    if found is not None:
        assert min(ratios) * (1 - 1e-9) <= found.per_second <= max(ratios) * (1 + 1e-9)
    assert told(speeds, 0, "v100") is not None


@given(st.integers(1, KEPT - 1), rates)
def test_one_more_observation_makes_it_more_certain(count: int, rate: float) -> None:
    speeds = Speeds()
    for _ in range(count):
        speeds.observe(profile(0), "v100", rate)
    before = told(speeds, 0, "v100")
    speeds.observe(profile(0), "v100", rate)
    after = told(speeds, 0, "v100")

    assert before is not None
    assert after is not None
    assert after.spread < before.spread


@given(st.integers(1, 10), st.floats(0.1, 10))
def test_one_more_row_that_agrees_makes_a_guess_more_certain(rows: int, ratio: float) -> None:
    speeds = learned({(0, "v100"): 3.0})
    for number in range(1, rows + 1):
        speeds.observe(profile(number), "v100", 1.0)
        speeds.observe(profile(number), "k80", ratio)
    before = told(speeds, 0, "k80")
    speeds.observe(profile(rows + 1), "v100", 1.0)
    speeds.observe(profile(rows + 1), "k80", ratio)
    after = told(speeds, 0, "k80")

    assert before is not None
    assert after is not None
    assert isclose(after.per_second, 3.0 * ratio, rel_tol=1e-9)
    assert after.spread < before.spread


def test_with_nothing_observed_figures_tell_how_kinds_compare() -> None:
    fast, middle, slow = (told(Speeds(), 0, kind, FIGURES) for kind in KINDS)

    assert fast is not None
    assert middle is not None
    assert slow is not None
    assert isclose(fast.per_second / slow.per_second, FIGURES[0] / FIGURES[2])
    assert fast.runs == 0
    assert middle.spread == pytest.approx(SPREAD_FIGURES)


def test_with_nothing_observed_and_no_figures_nothing_is_told() -> None:
    assert [told(Speeds(), 0, kind) for kind in KINDS] == [None, None, None]


def test_jobs_of_one_repository_tell_more_of_each_other_than_others_do() -> None:
    speeds = Speeds()
    for name, repository, ratio in (("kin", "team/resnet", 0.1), ("other", "team/a3c", 0.5)):
        speeds.observe(Profile(repository, name, (), ""), "v100", 1.0)
        speeds.observe(Profile(repository, name, (), ""), "k80", ratio)
    speeds.observe(Profile("team/resnet", "new", (), ""), "v100", 10.0)

    (found,) = speeds.told(Profile("team/resnet", "new", (), ""), ("k80",))

    assert found is not None
    assert log(found.per_second / 10) < (log(0.1) + log(0.5)) / 2
    assert found.alike == 2


def test_rows_that_compare_alike_where_both_are_known_tell_more() -> None:
    speeds = Speeds()
    for number, middle, slow in ((1, 0.5, 0.1), (2, 2.0, 0.9)):
        for kind, rate in zip(KINDS, (1.0, middle, slow), strict=True):
            speeds.observe(profile(number), kind, rate)
    speeds.observe(profile(0), "v100", 1.0)
    speeds.observe(profile(0), "p100", 0.5)

    found = told(speeds, 0, "k80")

    assert found is not None
    assert found.per_second < 0.2


def test_speeds_that_change_are_forgotten_by_and_by() -> None:
    speeds = Speeds()
    for rate in (1.0,) * 200 + (2.0,) * 200:
        speeds.observe(profile(0), "v100", rate)

    found = told(speeds, 0, "v100")

    assert found is not None
    assert found.per_second == pytest.approx(2.0, rel=1e-3)


def test_a_pessimist_and_an_optimist_are_as_far_from_the_mean_as_it_is_uncertain() -> None:
    found = Speed(2.0, 0.5, runs=1, kinds=1, runs_here=1, alike=0)

    assert found.pessimistic == pytest.approx(2.0 * exp(-0.5))
    assert found.optimistic == pytest.approx(2.0 * exp(0.5))


def test_profiles_that_were_observed_least_lately_are_forgotten_and_the_others_stay_as_they_were() -> None:
    speeds = Speeds()
    for number in range(MOST_PROFILES + 10):
        speeds.observe(profile(number), "v100", 1.0 + number)
        # This one is observed again and again.
        speeds.observe(profile(3), "k80", 0.5)

    assert [speeds.knows(profile(number)) for number in (0, 3, 9, 12, MOST_PROFILES + 9)] == [
        *(False, True, False, True, True),
    ]
    for number in (3, 12, MOST_PROFILES + 9):
        found = told(speeds, number, "v100")
        assert found is not None
        assert isclose(found.per_second, 1.0 + number, rel_tol=1e-9)
        assert found.runs_here == 1


def test_of_more_kinds_of_hardware_than_are_kept_the_first_are_told_of() -> None:
    speeds = Speeds()

    kept = [speeds.observe(profile(0), f"kind {number}", 1.0) for number in range(MOST_KINDS + 2)]

    assert kept == [True] * MOST_KINDS + [False] * 2


def test_a_copy_is_told_by_what_it_had_whatever_gives_way_later(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = learned({(0, "v100"): 1.0, (1, "v100"): 30.0})
    kin = Profile("team/train-0", "another", (), "")
    before, twin = speeds.copy().told(kin, KINDS), speeds.copy()
    monkeypatch.setattr("controller.core.placement.speeds.MOST_PROFILES", 2)

    speeds.observe(profile(2), "k80", 5.0)

    assert not speeds.knows(profile(0))
    assert twin.told(kin, KINDS) == before
