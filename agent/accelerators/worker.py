"""The process in which a vendor's library is asked, so that one that hangs can be ended.

It reads requests from its standard input and writes answers to its standard output, and ends when the former does.
It loads as little as it can: it is there as long as a card is.
"""

import os
import pickle
import struct
import sys
from pathlib import Path
from typing import IO, Any

from agent.accelerators.nvidia import Nvidia

LIBRARIES = {"nvidia": Nvidia}
# How many bytes of a pickled request or answer follow.
LENGTH = struct.Struct(">Q")


def main() -> int:
    """Serves until its input ends. Arguments: the vendor, and the folder in which /sys and /dev are."""
    name, root = sys.argv[1:]
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        # What a library prints must not get in between.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        vendor = LIBRARIES[name](root=Path(root))
        while (request := _read(sys.stdin.buffer)) is not None:
            method, arguments = request
            result = vendor.probe() if method == "probe" else vendor.sample(*arguments)
            body = pickle.dumps((result, vendor.nodes))
            answers.write(LENGTH.pack(len(body)) + body)
            answers.flush()
    return 0


def _read(stream: IO[bytes]) -> Any:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return pickle.loads(stream.read(LENGTH.unpack(head)[0]))  # noqa: S301  The agent that started it wrote this.


if __name__ == "__main__":
    sys.exit(main())
