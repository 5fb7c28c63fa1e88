"""What the contract's jobs do: few words, which a container runs in Python and the fake runtime interprets."""

from dataclasses import dataclass
from enum import IntEnum

NO_SUCH_PROGRAM = "headrace-no-such-program"


class AtSigterm(IntEnum):
    """What a program does when it is asked to leave."""

    DIES = 0
    EXITS = 1
    STAYS = 2


@dataclass(frozen=True, slots=True)
class Program:
    """Prints `lines` "line <n>", `errors` "error <n>" to stderr, `dots` dots in one line, then exits with `exit_code`.

    One that `waits` prints "ready" instead of exiting, says "SIGUSR1" at each one, and exits as `at_sigterm` says. One
    that `ticks` also prints "tick <n> <time>" again and again.
    """

    lines: int = 0
    errors: int = 0
    dots: int = 0
    exit_code: int = 0
    waits: bool = False
    ticks: bool = False
    at_sigterm: AtSigterm = AtSigterm.DIES

    @property
    def command(self) -> tuple[str, ...]:
        words = (self.lines, self.errors, self.dots, self.exit_code, self.waits, self.ticks, self.at_sigterm)
        return ("python3", "-c", _INTERPRETER, *(str(int(word)) for word in words))

    @property
    def out(self) -> bytes:
        """What it prints to stdout before it waits or exits."""
        lines = "".join(f"line {number}\n" for number in range(self.lines)) + "." * self.dots
        return (lines + ("\nready\n" if self.dots else "ready\n") * self.waits).encode()

    @property
    def err(self) -> bytes:
        return "".join(f"error {number}\n" for number in range(self.errors)).encode()


def program_of(command: tuple[str, ...]) -> Program | None:
    """The program whose command it is, if it is one's."""
    if command[2:3] != (_INTERPRETER,):
        return None
    lines, errors, dots, exit_code, waits, ticks, at_sigterm = map(int, command[3:])
    return Program(lines, errors, dots, exit_code, bool(waits), bool(ticks), AtSigterm(at_sigterm))


# The modules are those of the smallest Python that distributions have.
_INTERPRETER = """
import _signal, os, sys, time

def say(file, text):
    data = text.encode()
    while data:
        data = data[os.write(file, data):]

lines, errors, dots, exit_code, waits, ticks, at_sigterm = map(int, sys.argv[1:])
_signal.signal(_signal.SIGUSR1, lambda *_: say(1, "SIGUSR1\\n"))
if at_sigterm == 1:
    _signal.signal(_signal.SIGTERM, lambda *_: os._exit(exit_code))
elif at_sigterm == 2:
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
for number in range(lines):
    say(1, f"line {number}\\n")
for number in range(errors):
    say(2, f"error {number}\\n")
say(1, "." * dots)
if not waits:
    sys.exit(exit_code)
say(1, "\\nready\\n" if dots else "ready\\n")
number = 0
while True:
    if ticks:
        say(1, f"tick {number} {time.time()}\\n")
        number += 1
        time.sleep(0.002)
    else:
        _signal.pause()
"""
