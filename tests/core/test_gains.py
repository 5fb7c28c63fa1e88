"""Laws of moves for speed: what they have to bring, and that nothing goes to and fro in a day of noise."""

import math
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controller.core.placement.choice import chosen
from controller.core.placement.gains import Reluctance, Runner, proposals

PLACES = ("a", "b", "c")
EAGER = Reluctance(gain_ratio=1.0, return_ratio=1.0, gain_seconds=0.0, stay_seconds=0.0)
DAY_SECONDS = 86_400


def runner(job: str = "one", place: str = "a", here: float = 3600, there: float = 1000, **changes: object) -> Runner:
    elsewhere = {name: there for name in PLACES if name != place}
    return Runner(job, place, here, elsewhere, **{"stayed_seconds": 1e6, **changes})  # type: ignore[arg-type]


def costs(seconds: float | None):
    return lambda _runner, _place: seconds


def test_a_job_that_would_be_done_much_sooner_elsewhere_is_moved_there() -> None:
    (found,) = proposals([runner()], {"b": 1}, costs(30))

    assert (found.job, found.source, found.target) == ("one", "a", "b")
    assert (found.gain_seconds, found.cost_seconds) == (2570, 30)


def test_a_move_that_costs_more_than_it_brings_is_none() -> None:
    assert proposals([runner(here=1200, there=1000)], {"b": 1}, costs(300), EAGER) == ()
    assert proposals([runner(here=1200, there=900)], {"b": 1}, costs(300)) == ()


def test_a_move_of_unknown_cost_is_none() -> None:
    assert proposals([runner()], {"b": 1}, costs(None)) == ()


def test_a_job_that_has_just_come_stays() -> None:
    stay = Reluctance().stay_seconds

    assert proposals([runner(stayed_seconds=stay - 1)], {"b": 1}, costs(0)) == ()
    assert len(proposals([runner(stayed_seconds=stay)], {"b": 1}, costs(0))) == 1


def test_a_job_goes_back_only_for_more_than_it_left_for() -> None:
    assert proposals([runner(here=1900, there=1000, left=("b",))], {"b": 1}, costs(0)) == ()
    assert len(proposals([runner(here=2100, there=1000, left=("b",))], {"b": 1}, costs(0))) == 1


def test_a_short_rest_is_not_worth_a_move() -> None:
    assert proposals([runner(here=100, there=50)], {"b": 1}, costs(0)) == ()


def test_what_a_move_costs_is_asked_only_where_it_might_be_worth_it() -> None:
    asked: list[str] = []

    def cost(one: Runner, place: str) -> float:
        asked.append(f"{one.job} {place}")
        return 0.0

    proposals([runner(), runner("two", here=900)], {"b": 1, "a": 1}, cost)

    assert asked == ["one b"]


runners = st.lists(
    st.builds(
        lambda place, here, there, stayed: (place, here, there, stayed),
        st.sampled_from(PLACES),
        st.floats(1, 1e6),
        st.floats(1, 1e6),
        st.floats(0, 1e5),
    ),
    max_size=12,
)


@given(runners, st.dictionaries(st.sampled_from(PLACES), st.integers(0, 3)), st.floats(0, 1e4))
def test_proposals_never_exceed_room_or_bring_less_than_they_cost(
    drawn: list[tuple[str, float, float, float]], room: dict[str, int], cost: float
) -> None:
    jobs = [
        runner(str(n), place, here, there, stayed_seconds=stayed)
        for n, (place, here, there, stayed) in enumerate(drawn)
    ]
    by_name = {one.job: one for one in jobs}

    found = proposals(jobs, room, costs(cost))

    assert all(count <= room[place] for place, count in Counter(one.target for one in found).items())
    assert len({one.job for one in found}) == len(found) <= Reluctance().at_once
    for one in found:
        job = by_name[one.job]
        assert one.target != job.place
        assert job.here_seconds >= Reluctance().gain_ratio * (job.there_seconds[one.target] + cost)


def replayed(reluctance: Reluctance, *, seed: int) -> list[int]:
    """How often each job moved in a day of arrivals.

    Two places are all but equally fast; what is read of a speed is off by a tenth and more, and what else runs there
    slows them down by turns.
    """
    chance = random.Random(seed)
    room = {"a": 6, "b": 6}
    runs: dict[int, dict] = {}
    moves: list[int] = []
    arrives = 0.0
    for now in range(0, DAY_SECONDS, 60):
        while arrives <= now:
            place = max(room, key=lambda one: (room[one], one))
            if room[place]:
                room[place] -= 1
                runs[len(moves)] = {"place": place, "rest": chance.uniform(600, 30_000), "since": now, "left": ()}
                moves.append(0)
            arrives += chance.expovariate(1 / 1_800)
        noise = {p: 1 + 0.1 * math.sin(now / 1_800 + (p == "a") * math.pi) for p in room}
        for number, run in list(runs.items()):
            run["rest"] -= 60
            if run["rest"] <= 0:
                room[run["place"]] += 1
                del runs[number]
        jobs = [
            Runner(
                str(number),
                run["place"],
                run["rest"] * noise[run["place"]] * math.exp(chance.gauss(0, 0.1)),
                {p: run["rest"] * noise[p] * math.exp(chance.gauss(0, 0.1)) for p in room if p != run["place"]},
                now - run["since"],
                run["left"],
            )
            for number, run in runs.items()
        ]
        for one in proposals(jobs, {p: count for p, count in room.items() if count}, costs(5.0), reluctance):
            run = runs[int(one.job)]
            room[one.source] += 1
            room[one.target] -= 1
            moves[int(one.job)] += 1
            run |= {"place": one.target, "since": now, "left": (*run["left"], one.source)}
    return moves


def test_in_a_day_of_arrivals_and_noise_no_job_goes_to_and_fro() -> None:
    for seed in range(5):
        moves = replayed(Reluctance(), seed=seed)

        assert len(moves) > 30
        assert max(moves) <= 2


def test_without_reluctance_jobs_would_go_to_and_fro_all_day() -> None:
    for seed in range(5):
        moves = replayed(EAGER, seed=seed)

        assert max(moves) > 20
        assert sum(moves) > 5 * len(moves)


def test_a_job_that_waits_gets_the_place_where_it_is_fastest() -> None:
    assert chosen([("one", {"a": 1.0, "b": 3.0})], {"a": 1, "b": 1}) == (("one", "b"),)


def test_of_two_jobs_the_one_that_would_lose_most_gets_the_place_that_both_want() -> None:
    waiting = [("first", {"a": 0.9, "b": 1.0}), ("second", {"a": 1.0, "b": 10.0})]

    assert dict(chosen(waiting, {"a": 1, "b": 1})) == {"first": "a", "second": "b"}


def test_where_there_is_room_for_one_the_first_gets_it() -> None:
    waiting = [("first", {"a": 0.9, "b": 1.0}), ("second", {"a": 1.0, "b": 10.0})]

    assert chosen(waiting, {"a": 1, "b": 0}) == (("first", "a"),)


waiting_jobs = st.lists(st.dictionaries(st.sampled_from(PLACES), st.floats(0.01, 100), min_size=1), max_size=8)


@given(waiting_jobs, st.dictionaries(st.sampled_from(PLACES), st.integers(0, 3)))
def test_places_are_given_once_and_only_to_jobs_that_can_use_them(
    speeds: list[dict[str, float]], room: dict[str, int]
) -> None:
    found = chosen([(str(number), one) for number, one in enumerate(speeds)], room)

    assert all(count <= room[place] for place, count in Counter(place for _, place in found).items())
    assert len({job for job, _ in found}) == len(found)
    assert all(place in speeds[int(job)] for job, place in found)
