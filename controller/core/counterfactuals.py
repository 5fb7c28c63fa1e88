"""What would have a job start now that waits: single changes, each of which was tried by asking what places jobs.

A still of the book is asked. Of each amount it is the least change that helps; conditions are left out one at a time.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from controller.core import shunning, turn_changes
from controller.core.asking import places
from controller.core.book import Book
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place
from controller.core.placement.snapshot import Integers
from controller.core.turn_changes import change
from headrace import job_rules, query, units
from headrace.changes import replace
from headrace.explanations import Change
from headrace.jobs import AcceleratorRequest, Emulation, Job, JobSpec, Network

# So many are told, the smallest first.
MOST = 5
# An amount is changed in so many steps at most.
_STEPS = 64
_LEAST_STEP_BYTES = 8 << 20
# A job for one kind of device does not run on another.
_OF_ANOTHER_SORT = ("kind", "vendor")


class Amount(NamedTuple):
    """Something that a job asks for so much of; `spec` is the job if it asked for another amount, `text` that written.

    Others are `least` and what is `step` after step above that.
    """

    field: str
    asked: int
    least: int
    step: int
    spec: Callable[[int], JobSpec]
    text: Callable[[int], str]


def changes(book: Book, job: Job) -> tuple[Change, ...]:
    """The smallest first; none of a job that would start as it is."""
    if not isinstance(places(book, job), str):
        return ()
    lesser = sorted(_lesser(book, job), key=lambda one: one[0])
    found = [*turn_changes.changes(book, job), *(one for _, one in lesser), *_looser(book, job)]
    return tuple(found[:MOST])


def _tried(book: Book, job: Job, spec: JobSpec) -> tuple[Place, ...]:
    """Where it would start with that spec; nowhere, where a job file would not be taken that says so."""
    if any(True for _ in job_rules.problems(spec)):
        return ()
    found = places(book, replace(job, spec=spec))
    return () if isinstance(found, str) else found


# Less of something.


def _lesser(book: Book, job: Job) -> Iterator[tuple[float, Change]]:
    """With by which part each is less."""
    for amount in _amounts(job.spec):
        found = _most_that_starts(book, job, amount)
        if found is not None:
            value, where = found
            values = amount.text(amount.asked), amount.text(value)
            yield 1 - value / amount.asked, change(book, amount.field, values, where)


def _most_that_starts(book: Book, job: Job, amount: Amount) -> tuple[int, tuple[Place, ...]] | None:
    tried = cache(lambda steps: _tried(book, job, amount.spec(amount.least + steps * amount.step)))
    count = 1 + (amount.asked - amount.least - 1) // amount.step
    # The least first: where that does not help, nothing does.
    if count < 1 or not tried(0):
        return None
    steps = bisect_left(range(1, count), True, key=lambda one: not tried(one))
    return amount.least + steps * amount.step, tried(steps)


def _amounts(spec: JobSpec) -> Iterator[Amount]:
    wants, request = spec.resources, spec.resources.accelerators
    bytes_step, cpu_step = _round_step(wants.memory_bytes), _cpu_step(wants.cpu_millis)
    yield Amount(
        "resources.memory",
        wants.memory_bytes,
        bytes_step,
        bytes_step,
        lambda value: replace(spec, resources=replace(wants, memory_bytes=value)),
        units.format_bytes,
    )
    yield Amount(
        "resources.cpu",
        wants.cpu_millis,
        cpu_step,
        cpu_step,
        lambda value: replace(spec, resources=replace(wants, cpu_millis=value)),
        units.format_cpu,
    )
    if request is not None:
        yield from _device_amounts(spec, request)
    yield Amount("tasks", spec.task_count, 2, 1, lambda value: replace(spec, task_count=value), str)


def _device_amounts(spec: JobSpec, request: AcceleratorRequest) -> Iterator[Amount]:
    share_step, share_bytes_step = 50 if request.share_millis > 50 else 1, _round_step(request.memory_bytes)
    yield Amount(
        "resources.accelerators.count",
        request.count,
        1,
        1,
        lambda value: _with_devices(spec, replace(request, count=value)),
        str,
    )
    yield Amount(
        "resources.accelerators.count",
        request.share_millis,
        share_step,
        share_step,
        lambda value: _with_devices(spec, replace(request, share_millis=value)),
        lambda value: f"{value / 1000:g}",
    )
    yield Amount(
        "resources.accelerators.share.memory",
        request.memory_bytes,
        share_bytes_step,
        share_bytes_step,
        lambda value: _with_devices(spec, replace(request, memory_bytes=value)),
        units.format_bytes,
    )


def _with_devices(spec: JobSpec, request: AcceleratorRequest) -> JobSpec:
    return replace(spec, resources=replace(spec.resources, accelerators=request))


def _round_step(asked: int) -> int:
    """A power of two, so that amounts of memory come out as people write them."""
    return max(_LEAST_STEP_BYTES, 1 << (max(asked - 1, 0) // _STEPS).bit_length())


def _cpu_step(asked: int) -> int:
    step = 1000 if asked > 4000 else 500 if asked > 1000 else 50
    return step if asked // step <= 4 * _STEPS else asked // _STEPS


# Without a condition.


def _looser(book: Book, job: Job) -> Iterator[Change]:
    yield from _elsewhere(book, job)
    yield from _on_other_devices(book, job)
    if job.spec.emulation is Emulation.NEVER:
        where = _tried(book, job, replace(job.spec, emulation=Emulation.ALLOWED))
        if where:
            yield change(book, "emulation", ("never", "allowed"), where)
    if job.spec.neighbours is not None and job.spec.neighbours.apart_from:
        anywhere = replace(job.spec, neighbours=replace(job.spec.neighbours, apart_from=()))
        where = _tried(book, job, anywhere)
        if where:
            yield change(book, "apart_from", (", ".join(job.spec.neighbours.apart_from), ""), where)
    yield from shunning.changes(book, job)
    if job.spec.network is Network.HOST:
        where = _tried(book, job, replace(job.spec, network=Network.BRIDGE))
        if where:
            yield change(book, "network", ("host", "bridge"), where)


def _elsewhere(book: Book, job: Job) -> Iterator[Change]:
    parts = query.parts_of(query.parse(job.spec.where, query.NODE_FIELDS))
    anywhere = replace(job.spec, where="")
    where = _tried(book, job, anywhere) if parts else ()
    if not where:
        return
    rests = [str(query.all_of([one for one in parts if one is not part])) for part in parts]
    if len(parts) > 1:
        book.snapshot.answer_on(_open_slots(book, replace(job, spec=anywhere)), rests, query.NODE_FIELDS)
    told = 0
    for part, rest in zip(parts, rests, strict=True):
        there = _tried(book, job, replace(job.spec, where=rest))
        if there:
            told += 1
            yield change(book, "where", (str(part), ""), there)
    if not told:
        yield change(book, "where", (job.spec.where, ""), where)


def _on_other_devices(book: Book, job: Job) -> Iterator[Change]:
    request = job.spec.resources.accelerators
    if request is None or not request.where:
        return
    parts = query.parts_of(query.parse(request.where, query.DEVICE_FIELDS))
    any_such = _with_devices(job.spec, replace(request, where=""))
    if not _tried(book, job, any_such):
        return
    open_slots = _open_slots(book, replace(job, spec=any_such))
    for part in parts:
        names = [one.name for one in query.names_of(part)]
        if any(name in _OF_ANOTHER_SORT for name in names):
            continue
        others = [one for one in parts if one is not part]
        found = _with_other(book, job, (str(query.all_of(others)), open_slots))
        if not found:
            continue
        model = _model_at(book, found[0]) if "model" in names else ""
        if model:
            such = query.parse(f"model == {query.quoted(model)}", query.DEVICE_FIELDS)
            instead = _with_other(book, job, (str(query.all_of([*others, such])), open_slots))
            if instead:
                yield change(book, "resources.accelerators", (str(part), str(such)), instead)
                continue
        yield change(book, "resources.accelerators", (str(part), ""), found)


def _with_other(book: Book, job: Job, of: tuple[str, Integers]) -> tuple[Place, ...]:
    request = job.spec.resources.accelerators
    if request is None:
        return ()
    where, open_slots = of
    book.snapshot.answer_on(open_slots, [where], query.DEVICE_FIELDS)
    return _tried(book, job, _with_devices(job.spec, replace(request, where=where)))


def _model_at(book: Book, place: Place) -> str:
    models = dict.fromkeys(one.model for one in book.nodes[place.node].devices if one.id in place.devices)
    return next(iter(models)) if len(models) == 1 else ""


def _open_slots(book: Book, job: Job) -> Integers:
    """Nodes on which one of its tasks fits."""
    table = book.tables.table(demand_of(job), job)
    return np.flatnonzero(table.code == 0)
