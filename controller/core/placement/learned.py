"""How long jobs will run where none like them ran to its end: by the speeds that runs elsewhere have shown."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, isfinite, nan
from typing import Self

from controller.core.copies import with_its_own
from controller.core.past_runs import PastRun
from controller.core.placement.durations import Estimate, by_work, predicted
from controller.core.placement.fit import Place
from controller.core.placement.profiles import Hardware, Profile, hardware, profile_of
from controller.core.placement.rates import rate_of
from controller.core.placement.speeds import Speed, Speeds
from headrace.changes import replace
from headrace.jobs import Job, JobSpec, Work
from headrace.nodes import Node

# A guess that may be wrong by more than this factor, as often as not, is worse than none.
_WORST_SPREAD = 1.1


class Learned:
    """What runs have shown so far. The controller's grows with each, and is made anew from the records of jobs."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._speeds = Speeds()
        # By hardware on which anything ran, one such run: figures of makers are compared there.
        self._seen: dict[Hardware, PastRun] = {}
        # By hardware and precision, the run where all that is told of such hardware is as if it were, and what was done
        # there last: of jobs that declare their work, runs on other nodes are brought to that.
        self._references: dict[tuple[Hardware, str], tuple[PastRun, float]] = {}
        # Attempts of live jobs whose pace was taken.
        self._paced: dict[tuple[str, int], None] = {}
        # Counts when what was told before is not to be used any more.
        self.edition = 0
        self._is_new = False

    def copy(self, nodes: Mapping[str, Node]) -> Self:
        """The same as of now, over nodes that are as its own are."""
        return with_its_own(self, _nodes=nodes, _speeds=self._speeds.copy(), _references=self._references.copy())

    def observe(self, profile: Profile, run: PastRun, work: Work | None = None) -> None:
        """A job of that profile, and with that work, took, or would take, so long there."""
        node = self._nodes.get(run.node)
        ran_on = hardware(run.platform, run.devices, node) if node is not None else None
        if ran_on is None or run.millis <= 0:
            return
        reference = self._reference(work, ran_on, run)
        if self._speeds.observe(profile, ran_on, 1000 / run.millis / self._beside(work, run, reference)):
            self._seen.setdefault(ran_on, run)
            if work is not None and isfinite(reference):
                first = self._seen[ran_on]
                its = first if isfinite(self._rate(work, first)) else run
                its, _ = self._references.get((ran_on, work.precision), (its, nan))
                self._references[ran_on, work.precision] = its, reference
            self._is_new = True

    def paced(self, job: Job, *, least_ms: int) -> None:
        """Takes the pace of each attempt of a live job that was timed for so long, once."""
        for attempt in job.attempts:
            steps, key = attempt.steps, (job.id, attempt.epoch)
            if steps is None or steps.timed_millis < least_ms or key in self._paced or attempt.platform is None:
                continue
            if steps.whole_millis is not None:
                self._paced[key] = None
                run = PastRun(attempt.node, attempt.platform, attempt.devices, steps.whole_millis)
                self.observe(profile_of(job.spec), run, job.spec.work)

    def ended(self, job: Job, runs: Iterable[PastRun]) -> None:
        """A job has ended: what it tells in the end, of its whole length, is told once more."""
        profile = profile_of(job.spec)
        for run in runs:
            self.observe(profile, run, job.spec.work)
        for attempt in job.attempts:
            self._paced.pop((job.id, attempt.epoch), None)

    def renew(self) -> None:
        """From now on what is new counts where many ask: to work it out for each of them is not worth the time."""
        self.edition += self._is_new
        self._is_new = False

    def tells_of(self, spec: JobSpec) -> bool:
        """Whether anything is known of such jobs: one ran somewhere, or what they have to compute is declared."""
        return spec.work is not None or self.has_seen(spec)

    def has_seen(self, spec: JobSpec) -> bool:
        """Whether a job like that was observed anywhere."""
        return self._speeds.knows(profile_of(spec))

    def speeds(self, spec: JobSpec, places: Sequence[Place]) -> list[Speed | None]:
        """How fast the job would get on at each, in runs a second; `None`: nothing tells, or not well enough.

        Where it declares its work, the figures of each node itself count.
        """
        return [
            replace(speed, per_second=speed.per_second * times)
            if speed is not None and (times := self._beside(spec.work, place, reference)) != 1
            else speed
            for place, (speed, reference) in zip(places, self.on_hardware(spec, places), strict=True)
        ]

    def tells_apart(self, spec: JobSpec, one: Place, other: Place) -> bool:
        """Whether the job may be faster at one of two places than at the other as far as anything tells.

        On the same hardware that is told by the figures of the nodes themselves alone, where both are known.
        """
        here, there = (hardware(place.platform, place.devices, self._nodes[place.node]) for place in (one, other))
        if here != there:
            return True
        return spec.work is not None and all(isfinite(self._rate(spec.work, place)) for place in (one, other))

    def on_hardware(self, spec: JobSpec, places: Sequence[Place]) -> list[tuple[Speed | None, float]]:
        """The same by the hardware alone, of a node that does so much; no number: whichever that is."""
        kinds = [hardware(one.platform, one.devices, self._nodes[one.node]) for one in places]
        asked = {kind: place for kind, place in zip(kinds, places, strict=True) if kind is not None}
        if not asked:
            return [(None, nan)] * len(places)
        like = next(iter(asked.values()))
        asked |= {kind: _place_of(like, run) for kind, run in self._seen.items() if kind not in asked}
        references = {kind: self._reference(spec.work, kind, place) for kind, place in asked.items()}
        figures = tuple(self._figure(spec, place, references[kind]) for kind, place in asked.items())
        found = self._speeds.told(profile_of(spec), tuple(asked), figures)
        # Of a job that never ran, without figures, the ratios alone would tell anything.
        told = {
            kind: speed
            for kind, speed, figure in zip(asked, found, figures, strict=True)
            if speed is not None and speed.spread <= _WORST_SPREAD and (speed.runs or figure is not None)
        }
        return [(None, nan) if kind is None else (told.get(kind), references[kind]) for kind in kinds]

    def _reference(self, work: Work | None, kind: Hardware, place: Place | PastRun) -> float:
        """What is done where that is told of which is told of such hardware; no number: not known."""
        if work is None:
            return nan
        its, before = self._references.get((kind, work.precision), (self._seen.get(kind, place), nan))
        # Figures of all nodes may have become others: that changes nothing. The node may be gone.
        found = (self._rate(work, its), before, self._rate(work, place))
        return next(filter(isfinite, found), nan)

    def _beside(self, work: Work | None, place: Place | PastRun, reference: float) -> float:
        """How many times as much as that is done at a place; as much, where that is not known."""
        times = self._rate(work, place) / reference if work is not None else nan
        return times if isfinite(times) else 1.0

    def _rate(self, work: Work, place: Place | PastRun) -> float:
        node = self._nodes.get(place.node)
        return nan if node is None else rate_of(place, node, work.precision)

    def _figure(self, spec: JobSpec, place: Place, reference: float) -> float | None:
        node = self._nodes.get(place.node)
        if spec.work is None or node is None:
            return None
        found = by_work(spec.work, spec.resources, place, node)
        return None if found is None else 1000 / found.millis / self._beside(spec.work, place, reference)


class Foretold:
    """What is foretold of one job at any place; `alike` are past runs of jobs like it. One run is the unit of work."""

    def __init__(self, spec: JobSpec, learned: Learned, alike: Sequence[PastRun], nodes: Mapping[str, Node]) -> None:
        self._spec = spec
        self._learned = learned
        self._alike = alike
        self._nodes = nodes
        # By hardware, and by the node where its own figures count.
        self._told: dict[tuple[Hardware, str], Speed | None] = {}

    def at(self, bound: JobSpec, place: Place) -> Estimate | None:
        """As `predicted`; but before it asks declared work alone, it asks what was learned. `bound`: its variant."""
        ran = predicted(replace(bound, work=None), place, self._nodes, self._told_by(place))
        return ran or self._elsewhere(place) or predicted(bound, place, self._nodes, ())

    def _told_by(self, place: Place) -> Sequence[PastRun]:
        """The runs that tell of a place as they were: of those on other nodes its own figures count, too."""
        work = self._spec.work
        if work is None or not isfinite(rate_of(place, self._nodes[place.node], work.precision)):
            return self._alike
        return [run for run in self._alike if run.node == place.node]

    def _elsewhere(self, place: Place) -> Estimate | None:
        there = hardware(place.platform, place.devices, self._nodes[place.node])
        if there is None:
            return None
        key = there, "" if self._spec.work is None else place.node
        if key not in self._told:
            self._told[key] = self._learned.speeds(self._spec, [place])[0]
        speed = self._told[key]
        if speed is None or not speed.runs:
            return None
        return Estimate(max(1, round(1000 / speed.per_second)), _basis(speed))


def _place_of(like: Place, run: PastRun) -> Place:
    return replace(like, node=run.node, platform=run.platform, devices=run.devices)


def _basis(speed: Speed) -> str:
    """What was observed of the job itself, and by what the rest is completed."""
    runs = f"{speed.runs} run{'s' if speed.runs > 1 else ''}"
    if speed.runs_here:
        return f"observed: the pace of {speed.runs_here} of {runs}, on such hardware"
    kinds = f"{speed.kinds} kind{'s' if speed.kinds > 1 else ''} of hardware"
    alike = f"{speed.alike} other job{'s' if speed.alike > 1 else ''}" if speed.alike else "makers' figures"
    return f"observed {runs} on {kinds}, completed from {alike}, within {exp(speed.spread):.1f} x"
