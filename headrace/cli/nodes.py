"""headrace nodes, node, cordon, uncordon, drain, undrain."""

import asyncio
from argparse import Namespace

from headrace import units
from headrace.cli import node_views, render, words
from headrace.connection import PAGE_SIZE, Connection, node_name
from headrace.refusals import Code, Refusal
from headrace.v1.node_pb2 import Node
from headrace.v1.node_service_pb2 import (
    CordonNodeRequest,
    DrainNodeRequest,
    GetNodeRequest,
    ListNodesRequest,
    ListNodesResponse,
    UncordonNodeRequest,
)

_DEADLINE_MS = 600_000


async def nodes(connection: Connection, arguments: Namespace) -> int:
    """List nodes, by name."""
    request = ListNodesRequest(filter=arguments.where, page_size=PAGE_SIZE)
    found = ListNodesResponse()
    async for page in connection.pages(connection.nodes.ListNodes, request):
        found.nodes.extend(page.nodes)
    render.show(found, arguments.output, node_views.table)
    return 0


async def node(connection: Connection, arguments: Namespace) -> int:
    """Show a node, whole."""
    found = await connection.call(connection.nodes.GetNode, GetNodeRequest(name=node_name(arguments.node)))
    render.show(found, arguments.output, node_views.sheet)
    return 0


async def cordon(connection: Connection, arguments: Namespace) -> int:
    """Give a node no new jobs."""
    request = CordonNodeRequest(name=node_name(arguments.node))
    _show_change(await connection.call(connection.nodes.CordonNode, request), arguments.output)
    return 0


async def uncordon(connection: Connection, arguments: Namespace) -> int:
    """Give a node jobs again, whether it was cordoned or drained."""
    request = UncordonNodeRequest(name=node_name(arguments.node))
    _show_change(await connection.call(connection.nodes.UncordonNode, request), arguments.output)
    return 0


async def drain(connection: Connection, arguments: Namespace) -> int:
    """Move all jobs off a node; with --wait until none is left."""
    if arguments.deadline_ms is not None and not arguments.wait:
        arguments.usage_error("--deadline is how long --wait waits; write both, or neither")
    request = DrainNodeRequest(name=node_name(arguments.node))
    draining = await connection.call(connection.nodes.DrainNode, request)
    if not arguments.wait:
        _show_change(draining, arguments.output)
        return 0
    deadline_ms = _DEADLINE_MS if arguments.deadline_ms is None else arguments.deadline_ms
    _show_change(await _drained(connection, draining, deadline_ms), arguments.output)
    return 0


async def _drained(connection: Connection, draining: Node, deadline_ms: int) -> Node:
    """The node once it reports that nothing is left. Raises Refusal with what is in the way."""
    latest, told = draining, ""
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            async for latest in connection.watch_nodes(f'name == "{words.id_of(draining.name)}"'):
                if latest.drain == Node.DRAINED:
                    return latest
                if latest.drain != Node.DRAINING:
                    raise Refusal(
                        Code.ABORTED,
                        "DRAIN_ENDED",
                        f"{words.id_of(latest.name)} is no longer being drained: someone gave it jobs again",
                    )
                if (line := _remaining(latest)) != told:
                    told = line
                    render.note(line)
    except TimeoutError:
        pass
    raise Refusal(
        Code.DEADLINE_EXCEEDED,
        "DRAIN_DEADLINE",
        f"{_remaining(latest)} after {units.format_duration(deadline_ms)}; it is still being drained: "
        f"wait longer, cancel what is in the way, or headrace undrain {words.id_of(latest.name)}",
    )


def _remaining(node: Node) -> str:
    blockers = "; ".join(node.blockers) or ", ".join(node.jobs) or "its last report is awaited"
    return f"{words.id_of(node.name)} is not drained: {blockers}"


def _show_change(changed: Node, output: str) -> None:
    render.show(changed, output, lambda node, _wide: [node_views.change(node)])
