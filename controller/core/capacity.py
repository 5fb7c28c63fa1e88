"""Finds capacity: a function of what is asked and of a snapshot of nodes and jobs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from controller.core import assignments
from controller.core.placement.fit import Usage, free
from headrace import query
from headrace.changes import replace
from headrace.jobs import Job
from headrace.nodes import Drain, Node, NodeState
from headrace.searches import CapacityGroup, FieldSum, Found, FoundDevice, Over

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

    __slots__ = ("_usage", "jobs", "node")

    def __init__(self, node: Node, jobs: Sequence[Job]) -> None:
        self.node = node
        self.jobs = jobs
        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage:
        """What is held of the node."""
        if self._usage is None:
            self._usage = assignments.held(self.node, self.jobs)
        return self._usage

    def now(self) -> Node:
        """The node as users see it."""
        here = tuple(job.id for job in self.jobs if job.node == self.node.id)
        return replace(self.node, free=free(self.node, self.usage), jobs=here)

    def row(self) -> query.Row:
        """The node as queries see it."""
        return query.node_row(self.node, held=self.usage.touched, free=free(self.node, self.usage))

    def remaining(self, *, without: Collection[str] = ()) -> query.Row:
        """The same as if it had only what no job holds; or what none would hold if these had ended."""
        usage = assignments.held(self.node, self.jobs, without=without) if without else self.usage
        return query.remaining_row(self.node, held=usage.touched, free=free(self.node, usage))

    def devices(self) -> Iterable[query.DeviceView]:
        """Its devices as queries see them."""
        open_now, held = takes_jobs(self.node), self.usage.touched
        for device in sorted(self.node.devices, key=lambda one: (one.index, one.id)):
            jobs = tuple([job.id for job in self.jobs if device.id in _granted(job, self.node.id)]) if held else ()
            yield query.DeviceView(device, self.node, jobs, open_now and query.is_free(device, held))


def _granted(job: Job, node: str) -> tuple[str, ...]:
    return job.attempt.devices if job.node == node and job.attempt is not None else ()


_Seen = Site | query.DeviceView | Job


def takes_jobs(node: Node) -> bool:
    """Whether a job could be given to it at all."""
    return node.state is NodeState.READY and node.drain is Drain.NONE and node.engine.reachable


def meant(question: Question, nodes: Iterable[Node]) -> list[Node]:
    """Those that are looked at: what does not report is no capacity, unless the question names `state`."""
    named = list(query.names_of(question.matches))
    named += [question.order.name] if question.order is not None else []
    named += [question.group] if question.group is not None else []
    every = any(one.name == "state" for one in named)
    return [node for node in nodes if every or node.state is NodeState.READY]


def find(question: Question, sites: Iterable[Site], jobs: Iterable[Job], *, wall_ms: int) -> Found:
    """What the question's query is known to be true of: in order, as many as are asked for; sums, groups.

    What is not listed is not kept: very many small objects would have the garbage collector look at all others.
    """
    whole, groups, listed = _Tally(question.sums), _Groups(question), _Listed(question)
    for row, seen in _matching(question, sites, jobs, wall_ms):
        values = [query.values_of(row, name) for name in question.sums]
        whole.add(values)
        if question.group is not None:
            groups.add(query.values_of(row, question.group), values)
        else:
            listed.add(row, seen)
    if question.group is not None:
        found = groups.ordered()
        shown = tuple(found[: question.limit])
        return Found(match_count=whole.count, group_count=len(found), groups=shown, sums=whole.sums())
    values_shown, seen_first = listed.ordered()
    records: dict[str, Any] = {question.over.name.lower(): tuple(_record(one) for one in seen_first)}
    return Found(match_count=whole.count, sums=whole.sums(), order_values=values_shown, **records)


def _matching(
    question: Question, sites: Iterable[Site], jobs: Iterable[Job], wall_ms: int
) -> Iterator[tuple[query.Row, _Seen]]:
    """What is found, as queries see it, by name."""
    holds, free_only = question.matches.holds, question.free_only
    match question.over:
        case Over.NODES:
            for site in sorted(sites, key=lambda one: one.node.id):
                if free_only and not takes_jobs(site.node):
                    continue
                row = site.remaining() if free_only else site.row()
                if holds(row):
                    yield row, site
        case Over.DEVICES:
            for site in sorted(sites, key=lambda one: one.node.id):
                for view in site.devices():
                    row = query.found_device_row(view)
                    if (view.free or not free_only) and holds(row):
                        yield row, view
        case Over.JOBS:
            # What runs nothing itself has its tasks or elements beside it: their sums are what is asked for.
            running = (one for one in jobs if not (one.is_gang or one.is_array))
            for job in sorted(running, key=lambda one: one.id):
                row = query.job_row(job, now_ms=wall_ms)
                if holds(row):
                    yield row, job


def _record(seen: _Seen) -> Node | FoundDevice | Job:
    match seen:
        case Site():
            return seen.now()
        case query.DeviceView():
            about = seen.node.description
            return FoundDevice(seen.node.id, seen.device, seen.free, seen.jobs, about.region, about.owner)
        case Job():
            return seen


class _Listed:
    """What is listed: by the field of the order, then by name, with the values that it is ordered by."""

    def __init__(self, question: Question) -> None:
        self._order = question.order
        self._limit = question.limit
        self._found: list[tuple[Any, _Seen]] = []

    def add(self, row: query.Row, seen: _Seen) -> None:
        """One more; they come by name."""
        if self._order is not None:
            self._found.append((_order_value(self._order, row), seen))
        elif len(self._found) < self._limit:
            self._found.append((None, seen))

    def ordered(self) -> tuple[tuple[str, ...], list[_Seen]]:
        """The values, and what has them; what is unknown comes last either way."""
        order = self._order
        if order is None:
            return (), [seen for _, seen in self._found]
        known = [pair for pair in self._found if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=order.descending)
        listed = (known + [pair for pair in self._found if pair[0] is None])[: self._limit]
        return tuple(query.value_text(order.name, value) for value, _ in listed), [seen for _, seen in listed]


def _order_value(order: query.Order, row: query.Row) -> Any:
    """Of several values of a node's devices, that which brings it to the front."""
    known: list[Any] = [value for value in query.values_of(row, order.name) if _is_known(value)]
    if not known:
        return None
    return max(known) if order.descending else min(known)


class _Tally:
    """How much was found."""

    def __init__(self, names: tuple[query.Name, ...]) -> None:
        self.count = 0
        self._names = names
        self.totals: list[Any] = [0] * len(names)
        self._unknown = [0] * len(names)

    def add(self, values: Sequence[Sequence[query.Scalar | None]]) -> None:
        """One more, with its values of each name."""
        self.count += 1
        for place, of_name in enumerate(values):
            for value in of_name:
                if _is_known(value):
                    self.totals[place] += value
                else:
                    self._unknown[place] += 1

    def sums(self) -> tuple[FieldSum, ...]:
        """The sums, in the order of the names."""
        return tuple(
            FieldSum(str(name), float(total), query.rounded_text(name, total), unknown)
            for name, total, unknown in zip(self._names, self.totals, self._unknown, strict=True)
        )


class _Groups:
    """How much was found of each value of a field."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._tallies: dict[query.Scalar | None, _Tally] = {}

    def add(self, keys: Sequence[query.Scalar | None], values: Sequence[Sequence[query.Scalar | None]]) -> None:
        """One more: a node belongs to the group of each value that its devices have."""
        known = dict.fromkeys(key for key in keys if _is_known(key)) or {None: None}
        for key in known:
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = _Tally(self._question.sums)
            tally.add(values)

    def ordered(self) -> list[CapacityGroup]:
        """By value, or by the sum that the order names; what has no known value comes last."""
        by, order, sums = self._question.group, self._question.order, self._question.sums
        known: list[Any] = [key for key in self._tallies if key is not None]
        known.sort(reverse=order is not None and order.name == by and order.descending)
        keys = [*known, *([None] if None in self._tallies else [])]
        if order is not None and order.name in sums:
            place = sums.index(order.name)
            keys.sort(key=lambda key: self._tallies[key].totals[place], reverse=order.descending)
        return [self._group(key) for key in keys]

    def _group(self, key: query.Scalar | None) -> CapacityGroup:
        by, tally = self._question.group, self._tallies[key]
        text = query.value_text(by, key) if by is not None and key is not None else None
        return CapacityGroup(text, tally.count, tally.sums())


def _is_known(value: object) -> bool:
    # Not a number is what some say for unknown: it alone is not equal to itself.
    return value is not None and value == value  # noqa: PLR0124
