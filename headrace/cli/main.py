"""The `headrace` program: what the user wrote, done, and an exit code."""

import errno
import gc
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from headrace.cli import render
from headrace.cli.address import certificate_folder, controller_address
from headrace.cli.arguments import Command, parse
from headrace.refusals import Refusal

DONE, REFUSED, WRONG_USAGE, INTERRUPTED, READER_LEFT = 0, 1, 2, 130, 141


def main() -> NoReturn:
    """Run the program and end the process."""
    render.prepare()
    code = run(sys.argv[1:])
    # All is written and closed. Taking gRPC and the interpreter apart piece by piece would take a further 20 ms.
    os._exit(code)


def run(argv: Sequence[str]) -> int:
    """Do what `argv` says, and answer the exit code."""
    try:
        code = _code(argv)
        render.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        render.silence()
        code = READER_LEFT
    except OSError as error:  # A file or a folder of the user's, or standard output.
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        render.complaint("refused", what, errno.errorcode.get(error.errno or 0, "OS_ERROR"))
        code = REFUSED
    return code


def _code(argv: Sequence[str]) -> int:
    try:
        command, arguments = parse(argv)
        if not command.connects:
            code: int = getattr(import_module(f"headrace.cli.{command.module}"), command.function)(arguments)
            return code
        return _connect(command, arguments)
    except SystemExit as end:  # argparse's: help, or wrong usage.
        return end.code if isinstance(end.code, int) else WRONG_USAGE
    except Refusal as refusal:
        for mistake in _mistakes(refusal):
            render.complaint("refused", mistake, refusal.reason)
        return REFUSED


def _mistakes(refusal: Refusal) -> list[str]:
    # Of a job all that is wrong with it is told at once, a line each; elsewhere lines are those of whom we asked.
    return refusal.message.splitlines() if refusal.metadata.get("fields") else [refusal.message]


def _connect(command: Command, arguments: Namespace) -> int:
    # Nothing of the modules that are loaded here will be garbage: not to look for it saves 6 ms.
    gc.disable()
    # Else gRPC tells the user of each connection that ends, in words of its own.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import asyncio  # noqa: PLC0415 - help and wrong usage do without, and are to be quick.

    from headrace.connection import Connection  # noqa: PLC0415 - as asyncio.

    perform = getattr(import_module(f"headrace.cli.{command.module}"), command.function)
    address = controller_address(getattr(arguments, "controller", ""), os.environ)
    folder = certificate_folder(os.environ)
    gc.freeze()
    gc.enable()

    async def connected() -> int:
        async with Connection(address, tls=folder) as connection:
            code: int = await perform(connection, arguments)
            return code

    return asyncio.run(connected())
