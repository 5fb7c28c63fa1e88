"""What goes wrong in a world, and how often: each seed draws its own, so that some faults meet alone."""

from dataclasses import dataclass, fields
from random import Random
from typing import ClassVar


@dataclass
class Faults:
    """Each number is how likely it is, each time that it could be. Without any, a world is calm."""

    # The network: messages that are lost, come twice, or come after those that left later.
    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    # Disks: a write that takes its time, and is lost in a crash meanwhile.
    slow_disk: float = 0.0
    # Processes that are killed at work: before, in the midst of, or after what they had to save and to do.
    agent_crash: float = 0.0
    controller_crash: float = 0.0
    # The engine: does not answer, declines, says nothing of an exit, takes its time.
    interrupted: float = 0.0
    declined: float = 0.0
    mute: float = 0.0
    slow: float = 0.0
    # Images that cannot be had, containers that do not start.
    no_pull: float = 0.0
    no_start: float = 0.0
    # Jobs: they ignore signals, leave without saving, leave unasked, fail.
    deaf: float = 0.0
    careless: float = 0.0
    leaving: float = 0.0
    failing: float = 0.0

    MOST: ClassVar[dict[str, float]] = {
        "lost": 0.5,
        "twice": 0.3,
        "late": 0.5,
        "slow_disk": 0.5,
        "agent_crash": 0.1,
        "controller_crash": 0.04,
        "interrupted": 0.3,
        "declined": 0.2,
        "mute": 0.5,
        "slow": 0.3,
        "no_pull": 0.3,
        "no_start": 0.2,
        "deaf": 0.4,
        "careless": 0.4,
        "leaving": 0.3,
        "failing": 0.3,
    }

    @classmethod
    def drawn(cls, rng: Random) -> "Faults":
        """Some of them."""
        names = [one.name for one in fields(cls)]
        return cls(**{name: rng.random() * cls.MOST[name] for name in names if rng.random() < 0.4})
