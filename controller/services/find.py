"""FindService: capacity, found by asking."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from controller.core import free_times
from controller.core.capacity import SCHEMAS, Question, Site, find, meant
from controller.shell import Shell
from headrace import query, wire
from headrace.changes import replace
from headrace.jobs import Job
from headrace.refusals import Code, Refusal
from headrace.searches import Found, Over
from headrace.v1 import find_service_pb2 as pb
from headrace.v1.find_service_pb2_grpc import FindServiceServicer

LIMIT = 100
LIMIT_MAX = 10_000

_Parsed = TypeVar("_Parsed")


class FindService(FindServiceServicer):
    """Answers from what the core knows at that moment."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._book = shell.cluster.book

    async def FindCapacity(self, request: pb.FindCapacityRequest, context: Any) -> pb.FindCapacityResponse:  # noqa: ARG002, N802, D102
        question = asked(request)
        # Records never change: what is copied here is one moment, and may be looked at beside the core.
        sites = [Site(node, self._book.jobs_at(node.id)) for node in meant(question, self._book.nodes.values())]
        jobs = list(self._shell.live.values())
        found = await asyncio.to_thread(_found, question, sites, jobs, self._book.wall_ms, when=request.when)
        message: pb.FindCapacityResponse = wire.dump(found)
        return message


def _found(question: Question, sites: list[Site], jobs: list[Job], wall_ms: int, *, when: bool) -> Found:
    found = find(question, sites, jobs, wall_ms=wall_ms)
    in_vain = question.over is Over.NODES and question.free_only and not found.match_count
    if not when and not in_vain:
        return found
    times = free_times.free_times(question.matches, sites, wall_ms=wall_ms, limit=question.limit)
    return replace(found, free_times=times)


def asked(request: pb.FindCapacityRequest) -> Question:
    """What a request asks. Raises a Refusal that names the field which means nothing."""
    over = _over(request)
    schema = SCHEMAS[over]
    _check_free(request, over)
    matches = _parsed("filter", request.filter, lambda text: query.parse_new(text, schema))
    sums = tuple(_parsed("sums", one, lambda text: query.parse_sum(text, schema)) for one in request.sums)
    group = _parsed("group_by", request.group_by, lambda text: _group(text, schema)) if request.group_by else None
    order = (
        _parsed("order_by", request.order_by, lambda text: query.parse_order(text, schema))
        if request.order_by
        else None
    )
    _check_group(schema, group, sums, order)
    return Question(
        matches=matches,
        over=over,
        free_only=request.free_only or request.when,
        order=order,
        sums=sums,
        group=group,
        limit=_limit(request.limit),
    )


def _over(request: pb.FindCapacityRequest) -> Over:
    try:
        return Over(request.over or Over.NODES.value)
    except ValueError:
        raise _invalid("over", f"{request.over} is none of NODES, DEVICES, JOBS") from None


def _check_free(request: pb.FindCapacityRequest, over: Over) -> None:
    if request.free_only and over is Over.JOBS:
        raise _invalid("free_only", "jobs are not free; ask over nodes or devices")
    if request.when and over is not Over.NODES:
        raise _invalid("when", f"is told of nodes; ask over nodes, not {over.name.lower()}")


def _group(text: str, schema: query.Schema) -> query.Name:
    name = query.parse_field(text, schema)
    if name.kind is query.Kind.LIST:
        raise query.QueryError(f"{name} is a list; group by a field with one value", position=0, query=text)
    return name


def _check_group(
    schema: query.Schema, group: query.Name | None, sums: tuple[query.Name, ...], order: query.Order | None
) -> None:
    if group is None:
        return
    if order is not None and order.name not in (group, *sums):
        known = ", ".join(str(name) for name in (group, *sums))
        raise _invalid("order_by", f"groups are ordered by what they are made by or by a sum: {known}")
    several = [name for name in sums if _has_several(schema, name)]
    if several and _has_several(schema, group):
        # A node with two models would have the memory of both in the sums of each.
        raise _invalid("group_by", f"a node may have several of {group}, and {several[0]} too; ask over devices")


def _has_several(schema: query.Schema, name: query.Name) -> bool:
    known = schema.find(name.name)
    return known is not None and known.several


def _limit(asked: int) -> int:
    if not 0 <= asked <= LIMIT_MAX:
        raise _invalid("limit", f"{asked} is not from 1 to {LIMIT_MAX}; 0 or nothing is {LIMIT}")
    return asked or LIMIT


def _parsed(field: str, text: str, parse: Callable[[str], _Parsed]) -> _Parsed:
    try:
        return parse(text)
    except query.QueryError as error:
        raise Refusal(error.code, error.reason, f"{field}: {error.message}", **error.metadata, field=field) from error


def _invalid(field: str, message: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "QUESTION_INVALID", f"{field}: {message}", field=field)
