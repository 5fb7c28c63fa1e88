"""What users are told of a job whose node is silent, worked out as it is shown: nothing of it is written down."""

from controller.core.backoff import as_text
from controller.core.book import Book
from controller.core.gangs import is_done
from controller.core.outcome import is_retried
from controller.core.ticks import kept_ms
from headrace.changes import replace
from headrace.jobs import Job, JobState, Partition, RetryCause
from headrace.nodes import Node, NodeState


def told(book: Book, job: Job) -> Job:
    """The job as users see it: where its node, or that of a task, is silent, its reason says so, and what comes."""
    if job.ended:
        return job
    for one in book.tasks(job) if job.is_gang else [job]:
        node = book.nodes.get(one.node)
        if node is not None and node.state is NodeState.SUSPECT and not is_done(one):
            reason = f"{one.node} does not report{_since(node)}: {_what_comes(book, job, one.node)}"
            return replace(job, reason=f"{job.reason}; {reason}" if job.reason else reason)
    return job


def _since(node: Node) -> str:
    return f" since {as_text(node.report_time_ms)}" if node.report_time_ms is not None else ""


def _what_comes(book: Book, job: Job, node: str) -> str:
    if job.spec.partition is Partition.KEEP and job.state is not JobState.CANCELLING:
        return "the job is left there until it does (`partition: keep`)"
    # By the clock of this process, which gives each node a whole lease as it starts.
    lost_ms = book.wall_ms - book.now_ms + book.heard_ms.get(node, book.now_ms) + kept_ms(book, job)
    if job.state is JobState.CANCELLING:
        what = "the job ends"
    elif is_retried(job, RetryCause.NODE_LOST, wall_ms=book.wall_ms):
        what = "the job begins again elsewhere"
    else:
        what = "the job fails"
    return f"if that is still so at {as_text(lost_ms)}, {what}"
