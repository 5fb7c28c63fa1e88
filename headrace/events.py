"""Events: what happened, for people and for audits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """`subject` is "jobs/<id>" or "nodes/<id>"; `sequence` is given by the store, 0 before."""

    subject: str
    reason: str
    message: str
    create_time_ms: int | None = None
    sequence: int = 0
