"""headrace top: all devices of all vendors in the same columns, live."""

import sys
from argparse import Namespace

from headrace.cli import render, top_board
from headrace.connection import PAGE_SIZE, Connection
from headrace.v1.node_service_pb2 import ListNodesRequest, ListNodesResponse


async def top(connection: Connection, arguments: Namespace) -> int:
    """Watch devices and nodes until the user leaves; without a terminal show them once."""
    if arguments.once or arguments.output in ("json", "yaml") or not (render.interactive() and sys.stdin.isatty()):
        await _once(connection, arguments)
        return 0
    from headrace.cli.top_screen import Top  # noqa: PLC0415 - Textual takes long to load, for this alone.

    screen = Top(connection.watch_nodes(arguments.where, readings=True))
    await screen.run_async()
    if screen.refusal is not None:
        raise screen.refusal
    return 0


async def _once(connection: Connection, arguments: Namespace) -> None:
    request = ListNodesRequest(filter=arguments.where, page_size=PAGE_SIZE)
    found = ListNodesResponse()
    async for page in connection.pages(connection.nodes.ListNodes, request):
        found.nodes.extend(page.nodes)
    render.show(found, arguments.output, lambda message, _wide: top_board.table(message.nodes))
