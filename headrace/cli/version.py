"""headrace version."""

from argparse import Namespace

from google.protobuf.struct_pb2 import Struct

from headrace.cli import render
from headrace.cli.arguments import VERSION
from headrace.version import __version__


def version(arguments: Namespace) -> int:
    """Show this program's version."""
    told = Struct()
    told.update({"version": __version__, "protocol": "headrace.v1"})
    render.show(told, arguments.output, lambda _told, _wide: [VERSION])
    return 0
