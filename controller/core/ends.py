"""When jobs that run will have ended: as runs like them took, else as their limits say."""

from statistics import median

from controller.core import keeping
from controller.core.book import Book
from controller.core.placement.profiles import Profile, profile_of
from headrace.jobs import Job


class Ends:
    """By when jobs will have gone for one that waits: as runs like them took, else as their limits say."""

    def __init__(self, book: Book, head: str) -> None:
        self._book = book
        self._head = head
        self._known: dict[Profile, int | None] = {}
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
            runs = self._book.past_runs.like(job.spec)
            self._known[profile] = round(median(run.millis for run in runs)) if runs else None
        return self._known[profile]
