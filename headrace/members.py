"""Which jobs, as the controller tells of them, are run as others: a gang as its tasks, an array as its elements."""

from headrace.v1.job_pb2 import Job


def is_gang(job: Job) -> bool:
    """Whether it runs as tasks."""
    return job.spec.task_count > 1 and not job.gang


def is_array(job: Job) -> bool:
    """Whether it runs as elements."""
    return job.spec.element_count > 1 and not job.array
