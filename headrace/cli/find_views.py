"""Capacity for people: what was found, groups of it, sums, and when there would be more."""

from collections.abc import Iterable, Sequence

from headrace import units
from headrace.cli import device_views, job_table, node_views, words
from headrace.v1.find_service_pb2 import (
    FieldSum,
    FindCapacityRequest,
    FindCapacityResponse,
    FoundDevice,
    FreeTime,
)
from headrace.v1.job_service_pb2 import ListJobsResponse
from headrace.v1.node_service_pb2 import ListNodesResponse

_DEVICE_HEADINGS = ("NODE", *device_views.HEADINGS, "FREE", "JOBS")
_WIDE_DEVICE_HEADINGS = (*_DEVICE_HEADINGS, "REGION", "OWNER")
_TIME_HEADINGS = ("NODE", "FREE BY", "IN", "WHY")


def table(found: FindCapacityResponse, request: FindCapacityRequest, *, wide: bool) -> list[str]:
    """What was found under its headings, then how much it is, then when there would be more."""
    if request.group_by:
        texts = _groups(found, request)
    elif not found.match_count:
        texts = ["nothing is free just now" if request.free_only or request.when else "nothing is found"]
    else:
        texts = _with_order(_rows(found, request, wide=wide), found, request)
    if found.match_count:
        texts += ["", ", ".join([_counted(found, request), *map(_sum, found.sums)])]
    if request.when or found.free_times:
        texts += ["", *_times(found.free_times)]
    return texts


def _rows(found: FindCapacityResponse, request: FindCapacityRequest, *, wide: bool) -> list[Sequence[str]]:
    now = words.now_ms()
    if request.over == FindCapacityRequest.DEVICES:
        rows = [_device(one, wide=wide) for one in found.devices]
        return [_WIDE_DEVICE_HEADINGS if wide else _DEVICE_HEADINGS, *rows]
    if request.over == FindCapacityRequest.JOBS:
        return job_table.rows(ListJobsResponse(jobs=found.jobs), now, wide=wide)
    return node_views.rows(ListNodesResponse(nodes=found.nodes), now, wide=wide)


def _with_order(rows: list[Sequence[str]], found: FindCapacityResponse, request: FindCapacityRequest) -> list[str]:
    headings, cells = rows[0], rows[1:]
    if found.order_values:
        headings = (*headings, request.order_by.partition(" ")[0].upper())
        cells = [(*row, value or "?") for row, value in zip(cells, found.order_values, strict=True)]
    return words.columns(headings, cells)


def _device(one: FoundDevice, *, wide: bool) -> tuple[str, ...]:
    row = (one.node, *device_views.row(one.device), "yes" if one.free else "no", ", ".join(one.jobs))
    return (*row, one.region, one.owner) if wide else row


def _groups(found: FindCapacityResponse, request: FindCapacityRequest) -> list[str]:
    noun = _noun(request).upper()
    headings = (request.group_by.upper(), f"{noun}S", *(one.upper() for one in request.sums))
    return words.columns(
        headings,
        [
            (
                group.key if group.HasField("key") else "?",
                str(group.match_count),
                *(_sum_text(one) for one in group.sums),
            )
            for group in found.groups
        ],
    )


def _noun(request: FindCapacityRequest) -> str:
    return {FindCapacityRequest.DEVICES: "device", FindCapacityRequest.JOBS: "job"}.get(request.over, "node")


def _counted(found: FindCapacityResponse, request: FindCapacityRequest) -> str:
    count = found.match_count
    return f"{count} {_noun(request)}{'' if count == 1 else 's'}"


def _sum(one: FieldSum) -> str:
    return f"{one.field} {_sum_text(one)}"


def _sum_text(one: FieldSum) -> str:
    return f"{one.text} (and {one.unknown_count} unknown)" if one.unknown_count else one.text


def _times(times: Iterable[FreeTime]) -> list[str]:
    now = words.now_ms()
    rows = [
        (
            one.node,
            words.moment(one, "free_time") or "unknown",
            units.format_duration(max(0, words.millis_of(one.free_time) - now) // 1000 * 1000)
            if one.HasField("free_time")
            else "",
            one.reason,
        )
        for one in times
    ]
    if not rows:
        return ["no node that takes jobs would have it, though all its jobs had ended"]
    return [
        "When it would be free, if no job that waits takes it first (jobs may end sooner):",
        *words.indented(words.columns(_TIME_HEADINGS, rows)),
    ]
