"""What holds for all tests: asked to leave, they tidy up; and an example that takes long on a busy machine may."""

import os
import signal
from types import FrameType

from hypothesis import HealthCheck, settings

from headrace.transport import read_in_one_thread

# What tests serve and ask by themselves is to use gRPC as the programs do.
read_in_one_thread(os.environ)

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# One commit has one verdict: what is drawn follows from the test. Others are drawn with --hypothesis-profile=explore.
settings.register_profile("headrace", settings.get_profile("explore"), derandomize=True)
settings.load_profile("headrace")


def pytest_configure() -> None:
    signal.signal(signal.SIGTERM, _leave)
    # What a shell starts in the background is deaf to Ctrl-C, and so would be all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """As after Ctrl-C, fixtures are taken down: worlds of daemons, engines. Asked again, they go on with that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
