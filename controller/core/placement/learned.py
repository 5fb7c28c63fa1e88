"""For how long a job will run where none like it ran to its end: by the speeds that runs elsewhere have shown."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import exp

from controller.core.past_runs import PastRun
from controller.core.placement.durations import Estimate, by_work, predicted
from controller.core.placement.fit import Place
from controller.core.placement.profiles import Hardware, Profile, hardware, profile_of
from controller.core.placement.speeds import Speed, Speeds
from headrace.jobs import JobSpec
from headrace.nodes import Node

# A guess that may be wrong by more than this factor, as often as not, is worse than none.
_WORST_SPREAD = 1.1


class Foretold:
    """What is foretold of one job at any place; `runs` are all past ones. One run is the unit of work."""

    def __init__(self, spec: JobSpec, runs: Iterable[tuple[Profile, PastRun]], nodes: Mapping[str, Node]) -> None:
        self._spec = spec
        self._profile = profile_of(spec)
        self._nodes = nodes
        self._alike: list[PastRun] = []
        self._speeds = Speeds()
        # By hardware on which anything ran, one such run: figures of makers are compared there.
        self._seen: dict[Hardware, PastRun] = {}
        self._told: dict[Hardware, Speed | None] = {}
        for profile, run in runs:
            self._add(profile, run)

    def _add(self, profile: Profile, run: PastRun) -> None:
        if profile == self._profile:
            self._alike.append(run)
        node = self._nodes.get(run.node)
        ran_on = hardware(run.platform, run.devices, node) if node is not None else None
        if ran_on is not None and run.millis > 0:
            self._seen.setdefault(ran_on, run)
            self._speeds.observe(profile, ran_on, 1000 / run.millis)

    def at(self, bound: JobSpec, place: Place) -> Estimate | None:
        """As `predicted`; but before it asks declared work alone, it asks what was learned. `bound`: its variant."""
        ran = predicted(replace(bound, work=None), place, self._nodes, self._alike)
        return ran or self._learned(bound, place) or predicted(bound, place, self._nodes, ())

    def _learned(self, bound: JobSpec, place: Place) -> Estimate | None:
        there = hardware(place.platform, place.devices, self._nodes[place.node])
        if there is None:
            return None
        if there not in self._told:
            wanted = (there, *(one for one in self._seen if one != there))
            places = (place, *(_place_of(place, self._seen[one]) for one in wanted[1:]))
            figures = tuple(self._figure(bound, one) for one in places)
            self._told[there] = self._speeds.told(self._profile, wanted, figures)[0]
        speed = self._told[there]
        if speed is None or not speed.runs or speed.spread > _WORST_SPREAD:
            return None
        return Estimate(max(1, round(1000 / speed.per_second)), _basis(speed))

    def _figure(self, bound: JobSpec, place: Place) -> float | None:
        found = by_work(bound.work, bound.resources, place, self._nodes[place.node]) if bound.work is not None else None
        return None if found is None else 1000 / found.millis


def _place_of(like: Place, run: PastRun) -> Place:
    return replace(like, node=run.node, platform=run.platform, devices=run.devices)


def _basis(speed: Speed) -> str:
    runs = f"{speed.runs} run{'s' if speed.runs > 1 else ''}"
    kinds = f"{speed.kinds} kind{'s' if speed.kinds > 1 else ''} of hardware"
    alike = f" and {speed.alike} other job{'s' if speed.alike > 1 else ''}" if speed.alike else ""
    return f"learned from {runs} on {kinds}{alike}, within {exp(speed.spread):.1f} x"
