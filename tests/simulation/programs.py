"""What a simulated job's program does: how much work it has, and how it leaves."""

from dataclasses import dataclass, field
from random import Random

from headrace.attempts import EXIT_SAVED
from tests.simulation.faults import Faults

FAILED = 1


@dataclass
class Program:
    """`total_ms` of work, or endless (`None`); and ways in which it leaves before it is done, each once."""

    total_ms: int | None
    # After how much work, with which code.
    early_exits: list[tuple[int, int]] = field(default_factory=list)
    codes: dict[int, None] = field(default_factory=dict)

    @classmethod
    def drawn(cls, rng: Random, faults: Faults, *, can_save: bool) -> "Program":
        """One for a job; without the contract it does not know of code 85."""
        total_ms = None if rng.random() < 0.3 else rng.choice((2_000, 6_000, 12_000, 20_000))
        exits = []
        for rate, code in ((faults.leaving if can_save else 0.0, EXIT_SAVED), (faults.failing, FAILED)):
            if rng.random() < rate:
                exits.append((rng.randrange(1_000, 15_000), code))
        return cls(total_ms, sorted(exits))

    def next_exit(self, done_ms: int) -> tuple[int, int | None]:
        """The code with which it leaves by itself next, and after how much work; `None` is never."""
        ahead = [(at_ms, code) for at_ms, code in self.early_exits if at_ms > done_ms]
        if ahead and (self.total_ms is None or ahead[0][0] < self.total_ms):
            return ahead[0][1], ahead[0][0]
        return 0, self.total_ms

    def exited(self, code: int) -> None:
        """It left by itself with this code: what made it do so does not happen again."""
        self.codes[code] = None
        self.early_exits = [one for one in self.early_exits if one[1] != code]
