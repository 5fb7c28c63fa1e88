"""headrace version."""

from argparse import Namespace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from google.protobuf.struct_pb2 import Struct

from headrace.cli import render


def version(arguments: Namespace) -> int:
    """Show this program's version."""
    try:
        found = installed("headrace")
    except PackageNotFoundError:
        found = "unknown: run from a folder that was not installed"
    told = Struct()
    told.update({"version": found, "protocol": "headrace.v1"})
    render.show(told, arguments.output, lambda _told, _wide: [f"headrace {found}, protocol headrace.v1"])
    return 0
