"""A still of a book: what is asked of it, or tried in it, changes nothing, and may take its time beside the core.

Records never change, so what is copied is what holds them. It takes some milliseconds at 10,000 nodes.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TypeVar

import numpy as np

from controller.core.book import Book
from controller.core.placement.costs import Costs
from controller.core.placement.learned import Learned
from controller.core.placement.snapshot import Snapshot
from controller.core.placement.tables import Tables
from controller.core.projects import Projects
from controller.core.queue import Queue
from headrace.nodes import Node

_Kept = TypeVar("_Kept")


def still(book: Book) -> Book:
    """The book as it is now."""
    twin = copy(book)
    # Of all that a book has, only this is looked at.
    twin.jobs, twin.nodes, twin._at = book.jobs.copy(), book.nodes.copy(), book._at.copy()  # noqa: SLF001 -- A Book, too.
    twin.stale, twin.read_anew = book.stale.copy(), book.read_anew.copy()
    twin.turns = _twin(book.turns)
    twin.projects = _still_projects(book.projects)
    twin.past_runs = _twin(book.past_runs)
    # Who waits is found in the jobs. Lines are for a core that goes on.
    twin.queue = Queue(book.policy.preempting_priority)
    twin.snapshot = still_snapshot(book.snapshot)
    twin.learned = still_learned(book.learned, twin.nodes)
    twin.tables = Tables(twin.snapshot, still_costs(book.tables.costs, twin.snapshot), twin.lengths)
    return twin


def still_snapshot(snapshot: Snapshot) -> Snapshot:
    """The nodes as they are now."""
    twin = _twin(snapshot)
    columns = snapshot._columns  # noqa: SLF001 -- It is a Snapshot, too.
    twin._columns = {key: replace(one, values=one.values.copy()) for key, one in columns.items()}  # noqa: SLF001
    return twin


def still_costs(costs: Costs | None, snapshot: Snapshot) -> Costs | None:
    """What places cost now, and what is usually asked for, over a snapshot that is as theirs is."""
    if costs is None:
        return None
    twin = _twin(costs)
    twin._snapshot = snapshot  # noqa: SLF001 -- It is Costs, too.
    twin._mix = _twin(costs._mix)  # noqa: SLF001
    if costs._packing is not None:  # noqa: SLF001
        packing = twin._packing = _twin(costs._packing)  # noqa: SLF001
        packing.columns = _twin(packing.columns)
        packing.mix = twin._mix if packing.mix is costs._mix else _twin(packing.mix)  # noqa: SLF001
        packing._rooms = _twin(packing._rooms)  # noqa: SLF001
    return twin


def still_learned(learned: Learned, nodes: Mapping[str, Node]) -> Learned:
    """What runs have shown until now."""
    twin = _twin(learned)
    twin._nodes, twin._speeds = nodes, _twin(learned._speeds)  # noqa: SLF001 -- It is Learned, too.
    return twin


def _still_projects(projects: Projects) -> Projects:
    twin = _twin(projects)
    twin.yardstick = _twin(projects.yardstick)
    kinds = projects.yardstick._kinds  # noqa: SLF001 -- It is a Yardstick, too.
    twin.yardstick._kinds = {name: copy(kind) for name, kind in kinds.items()}  # noqa: SLF001
    return twin


def _twin(one: _Kept) -> _Kept:
    """The same, with arrays, dicts and lists of its own."""
    twin = copy(one)
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray | dict | list):
            setattr(twin, name, value.copy())
    return twin
