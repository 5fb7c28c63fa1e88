"""What a job tells of its own progress."""

from dataclasses import dataclass

from agent.runtimes.runtime import Ref
from headrace.attempts import Steps


@dataclass(frozen=True, slots=True)
class Progressed:
    """An event: a job says how far it is."""

    ref: Ref
    steps: Steps
