"""Moves for speed: which running jobs would be done sooner elsewhere, by more than moving them costs.

A function of a snapshot. What keeps jobs from going to and fro are the numbers of `Reluctance`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reluctance:
    """What a move for speed has to bring, and how often a job may make one."""

    # The time that is left is divided by this, at least, the cost of the move counted in.
    gain_ratio: float = 1.25
    # To go back to where it was, by this: what it was moved away for has to have changed, and not only to fluctuate.
    return_ratio: float = 2.0
    # It saves so much time at least,
    gain_seconds: float = 60.0
    # and the job has been where it is for so long, counted from when it runs there.
    stay_seconds: float = 600.0
    # Moves that begin at one time: what they bring is learned from before the next.
    at_once: int = 4


@dataclass(frozen=True, slots=True)
class Runner:
    """A job that runs: how long it still will, here and, as a pessimist sees it, elsewhere. The cost is not in it."""

    job: str
    place: str
    here_seconds: float
    there_seconds: Mapping[str, float]
    stayed_seconds: float
    # Places that it was moved away from for speed.
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A move that is worth it."""

    job: str
    source: str
    target: str
    gain_seconds: float
    cost_seconds: float


def proposals(
    runners: Iterable[Runner],
    room: Mapping[str, int],
    cost_seconds: Callable[[Runner, str], float | None],
    reluctance: Reluctance = Reluctance(),
) -> tuple[Proposal, ...]:
    """Those that bring most first, each into room that none before it takes; one of unknown cost is not proposed."""
    found: list[Proposal] = []
    for runner in runners:
        if runner.stayed_seconds >= reluctance.stay_seconds:
            found += [one for place in room for one in _worth_it(runner, place, cost_seconds, reluctance)]
    found.sort(key=lambda one: (-one.gain_seconds, one.job, one.target))
    free = dict(room)
    chosen: dict[str, Proposal] = {}
    for one in found:
        if one.job not in chosen and free[one.target] > 0 and len(chosen) < reluctance.at_once:
            free[one.target] -= 1
            chosen[one.job] = one
    return tuple(chosen.values())


def _worth_it(
    runner: Runner, place: str, cost_seconds: Callable[[Runner, str], float | None], reluctance: Reluctance
) -> Iterable[Proposal]:
    there = runner.there_seconds.get(place)
    ratio = reluctance.return_ratio if place in runner.left else reluctance.gain_ratio
    # What a move costs is asked of those alone that would be worth it if it cost nothing.
    if place == runner.place or there is None or runner.here_seconds < ratio * there:
        return
    cost = cost_seconds(runner, place)
    if cost is None or runner.here_seconds < ratio * (there + cost):
        return
    gain = runner.here_seconds - there - cost
    if gain >= reluctance.gain_seconds and gain > 0:
        yield Proposal(runner.job, runner.place, place, gain, cost)
