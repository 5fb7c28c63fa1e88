"""When jobs that run will have ended: as runs like them took on their node, or elsewhere, else as their limits say."""

from math import isfinite
from statistics import median

from controller.core import keeping
from controller.core.book import Book
from controller.core.past_runs import PastRun
from controller.core.placement.profiles import Hardware, Profile, hardware, profile_of
from controller.core.placement.rates import rate_of
from headrace.jobs import Job, JobSpec


class Ends:
    """By when jobs will have gone for one that waits: as runs like them took there or elsewhere; else as limits say."""

    def __init__(self, book: Book, head: str) -> None:
        self._book = book
        self._head = head
        # How long runs took, by node; under no name those of all nodes.
        self._known: dict[Profile, dict[str, int]] = {}
        # How much they did by the figures of their nodes, by precision and hardware; None: that is not known.
        self._done: dict[tuple[Profile, str, Hardware], float | None] = {}
        self._nothing_ran = not book.past_runs

    def __call__(self, job: Job, wall_ms: int) -> int | None:
        """By when a job will have gone, in milliseconds since 1970; None where nothing tells."""
        limit_ms = keeping.ends_ms(self._book, self._head, job, wall_ms)
        usual_ms = self._usual_ms(job)
        if usual_ms is None:
            return limit_ms
        thought_ms = (job.start_time_ms or wall_ms) + usual_ms
        if thought_ms <= wall_ms:
            # It runs longer than those did.
            return limit_ms
        return thought_ms if limit_ms is None else min(limit_ms, thought_ms)

    def _usual_ms(self, job: Job) -> int | None:
        if self._nothing_ran:
            return None
        profile = profile_of(job.spec)
        if profile not in self._known:
            by_node: dict[str, list[int]] = {}
            for run in self._book.past_runs.like(job.spec):
                by_node.setdefault(run.node, []).append(run.millis)
                by_node.setdefault("", []).append(run.millis)
            self._known[profile] = {node: round(median(millis)) for node, millis in by_node.items()}
        known = self._known[profile]
        if job.node in known:
            return known[job.node]
        # What takes a minute on a fast node may take ten elsewhere.
        brought_ms = self._by_figures(job, profile)
        return known.get("") if brought_ms is None else brought_ms

    def _by_figures(self, job: Job, profile: Profile) -> int | None:
        """Of a job that declares its work: as runs on its hardware took, by what its own node does beside theirs."""
        work, attempt, node = job.spec.work, job.attempt, self._book.nodes.get(job.node)
        if work is None or attempt is None or attempt.platform is None or node is None:
            return None
        here = PastRun(job.node, attempt.platform, attempt.devices, millis=0)
        its, rate = hardware(here.platform, here.devices, node), rate_of(here, node, work.precision)
        if its is None or not isfinite(rate):
            return None
        key = profile, work.precision, its
        if key not in self._done:
            self._done[key] = self._did(job.spec, work.precision, its)
        done = self._done[key]
        return None if done is None else round(done / rate)

    def _did(self, spec: JobSpec, precision: str, its: Hardware) -> float | None:
        nodes = self._book.nodes
        on = [(run, nodes[run.node]) for run in self._book.past_runs.like(spec) if run.node in nodes]
        like = [(run, node) for run, node in on if hardware(run.platform, run.devices, node) == its]
        did = [run.millis * rate_of(run, node, precision) for run, node in like]
        known = [one for one in did if isfinite(one)]
        return median(known) if known else None
