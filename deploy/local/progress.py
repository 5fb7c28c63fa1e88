"""What a person sees while set-up goes on: a line a step, with its seconds; and commands, whose output is kept."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local import places
from headrace.refusals import Code, Refusal

SHOWN_LINES = 8


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what begins, and how long it took when it is over."""
    print(f"· {what} … ", end="", flush=True)
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - begun:.1f} s", flush=True)


def note(what: str) -> None:
    """One line that is no step."""
    print(f"· {what}", flush=True)


def run(argv: Sequence[str], *, log: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Runs a command to its end; what it says is kept in `.headrace/logs/`. Refusal: COMMAND_FAILED, with its end."""
    places.LOGS.mkdir(parents=True, exist_ok=True)
    path = places.LOGS / f"{log}.log"
    with path.open("wb") as output:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd, check=False
        )
    if done.returncode != 0:
        raise Refusal(
            Code.INTERNAL,
            "COMMAND_FAILED",
            f"{' '.join(argv[:3])} … ended with {done.returncode}; all it said is in {path}, its end:\n{end_of(path)}",
        )


def end_of(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
