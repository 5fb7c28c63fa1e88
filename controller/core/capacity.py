"""Finds capacity: a function of what is asked and of a snapshot of nodes and jobs."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from controller.core import assignments
from controller.core.placement.fit import Usage, free
from headrace import query
from headrace.capacity import CapacityGroup, FieldSum, Found, FoundDevice, Over
from headrace.jobs import Job
from headrace.nodes import Drain, Health, Node, NodeState

SCHEMAS = {Over.NODES: query.NODE_FIELDS, Over.DEVICES: query.FOUND_DEVICE_FIELDS, Over.JOBS: query.JOB_FIELDS}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; all names are of the fields of SCHEMAS[over]."""

    matches: query.Expression
    over: Over = Over.NODES
    free_only: bool = False
    order: query.Order | None = None
    sums: tuple[query.Name, ...] = ()
    group: query.Name | None = None
    limit: int = 100


class Site:
    """A node, the jobs that have something of it, and what they leave."""

    def __init__(self, node: Node, jobs: Sequence[Job]) -> None:
        self.node = node
        self.jobs = jobs

    @cached_property
    def usage(self) -> Usage:
        """What is held of the node."""
        return assignments.held(self.node, self.jobs)

    @cached_property
    def now(self) -> Node:
        """The node as users see it."""
        here = tuple(job.id for job in self.jobs if job.node == self.node.id)
        return replace(self.node, free=free(self.node, self.usage), jobs=here)

    def row(self, *, free_only: bool) -> query.Row:
        """The node as queries see it; with `free_only` as if it had only what no job holds."""
        if free_only:
            return query.node_row(remaining(self.node, self.usage))
        return query.node_row(self.now, held=self.usage.devices)

    def devices(self) -> Iterable[query.DeviceView]:
        """Its devices as queries see them."""
        open_now = takes_jobs(self.node)
        for device in self.node.devices:
            free_now = open_now and device.health is not Health.UNHEALTHY and device.id not in self.usage.devices
            holders = tuple(job.id for job in self.jobs if device.id in _granted(job, self.node.id))
            yield query.DeviceView(device, self.node, holders, free_now)


def takes_jobs(node: Node) -> bool:
    """Whether a job could be given to it at all."""
    return node.state is NodeState.READY and node.drain is Drain.NONE and node.engine.reachable


def remaining(node: Node, usage: Usage) -> Node:
    """The node as if it had only what is not held: of its processors, its memory and its devices."""
    left = free(node, usage)
    idle = tuple(one for one in node.devices if one.id not in usage.devices and one.health is not Health.UNHEALTHY)
    return replace(node, description=replace(node.description, capacity=left), devices=idle, free=left)


def find(question: Question, sites: Sequence[Site], jobs: Iterable[Job], *, wall_ms: int) -> Found:
    """All for which the question's query is known to be true: in its order, as many as it asks for; sums, groups."""
    matching = [one for one in _candidates(question, sites, jobs, wall_ms) if question.matches.holds(one.row)]
    sums = _sums(question, matching)
    if question.group is not None:
        groups = _groups(question, question.group, matching)
        return Found(
            match_count=len(matching),
            group_count=len(groups),
            groups=tuple(groups[: question.limit]),
            sums=sums,
        )
    listed = _ordered(question.order, matching)[: question.limit]
    values = tuple(_order_text(question.order, one) for one in listed) if question.order is not None else ()
    records: dict[str, Any] = {question.over.name.lower(): tuple(one.record() for one in listed)}
    return Found(match_count=len(matching), sums=sums, order_values=values, **records)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be found, as queries see it; its record is made only if it is listed."""

    row: query.Row
    record: Callable[[], Node | FoundDevice | Job]
    key: tuple[str, ...]


def _candidates(question: Question, sites: Sequence[Site], jobs: Iterable[Job], wall_ms: int) -> Iterable[_Candidate]:
    match question.over:
        case Over.NODES:
            for site in sites:
                if takes_jobs(site.node) or not question.free_only:
                    row = site.row(free_only=question.free_only)
                    yield _Candidate(row, _node_of(site), (site.node.id,))
        case Over.DEVICES:
            for site in sites:
                for view in site.devices():
                    if view.free or not question.free_only:
                        row = query.found_device_row(view)
                        yield _Candidate(
                            row, _device_of(view), (site.node.id, f"{view.device.index:06}", view.device.id)
                        )
        case Over.JOBS:
            for job in jobs:
                yield _Candidate(query.job_row(job, now_ms=wall_ms), _job_of(job), (job.id,))


def _node_of(site: Site) -> Callable[[], Node]:
    return lambda: site.now


def _device_of(view: query.DeviceView) -> Callable[[], FoundDevice]:
    about = view.node.description
    return lambda: FoundDevice(view.node.id, view.device, view.free, view.jobs, about.region, about.owner)


def _job_of(job: Job) -> Callable[[], Job]:
    return lambda: job


def _granted(job: Job, node: str) -> tuple[str, ...]:
    return job.attempt.devices if job.node == node and job.attempt is not None else ()


def _ordered(order: query.Order | None, found: list[_Candidate]) -> list[_Candidate]:
    """By the field, then by name; what is unknown comes last either way."""
    by_name = sorted(found, key=lambda one: one.key)
    if order is None:
        return by_name
    known = [one for one in by_name if _order_value(order, one) is not None]
    unknown = [one for one in by_name if _order_value(order, one) is None]
    return sorted(known, key=lambda one: _order_value(order, one), reverse=order.descending) + unknown


def _order_value(order: query.Order, one: _Candidate) -> Any:
    """Of several values of a node's devices, that which brings it to the front."""
    known = [value for value in query.values_of(one.row, order.name) if _is_known(value)]
    if not known:
        return None
    return max(known) if order.descending else min(known)  # type: ignore[type-var]


def _order_text(order: query.Order | None, one: _Candidate) -> str:
    return query.value_text(order.name, _order_value(order, one)) if order is not None else ""


def _is_known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _sums(question: Question, found: Sequence[_Candidate]) -> tuple[FieldSum, ...]:
    return tuple(_sum(name, found) for name in question.sums)


def _sum(name: query.Name, found: Sequence[_Candidate]) -> FieldSum:
    values = [value for one in found for value in query.values_of(one.row, name)]
    known: list[float] = [value for value in values if _is_known(value) and not isinstance(value, str | None)]
    total = sum(known)
    return FieldSum(str(name), float(total), query.rounded_text(name, total), len(values) - len(known))


def _groups(question: Question, by: query.Name, found: Sequence[_Candidate]) -> list[CapacityGroup]:
    members: dict[query.Scalar, list[_Candidate]] = {}
    unknown: list[_Candidate] = []
    for one in found:
        known = [value for value in query.values_of(one.row, by) if _is_known(value)]
        # A node belongs to the group of each value that its devices have.
        for value in dict.fromkeys(known):
            members.setdefault(value, []).append(one)  # type: ignore[arg-type]
        if not known:
            unknown.append(one)
    values = sorted(members, reverse=_is_descending(question, by))
    groups = [_group(question, query.value_text(by, value), members[value]) for value in values]
    groups += [_group(question, None, unknown)] if unknown else []
    order = question.order
    if order is None or order.name not in question.sums:
        return groups
    place = question.sums.index(order.name)
    return sorted(groups, key=lambda group: group.sums[place].value, reverse=order.descending)


def _group(question: Question, key: str | None, members: Sequence[_Candidate]) -> CapacityGroup:
    return CapacityGroup(key, len(members), _sums(question, members))


def _is_descending(question: Question, by: query.Name) -> bool:
    return question.order is not None and question.order.name == by and question.order.descending
