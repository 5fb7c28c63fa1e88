"""When jobs that run will have ended: as runs like them took on their node, or anywhere, else as their limits say."""

from statistics import median

from controller.core import keeping
from controller.core.book import Book
from controller.core.placement.profiles import Profile, profile_of
from headrace.jobs import Job


class Ends:
    """By when jobs will have gone for one that waits: as runs like them took there, or anywhere; else as limits say."""

    def __init__(self, book: Book, head: str) -> None:
        self._book = book
        self._head = head
        # How long runs took, by node; under no name those of all nodes.
        self._known: dict[Profile, dict[str, int]] = {}
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
        # What takes a minute on a fast node may take ten elsewhere.
        return known.get(job.node, known.get(""))
