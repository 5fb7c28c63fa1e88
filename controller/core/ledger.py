"""Devices as the nodes' containers hold them, against what jobs were given: what differs for long is told, and counted.

What is held is not given to a job, from the first report that says so (`controller.core.book.Book.usage`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from controller.core.book import Book
from headrace.changes import replace
from headrace.nodes import Node


class Drift(NamedTuple):
    """A device that is held by what no job placed on this node is."""

    node: str
    device: str
    holder: str

    def __str__(self) -> str:
        return f"{self.device} is held by {self.holder}, which is no job that was placed here"


def compared(book: Book, node: Node) -> Node:
    """The node, as its report has just told of it, with what drifts; what is new or over is noted."""
    if not (node.drifts or book.drifting_since_ms or any(device.holders for device in node.devices)):
        return node
    here = dict.fromkeys(_drifts(book, node))
    for drift in [one for one in book.drifting_since_ms if one[0] == node.id and one not in here]:
        del book.drifting_since_ms[drift]
    # A container whose job has just been given away needs a moment to go.
    until_ms = book.now_ms - book.policy.drift_ms
    since_ms = {one: book.drifting_since_ms.setdefault(one, book.now_ms) for one in here}
    lasting = [str(one) for one in here if since_ms[one] <= until_ms or str(one) in node.drifts]
    begun = [one for one in lasting if one not in node.drifts]
    for one in begun:
        book.note(node.name, "DEVICE_DRIFT", one)
    for one in node.drifts:
        if one not in lasting:
            book.note(node.name, "DEVICE_DRIFT_ENDED", one.replace(" is held by ", " was held by ", 1))
    return replace(node, drifts=tuple(lasting), drift_count=node.drift_count + len(begun))


def lost(book: Book, node: str, job: str, devices: tuple[str, ...]) -> None:
    """A job's container was removed by somebody: its devices were believed to be held, and were not."""
    found = book.nodes[node]
    message = f"{', '.join(devices)} was {job}'s, whose container is gone; somebody removed it by hand"
    book.note(found.name, "DEVICE_DRIFT", message)
    book.put_node(replace(found, drift_count=found.drift_count + 1))


def _drifts(book: Book, node: Node) -> Iterator[Drift]:
    jobs = {job.name: None for job in book.jobs_at(node.id)}
    for device in node.devices:
        for holder in device.holders:
            if holder not in jobs:
                yield Drift(node.id, device.id, holder)
