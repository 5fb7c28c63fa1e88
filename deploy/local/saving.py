"""Before `make down` ends what runs, jobs save and leave; `make up` opens the nodes that were drained for that."""

import asyncio
import contextlib
import json
from collections.abc import Collection
from pathlib import Path

from headrace.client import Client
from headrace.nodes import Drain, NodeState
from headrace.refusals import Refusal

# A job has its own `checkpoint.grace` to save in, which may be hours; nobody waits at a terminal for that.
SAVE_SECONDS = 60.0


async def saved(address: str, nodes: Collection[str], record: Path, *, seconds: float = SAVE_SECONDS) -> list[str]:
    """Drains these nodes, as far as they report, and waits until they are empty; answers the jobs that still are there.

    What they were before is in `record` from then on, for `reopened`.
    """
    async with Client(address) as client:
        ours = [one async for one in client.nodes() if one.id in nodes and one.state is NodeState.READY]
        _note(record, {one.id: one.drain.name for one in ours})
        for one in ours:
            await client.drain(one.id, deadline_ms=0, force=True)
        left = {one.id: one.jobs for one in ours}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), contextlib.aclosing(client.watch_nodes()) as watch:
                while left:
                    node = await anext(watch)
                    if node.id in left:
                        left[node.id] = node.jobs
                    if node.drain is Drain.DRAINED:
                        left.pop(node.id, None)
        return [job for jobs in left.values() for job in jobs]


async def reopened(address: str, record: Path) -> None:
    """Has the nodes that were drained by `saved` take jobs again, but for those that took none before."""
    async with Client(address) as client:
        for node, drain in _recorded(record).items():
            try:
                if drain == Drain.NONE.name:
                    await client.uncordon(node)
                elif drain == Drain.CORDONED.name:
                    await client.cordon(node)
            except Refusal as refusal:
                if refusal.reason != "NODE_NOT_FOUND":
                    raise
    _discard(record)


def _note(record: Path, drains: dict[str, str]) -> None:
    # Whoever was interrupted in this has noted it before.
    record.write_text(json.dumps(drains | _recorded(record)))


def _discard(record: Path) -> None:
    record.unlink(missing_ok=True)


def _recorded(record: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    return found
