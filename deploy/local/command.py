"""How a command begins and ends: what is asked to leave ends what it started, and a refusal is one line."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

from headrace.refusals import Refusal

ENDED_BY_SIGNAL = 128
# A terminal that is closed, and a supervisor.
ASK_TO_LEAVE = (signal.SIGHUP, signal.SIGTERM)


def carried_out(command: Callable[[], int]) -> int:
    """The exit code of a command: its own, 1 for a refusal, which is printed, or 128 and the signal that ended it."""
    for number in ASK_TO_LEAVE:
        # Whoever started us may want it ignored, as nohup does.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    try:
        return command()
    except Refusal as refusal:
        print(f"{refusal.reason}: {refusal.message}", file=sys.stderr)
    except PermissionError as error:
        print(f"NOT_ALLOWED: {error}: run as the user who made it, or as root", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted; what was started is ended", file=sys.stderr)
        return ENDED_BY_SIGNAL + signal.SIGINT
    return 1


def _leave(number: int, _frame: FrameType | None) -> None:
    """As an exception, so that what was started is ended on the way out."""
    sys.exit(ENDED_BY_SIGNAL + number)
