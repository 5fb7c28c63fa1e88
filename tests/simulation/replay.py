"""`python -m tests.simulation.replay SEED [WORLDS]`: the story of a seed, to its end or to what broke.

WORLDS is the name of worlds in which some faults are likelier (`tests/simulation/emphasis.py`).
"""

import sys

from tests.simulation.emphasis import ANY, EMPHASES
from tests.simulation.run import run
from tests.simulation.transcript import Transcript


def main(arguments: list[str]) -> int:
    """Prints it."""
    seed, *worlds = arguments
    emphasis = next(one for one in EMPHASES if one.name == (worlds or [ANY.name])[0])
    transcript = Transcript()
    try:
        digest = run(int(seed), transcript, emphasis)
    except BaseException:
        sys.stdout.write("\n".join(transcript.lines) + "\n")
        raise
    sys.stdout.write("\n".join((*transcript.lines, f"ends well, digest {digest}")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
