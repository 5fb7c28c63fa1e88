"""The kinds of change that may have a job start: of each the most that there can be of it, and the least that helps.

A still of the book is asked. Of an amount it is the least change that helps; conditions are left out one at a time.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from controller.core.amounts import Amount, amounts, devices_field, requests_of, with_devices
from controller.core.asking import places
from controller.core.book import Book
from controller.core.placement.demand import demand_of
from controller.core.placement.fit import Place
from controller.core.placement.snapshot import Integers
from controller.core.turn_changes import change
from headrace import job_rules, query
from headrace.changes import replace
from headrace.explanations import Change
from headrace.jobs import Emulation, Job, JobSpec, Network

# By which part a job asks for less that is rid of a condition: it comes after those that ask for less of an amount.
WHOLE = 1.0
# A job for one kind of device seldom runs on another: that is told where nothing else would do.
_OF_ANOTHER_SORT = ("kind", "vendor")


class Found(NamedTuple):
    """A change that has a job start, by which part it asks for less then, and what another job is with that change."""

    change: Change
    part: float
    made: Callable[[JobSpec], JobSpec]


class Way(NamedTuple):
    """A kind of change: `most` is a job with as much of it as there can be, `least` how little of it has a job start.

    Where others change and not the job, that is so with `most` and `during` together, and `is_of_others`.
    """

    most: Callable[[JobSpec], JobSpec]
    least: Callable[[Book, Job], Iterable[Found]]
    is_of_others: bool = False
    during: Callable[[Book], AbstractContextManager[None]] = lambda _: nullcontext()


def tried(book: Book, job: Job, spec: JobSpec) -> tuple[Place, ...]:
    """Where it would start with that spec; nowhere, where a job file would not be taken that says so."""
    wrong = list(job_rules.problems(spec))
    # An earlier version may have taken what no file may say by now.
    if wrong and not all(one in list(job_rules.problems(job.spec)) for one in wrong):
        return ()
    found = places(book, replace(job, spec=spec))
    return () if isinstance(found, str) else found


def lesser(spec: JobSpec) -> Iterator[Way]:
    """Less of something."""
    for amount in amounts(spec):
        if amount.lesser_count >= 1:
            yield Way(partial(_with, amount, amount.least), partial(_most_that_starts, amount=amount))


def looser(spec: JobSpec) -> Iterator[Way]:
    """Without a condition, or with another one."""
    if query.parts_of(query.parse(spec.where, query.NODE_FIELDS)):
        yield Way(lambda other: replace(other, where=""), _elsewhere)
    for which, request in enumerate(requests_of(spec)):
        if request.where:
            yield Way(partial(_on_any_such, which), partial(_on_other_devices, which=which))
    for field, values, made in _conditions(spec):
        yield Way(made, partial(_without, field=field, values=values, made=made))


# Less of something.


def _with(amount: Amount, value: int, spec: JobSpec) -> JobSpec:
    return amount.of(spec, value)


def _most_that_starts(book: Book, job: Job, amount: Amount) -> Iterator[Found]:
    there = cache(lambda steps: tried(book, job, amount.of(job.spec, amount.least + steps * amount.step)))
    # The least first: where that does not help, nothing does.
    if not there(0):
        return
    steps = bisect_left(range(1, amount.lesser_count), True, key=lambda one: not there(one))
    value = amount.least + steps * amount.step
    told = change(book, amount.field, (amount.text(amount.asked), amount.text(value)), there(steps))
    yield Found(told, 1 - value / amount.asked, partial(_with, amount, value))


# Without a condition.


def _conditions(spec: JobSpec) -> Iterator[tuple[str, tuple[str, str], Callable[[JobSpec], JobSpec]]]:
    if spec.emulation is Emulation.NEVER:
        yield "emulation", ("never", "allowed"), lambda other: replace(other, emulation=Emulation.ALLOWED)
    if spec.neighbours is not None and spec.neighbours.apart_from:
        asked, anywhere = ", ".join(spec.neighbours.apart_from), replace(spec.neighbours, apart_from=())
        yield "apart_from", (asked, ""), lambda other: replace(other, neighbours=anywhere)
    if spec.network is Network.HOST:
        yield "network", ("host", "bridge"), lambda other: replace(other, network=Network.BRIDGE)


def _without(
    book: Book, job: Job, field: str, values: tuple[str, str], made: Callable[[JobSpec], JobSpec]
) -> Iterator[Found]:
    where = tried(book, job, made(job.spec))
    if where:
        yield Found(change(book, field, values, where), WHOLE, made)


def _elsewhere(book: Book, job: Job) -> Iterator[Found]:
    parts = query.parts_of(query.parse(job.spec.where, query.NODE_FIELDS))
    anywhere = replace(job.spec, where="")
    where = tried(book, job, anywhere) if parts else ()
    if not where:
        return
    rests = [str(query.all_of([one for one in parts if one is not part])) for part in parts]
    if len(parts) > 1:
        book.snapshot.answer_on(_open_slots(book, replace(job, spec=anywhere)), rests, query.NODE_FIELDS)
    told = 0
    for part, rest in zip(parts, rests, strict=True):
        there = tried(book, job, replace(job.spec, where=rest))
        if there:
            told += 1
            yield Found(change(book, "where", (str(part), ""), there), WHOLE, partial(_where, rest))
    if not told:
        yield Found(change(book, "where", (job.spec.where, ""), where), WHOLE, partial(_where, ""))


def _where(where: str, spec: JobSpec) -> JobSpec:
    return replace(spec, where=where)


def _device_where(which: int, where: str, spec: JobSpec) -> JobSpec:
    return with_devices(spec, which, where=where)


def _parts_of(spec: JobSpec, which: int) -> tuple[query.Expression, ...]:
    return query.parts_of(query.parse(requests_of(spec)[which].where, query.DEVICE_FIELDS))


def _is_sort(part: query.Expression) -> bool:
    return any(one.name in _OF_ANOTHER_SORT for one in query.names_of(part))


def _on_any_such(which: int, spec: JobSpec) -> JobSpec:
    """On devices of the same sort, whatever else they have to be."""
    return with_devices(spec, which, where=str(query.all_of([one for one in _parts_of(spec, which) if _is_sort(one)])))


def _on_other_devices(book: Book, job: Job, which: int) -> Iterator[Found]:
    """Of the same sort; where none of these helps, of another one."""
    parts, told = _parts_of(job.spec, which), False
    if tried(book, job, _on_any_such(which, job.spec)):
        open_slots = _open_slots(book, replace(job, spec=_on_any_such(which, job.spec)))
        for part in parts:
            if not _is_sort(part):
                for found in _without_part(book, job, (which, parts, part), open_slots):
                    told = True
                    yield found
    sorts = [part for part in parts if _is_sort(part)]
    anything = with_devices(job.spec, which, where="")
    if told or not sorts or not tried(book, job, anything):
        return
    open_slots = _open_slots(book, replace(job, spec=anything))
    for part in sorts:
        yield from _without_part(book, job, (which, parts, part), open_slots)


def _without_part(
    book: Book, job: Job, of: tuple[int, tuple[query.Expression, ...], query.Expression], open_slots: Integers
) -> Iterator[Found]:
    which, parts, part = of
    field, others = devices_field(job.spec, which), [one for one in parts if one is not part]
    rest = str(query.all_of(others))
    found = _with_other(book, job, (which, rest, open_slots))
    if not found:
        return
    model = _model_at(book, found[0]) if "model" in [one.name for one in query.names_of(part)] else ""
    if model:
        such = query.parse(f"model == {query.quoted(model)}", query.DEVICE_FIELDS)
        both = str(query.all_of([*others, such]))
        instead = _with_other(book, job, (which, both, open_slots))
        if instead:
            told = change(book, field, (str(part), str(such)), instead)
            yield Found(told, WHOLE, partial(_device_where, which, both))
            return
    told = change(book, field, (str(part), ""), found)
    yield Found(told, WHOLE, partial(_device_where, which, rest))


def _with_other(book: Book, job: Job, of: tuple[int, str, Integers]) -> tuple[Place, ...]:
    which, where, open_slots = of
    # Of its alternatives the others are looked for everywhere.
    if not job.spec.resources.alternatives:
        book.snapshot.answer_on(open_slots, [where], query.DEVICE_FIELDS)
    return tried(book, job, with_devices(job.spec, which, where=where))


def _model_at(book: Book, place: Place) -> str:
    models = dict.fromkeys(one.model for one in book.nodes[place.node].devices if one.id in place.devices)
    return next(iter(models)) if len(models) == 1 else ""


def _open_slots(book: Book, job: Job) -> Integers:
    """Nodes on which one of its tasks fits."""
    table = book.tables.table(demand_of(job), job)
    return np.flatnonzero(table.code == 0)
