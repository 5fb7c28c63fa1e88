"""The benchmark on traces: arrivals as the method says, moves within what is allowed, a bound that nothing exceeds."""

from pathlib import Path

import pytest

from controller.core.placement.columns import WHOLE, Host, Shape

pytest.importorskip("scipy")

from benchmarks import openb, traces
from benchmarks.bounds import bound_percent, moved_percents

GIB = 1 << 30
HOSTS = tuple(Host(16_000, 64 * GIB, 4, "a" if number % 2 else "b") for number in range(6))
REQUESTS = (
    Shape(2000, GIB, 1, 400),
    Shape(2000, GIB, 1, 700),
    Shape(4000, GIB, 1),
    Shape(4000, GIB, 2, models=("a",)),
    Shape(3000, GIB),
)
TRACE = traces.Trace(HOSTS, REQUESTS)


def quiet(_: int) -> None:
    pass


def test_requests_come_until_just_130_percent_of_the_devices_were_asked_for() -> None:
    for seed in range(5):
        arrivals = traces.arrivals(TRACE, seed)
        asked = sum(shape.millis for shape in arrivals)
        assert asked >= 1.3 * TRACE.capacity_millis > asked - arrivals[-1].millis
        assert arrivals == traces.arrivals(TRACE, seed)


def test_a_workload_that_asks_for_more_than_130_percent_is_cut() -> None:
    many = traces.Trace(HOSTS, REQUESTS * 40)
    assert len(traces.arrivals(many, 0)) < len(many.requests)


def test_no_policy_gives_away_more_than_the_bound_and_moves_are_within_what_is_allowed() -> None:
    for seed in range(3):
        arrivals = traces.arrivals(TRACE, seed)
        for name, begin in openb.policies(TRACE, 2.0, known=seed % 2 == 0, controller=True).items():
            packing, moves = begin()
            done = openb.run(packing, arrivals, moves_per_100=moves, progress=quiet)
            assert len(done.percent) == len(traces.LEVELS), name
            for level, percent, moved in zip(traces.LEVELS, done.percent, done.moves, strict=True):
                count = traces.arrived_by(arrivals, level, TRACE.capacity_millis)
                assert percent <= bound_percent(HOSTS, arrivals[:count]) + 1e-6
                assert moved <= moves * count / 100


def test_the_bound_knows_that_a_share_lies_on_one_device() -> None:
    arrived = [Shape(1, 1, 1, 700)] * 10
    assert bound_percent([Host(100, 100, 2, "a")], arrived) == pytest.approx(70.0)


def test_the_bound_knows_cores_and_models() -> None:
    host = Host(4000, 100, 4, "a")
    assert bound_percent([host], [Shape(2000, 1, 1)] * 4) == pytest.approx(50.0)
    assert bound_percent([host], [Shape(1, 1, 1, models=("b",))] * 4) == 0.0


def test_any_number_of_moves_makes_room_for_what_fits_but_turns_nothing_away_for_what_comes_later() -> None:
    hosts = [Host(100, 100, 2, "a")]
    large, small = Shape(1, 1, 1, 700), Shape(1, 1, 1, 300)

    assert moved_percents(hosts, [small, small, large, large, small], (50, 130)) == [65.0, 100.0]
    assert moved_percents(hosts, [small, small, small, large, large, small], (130,)) == [95.0]


def test_moving_all_at_will_places_all_that_any_policy_could_place() -> None:
    arrivals = traces.arrivals(TRACE, 0)[:20]
    [moved] = moved_percents(HOSTS, arrivals, (130,))
    asked = 100 * sum(shape.millis for shape in arrivals) / TRACE.capacity_millis

    assert moved == pytest.approx(min(asked, bound_percent(HOSTS, arrivals)))


def test_a_trace_is_read_and_what_was_published_of_it(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nn1,32000,1024,2,T4\n")
    pods = tmp_path / "pods-mine.csv"
    pods.write_text(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
        "p1,1000,512,1,460,T4|P100\np2,2000,512,2,1000,\np3,3000,512,0,0,\n"
    )
    (tmp_path / "published.csv").write_text("workload,arrived_percent,FGD\nmine,90,89.5\nother,90,80\n")
    trace = traces.read(pods, tmp_path / "nodes.csv")
    assert trace.hosts == (Host(32_000, GIB, 2, "T4"),)
    assert trace.requests == (
        Shape(1000, GIB // 2, 1, 460, ("P100", "T4")),
        Shape(2000, GIB // 2, 2, WHOLE),
        Shape(3000, GIB // 2),
    )
    assert traces.published(pods) == {90: 89.5}
    assert traces.published(tmp_path / "elsewhere" / "pods-mine.csv") == {}
