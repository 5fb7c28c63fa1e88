"""What the contract's jobs do: few words, which a container runs in Python and the fake runtime interprets."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

NO_SUCH_PROGRAM = "headrace-no-such-program"


class AtSigterm(StrEnum):
    """What a program does when it is asked to leave."""

    DIES = "dies"
    EXITS = "exits"
    STAYS = "stays"


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
        return ("python3", "-c", _INTERPRETER, json.dumps(asdict(self)))

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
    if len(command) != 4 or command[2] != _INTERPRETER:
        return None
    told = json.loads(command[3])
    return Program(**{**told, "at_sigterm": AtSigterm(told["at_sigterm"])})


_INTERPRETER = """
import json, os, signal, sys, time

def say(file, text):
    data = text.encode()
    while data:
        data = data[os.write(file, data):]

told = json.loads(sys.argv[1])
signal.signal(signal.SIGUSR1, lambda *_: say(1, "SIGUSR1\\n"))
if told["at_sigterm"] == "exits":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(told["exit_code"]))
elif told["at_sigterm"] == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(told["lines"]):
    say(1, f"line {number}\\n")
for number in range(told["errors"]):
    say(2, f"error {number}\\n")
say(1, "." * told["dots"])
if not told["waits"]:
    sys.exit(told["exit_code"])
say(1, "\\nready\\n" if told["dots"] else "ready\\n")
number = 0
while True:
    if told["ticks"]:
        say(1, f"tick {number} {time.time()}\\n")
        number += 1
        time.sleep(0.002)
    else:
        signal.pause()
"""
