"""headrace find: capacity, now, and when there would be more."""

from argparse import Namespace

from headrace.cli import find_views, render
from headrace.connection import Connection
from headrace.v1.find_service_pb2 import FindCapacityRequest


async def find(connection: Connection, arguments: Namespace) -> int:
    """Find nodes, devices or jobs by a query, with sums and groups."""
    request = FindCapacityRequest(
        filter=arguments.expression,
        over=arguments.over.upper(),
        free_only=arguments.free,
        order_by=arguments.order_by,
        sums=arguments.sums,
        group_by=arguments.group_by,
        limit=arguments.limit,
        when=arguments.when,
    )
    found = await connection.call(connection.finds.FindCapacity, request)
    render.show(found, arguments.output, lambda message, wide: find_views.table(message, request, wide=wide))
    listed = len(found.nodes) + len(found.devices) + len(found.jobs)
    whole, shown = (found.group_count, len(found.groups)) if request.group_by else (found.match_count, listed)
    if shown < whole:
        render.note(f"{whole - shown} more are left out; --limit {whole} shows all")
    return 0
