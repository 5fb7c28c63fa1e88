"""The program `headrace-controller`."""

import argparse
import asyncio
import gc
import logging
import os
import sys
from pathlib import Path

from headrace import faultpoints, logs, transport
from headrace.refusals import Refusal
from headrace.settings import is_local, load_controller

_log = logging.getLogger("controller")


def main() -> int:
    """Serves until told to stop; answers with the exit code: 1 where it cannot start."""
    parser = argparse.ArgumentParser(
        prog="headrace-controller",
        description="Takes jobs, finds nodes for them, moves them.",
        epilog="example: headrace-controller --config /etc/headrace/controller.toml",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, TOML; without it all is under ./.headrace"
    )
    arguments = parser.parse_args()
    # Of what is loaded until it serves nothing is garbage: to look for some, over and over, costs a tenth of a second.
    gc.disable()
    transport.read_in_one_thread(os.environ)
    try:
        settings = load_controller(arguments.config, os.environ)
        logs.configure(settings.log.level)
        transport.log_as(settings.log.level, os.environ)
        from controller.daemon import serve  # noqa: PLC0415 - what loads gRPC comes after what that is told.

        faultpoints.arm(os.environ.get(faultpoints.VARIABLE, ""))
        if settings.insecure and settings.tls is None and not is_local(settings.grpc.address):
            _log.warning("insecure = true: anybody who reaches %s may run anything here", settings.grpc.address)
        asyncio.run(serve(settings))
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
