"""headrace find: capacity, now, and when there would be more."""

from argparse import Namespace

from headrace.cli import find_views, render
from headrace.connection import Connection
from headrace.refusals import Refusal
from headrace.v1.find_service_pb2 import FindCapacityRequest

# What the fields of a request are called where users write them.
_WRITTEN = {
    "filter": "EXPR",
    "sums": "--sum",
    "free_only": "--free",
    "group_by": "--group-by",
    "order_by": "--order-by",
    "limit": "--limit",
    "when": "--when",
    "over": "--over",
}


async def find(connection: Connection, arguments: Namespace) -> int:
    """Find nodes, devices or jobs by a query, with sums and groups."""
    if arguments.limit < 0:
        arguments.usage_error("--limit: write how many are to be listed, from 1 to 10000; 0 is 100")
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
    try:
        found = await connection.call(connection.finds.FindCapacity, request)
    except Refusal as refusal:
        raise _as_written(refusal) from refusal
    render.show(found, arguments.output, lambda message, wide: find_views.table(message, request, wide=wide))
    listed = len(found.nodes) + len(found.devices) + len(found.jobs)
    whole, shown = (found.group_count, len(found.groups)) if request.group_by else (found.match_count, listed)
    if shown < whole:
        render.note(f"{whole - shown} more are left out; --limit {whole} shows all")
    return 0


def _as_written(refusal: Refusal) -> Refusal:
    """With the option that the user wrote, where the controller names the field of the request."""
    field = refusal.metadata.get("field", "")
    if field not in _WRITTEN or not refusal.message.startswith(f"{field}: "):
        return refusal
    message = _WRITTEN[field] + refusal.message.removeprefix(field)
    return Refusal(refusal.code, refusal.reason, message, **refusal.metadata)
