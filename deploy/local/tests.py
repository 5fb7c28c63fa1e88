"""`make test`: pytest with an engine, a registry and the images, which are ended afterwards."""

import os
import signal
import subprocess
import sys
from types import FrameType

from deploy.local import oddities, places, prepared

ENDED_BY_SIGNAL = 128


def run(arguments: list[str]) -> int:
    """Runs pytest; answers with its exit code."""
    signal.signal(signal.SIGTERM, _leave)
    with prepared.prepare() as local:
        local.agent_image()
        for make in (oddities.lying, oddities.single, oddities.foreign):
            make(local.registry)
        environment = {
            **os.environ,
            "HEADRACE_TEST_ENGINE": local.engine,
            "HEADRACE_TEST_REGISTRY": local.registry,
        }
        argv = [sys.executable, "-m", "pytest", *arguments]
        code = subprocess.run(argv, cwd=places.ROOT, env=environment, check=False).returncode
    return code if code >= 0 else ENDED_BY_SIGNAL - code


def _leave(number: int, _frame: FrameType | None) -> None:
    """As an exception, so that what was started is ended on the way out."""
    sys.exit(ENDED_BY_SIGNAL + number)
