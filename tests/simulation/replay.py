"""`python -m tests.simulation.replay SEED`: the story of a seed, to its end or to what broke."""

import sys

from tests.simulation.run import run
from tests.simulation.transcript import Transcript


def main(arguments: list[str]) -> int:
    """Prints it."""
    transcript = Transcript()
    try:
        digest = run(int(arguments[0]), transcript)
    except BaseException:
        sys.stdout.write("\n".join(transcript.lines) + "\n")
        raise
    sys.stdout.write("\n".join((*transcript.lines, f"ends well, digest {digest}")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
