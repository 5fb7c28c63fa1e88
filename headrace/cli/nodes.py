"""headrace nodes, node, cordon, uncordon, drain, undrain, forget."""

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
    ForgetNodeRequest,
    GetNodeRequest,
    ListNodesRequest,
    ListNodesResponse,
    UncordonNodeRequest,
)

# Past a deadline jobs have their grace, and their checkpoints are stored: --wait waits so long for it.
LEAVING_MS = 600_000


async def nodes(connection: Connection, arguments: Namespace) -> int:
    """List nodes, by name; with --watch go on, and show each that joins, is lost or changes."""
    if arguments.watch:
        await _watch(connection, arguments)
    request = ListNodesRequest(filter=arguments.where, page_size=PAGE_SIZE)
    found = ListNodesResponse()
    async for page in connection.pages(connection.nodes.ListNodes, request):
        found.nodes.extend(page.nodes)
    render.show(found, arguments.output, node_views.table)
    return 0


async def _watch(connection: Connection, arguments: Namespace) -> None:
    told: dict[str, str] = {}
    async for changed in connection.watch_nodes(arguments.where):
        if node_views.changed(told, changed):
            render.show_next(changed, arguments.output, told[changed.name])


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
    request = DrainNodeRequest(name=node_name(arguments.node), force=arguments.force)
    if arguments.deadline_ms is not None:
        request.deadline.FromMilliseconds(arguments.deadline_ms)
    node = await connection.call(connection.nodes.DrainNode, request)
    if arguments.wait and node.drain == Node.DRAINING:
        render.note(node_views.drain_deadline(node))
        node = await _drained(connection, node, arguments.deadline_ms)
    render.show(node, arguments.output, lambda node, _wide: node_views.drain(node))
    return 0


async def forget(connection: Connection, arguments: Namespace) -> int:
    """Forget a node that is gone for good."""
    request = ForgetNodeRequest(name=node_name(arguments.node))
    forgotten = await connection.call(connection.nodes.ForgetNode, request)
    render.show(forgotten, arguments.output, lambda node, _wide: [node_views.forgotten(node)])
    return 0


async def _drained(connection: Connection, draining: Node, deadline_ms: int | None) -> Node:
    """The node once it reports that nothing is left. Raises Refusal with what is in the way."""
    latest, told = draining, ""
    give_up_ms = deadline_ms + LEAVING_MS if deadline_ms is not None else None
    try:
        async with asyncio.timeout(give_up_ms / 1000 if give_up_ms is not None else None):
            async for latest in connection.watch_nodes(f'name == "{words.id_of(draining.name)}"'):
                if latest.drain == Node.DRAINED or latest.forgotten:
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
        f"{_remaining(latest)}, {units.format_duration(LEAVING_MS)} after its deadline; it is still being drained: "
        f"wait longer, cancel what is in the way, or headrace undrain {words.id_of(latest.name)}",
    )


def _remaining(node: Node) -> str:
    blockers = "; ".join(node.blockers) or ", ".join(node.jobs) or "its last report is awaited"
    return f"{words.id_of(node.name)} is not drained: {blockers}"


def _show_change(changed: Node, output: str) -> None:
    render.show(changed, output, lambda node, _wide: [node_views.change(node), *words.indented(list(node.blockers))])
