"""What of a job's history stays in its record."""

from typing import TypeVar

from headrace.attempts import FIRST_KEPT, LAST_KEPT

Record = TypeVar("Record")


def kept(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """The first and the last of them, oldest first; all of them while they are few."""
    if len(records) <= FIRST_KEPT + LAST_KEPT:
        return records
    return records[:FIRST_KEPT] + records[-LAST_KEPT:]
