"""State changes a second: our store against bare sqlite3 with the same rows (row 10)."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import restarts
from benchmarks.figures import Ratio, Row, Series, of_rounds
from controller.store import Store
from headrace import wire
from headrace.jobs import Job, JobSpec

if TYPE_CHECKING:
    from benchmarks.scale import Scale

ROUNDS = 5
BATCHES = (1, 100)
CHANGES = {1: 2_000, 100: 20_000}
JOBS = 1_000
_TABLE = "create table jobs (id text primary key, state text not null, ended boolean not null, body blob not null)"
_UPSERT = (
    "insert into jobs values (?, ?, ?, ?) "
    "on conflict (id) do update set state = excluded.state, ended = excluded.ended, body = excluded.body"
)


async def measure(scale: "Scale") -> Row:
    """Row 10: both in turn; WAL, synchronous FULL, a thousand jobs that change again and again."""
    jobs = [restarts.job(number, "sim-00000", JobSpec("run", scale.image)) for number in range(JOBS)]
    series: list[Series] = []
    ratios: list[Ratio] = []
    for batch in BATCHES:
        ours, bare = [], []
        for number in range(ROUNDS):
            ours.append(_rate(_ours(scale.folder / f"ours-{batch}-{number}.db"), jobs, batch))
            bare.append(_rate(_bare(scale.folder / f"bare-{batch}-{number}.db"), jobs, batch))
        both = (
            Series(f"Headrace, batches of {batch}", "/s", tuple(ours)),
            Series(f"sqlite3, {batch}", "/s", tuple(bare)),
        )
        series += both
        ratios.append(of_rounds(f"batches of {batch}", *both, 0.3, at_least=True))
    notes = ("bare: bytes made ahead; ours makes them of records, with all columns and indices",)
    return Row(10, "store: state changes a second", tuple(series), tuple(ratios), notes)


def _rate(commit: Callable[[list[Job]], object], jobs: list[Job], batch: int) -> float:
    since, count = time.perf_counter(), CHANGES[batch]
    for first in range(0, count, batch):
        # Another record each time: of one that did not change the message is known.
        commit([replace(jobs[number % JOBS], epoch=first) for number in range(first, first + batch)])
    return count / (time.perf_counter() - since)


def _ours(path: Path) -> Callable[[list[Job]], object]:
    return Store.open(f"sqlite:///{path}").commit


def _bare(path: Path) -> Callable[[list[Job]], object]:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("pragma journal_mode = wal", "pragma synchronous = full", _TABLE):
        connection.execute(statement)
    bodies: dict[str, bytes] = {}

    def commit(jobs: list[Job]) -> None:
        rows = [(one.name, one.state.name, one.ended, _body(bodies, one)) for one in jobs]
        connection.execute("begin immediate")
        connection.executemany(_UPSERT, rows)
        connection.execute("commit")

    return commit


def _body(known: dict[str, bytes], job: Job) -> bytes:
    if job.name not in known:
        known[job.name] = wire.dump(job).SerializeToString()
    return known[job.name]
