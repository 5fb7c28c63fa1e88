"""A `pynvml` that worker processes import: NVML's double, with one file that says what befalls it at its next call."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

_MODULE = """
import os, signal, sys
from pathlib import Path
from tests.contract.fake_nvml import Gpu, Nvml, NVMLError

_nvml = Nvml([Gpu(1), Gpu(2)])


def __getattr__(name):
    exec(Path({state!r}).read_text(), globals())
    return getattr(_nvml, name)
"""

WELL = ""
HANGS = "signal.pause()"
DIES = "os._exit(3)"
PRINTS = "print('a library that talks')"
NO_LIBRARY = "_nvml.closed = 12"
FIRST_LOST = "_nvml.gpus[0].lost = 15"


class NvmlModule:
    """In a folder of its own; `path` is what PYTHONPATH must be."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self._state = folder / "state"
        self._state.write_text(WELL)
        (folder / "pynvml.py").write_text(_MODULE.format(state=str(self._state)))
        self.path = f"{folder}:{REPOSITORY}"

    def befalls(self, what):
        """From the next call on."""
        self._state.write_text(what)
