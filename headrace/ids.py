"""Ids that people read, type and paste."""

import hashlib
import re
from collections.abc import Sequence

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_LONGEST_NUMBER = 9
# What an id has after the job's name: a dash, and six characters.
ENDING = 7
# So many jobs are named in a sentence.
_NAMED = 3
# What an id may be that others name: it is a part of file names and of containers' names.
_JOB_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,199}")


def job_id(display_name: str, request_id: str) -> str:
    """The id of the job that a request makes: the same request makes the same id."""
    digest = int.from_bytes(hashlib.sha256(f"{display_name}\n{request_id}".encode()).digest()[:4])
    # As base64.b32encode has it, which takes ten times as long: of each job there is one.
    ending = "".join([_BASE32[digest >> shift & 31] for shift in range(27, 0, -5)])
    return f"{display_name}-{ending}"


def is_called(job_id: str, display_name: str) -> bool:
    """Whether that is the id of a job of this name, and not of one whose name only begins like it."""
    return len(job_id) == len(display_name) + ENDING and job_id.startswith(f"{display_name}-")


def task_id(gang: str, task: int) -> str:
    """The id of a gang's task. No other job has it: what `job_id` makes ends in six characters."""
    return f"{gang}-{task}"


def element_of(job_id: str) -> tuple[str, int] | None:
    """The array and the number that an element's id is made of; None where it cannot be one's."""
    array, _, number = job_id.rpartition("-")
    if not number.isdecimal() or len(number) > _LONGEST_NUMBER or job_id != task_id(array, int(number)):
        return None
    return array, int(number)


def listed(job_ids: Sequence[str]) -> str:
    """Jobs by their names, for people: of many the first, and how many others there are."""
    return and_others([f"jobs/{one}" for one in job_ids], named=_NAMED)


def and_others(names: Sequence[str], *, named: int) -> str:
    """So many of these names, for people, and how many others there are."""
    left = len(names) - named
    more = f" and {left} other{'s' if left > 1 else ''}" if left > 0 else ""
    return ", ".join(names[:named]) + more


def is_job_id(text: str) -> bool:
    """Whether it may be a job's id: small letters, digits and dashes, 200 at most."""
    return _JOB_ID.fullmatch(text) is not None
