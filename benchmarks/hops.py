"""Row 12: how long a job with a megabyte of state stands still while it hops, to amd64 and to emulated arm64.

Against the engines alone: signal, wait, copy, start. All instants are of this machine's clock, as engines tell them.
"""

import asyncio

from benchmarks import hop_job
from benchmarks import setting as settings
from benchmarks.figures import Measured, Row, of_medians
from benchmarks.hop_bare import BareHop
from benchmarks.hop_engines import HopEngines, Times, Way
from benchmarks.hop_ours import OurHop
from benchmarks.starts import pull
from deploy.local import engine as engines
from deploy.local import images

ROUNDS = 5
BOUND = 1.25
SOURCE = "bench-source"
TARGETS = {"amd64": "bench-amd64", "arm64": "bench-arm64"}
WAYS = tuple(Way(architecture, prefetched) for architecture in TARGETS for prefetched in (False, True))
# What a throw-away program reached once, on two cores like these (MIGRATION.md).
SEEN_MS = {"→ amd64, cold": 474, "→ amd64, prefetched": 264, "→ arm64, cold": 704, "→ arm64, prefetched": 302}
BARE, OURS = "engines alone", "Headrace"


async def measure(setting: settings.Setting) -> Row:
    """Measures the row: each way once a round, bare and ours in turn."""
    image = hop_job.image(setting.registry)
    base = images.base(setting.registry)
    with engines.own("bench-target") as target, HopEngines(setting.engine, target.host, image) as both:
        pull(setting.engine, image.on("amd64"))
        for architecture in TARGETS:
            # What lies beneath the image is there, as it would be on a node that has run anything before.
            pull(target.host, base.on(architecture), architecture)
        members = [settings.Member(SOURCE, setting.engine)]
        members += [settings.Member(node, target.host, arm64=each == "arm64") for each, node in TARGETS.items()]
        async with settings.daemons(setting, *members) as (_, client):
            bare = BareHop(both, setting.folder / "bare")
            ours = OurHop(both, client, source=SOURCE, targets=TARGETS)
            measured = Measured("ms")
            for number in range(ROUNDS):
                for way in WAYS:
                    for turn in (False, True) if number % 2 else (True, False):
                        await (_measure_ours(measured, way, ours) if turn else _measure_bare(measured, way, bare))
    return _row(measured)


async def _measure_bare(measured: Measured, way: Way, bare: BareHop) -> None:
    _add(measured, f"{BARE}, {way}", await asyncio.to_thread(bare.hop, way))


async def _measure_ours(measured: Measured, way: Way, ours: OurHop) -> None:
    times, move = await ours.hop(way)
    name = f"{OURS}, {way}"
    _add(measured, name, times)
    measured.add(f"{name}: as the controller tells", move.downtime_millis)
    for phase in move.phases:
        measured.add(f"{name}: phase {phase.name}", phase.millis)


def _add(measured: Measured, name: str, times: Times) -> None:
    measured.add(name, times.downtime_ms)
    measured.add(f"{name}: as the job tells", times.told_by_job)
    for phase, millis in times.phases_ms().items():
        measured.add(f"{name}: {phase}", millis)


def _row(measured: Measured) -> Row:
    ratios = [
        of_medians(f"{way}: {OURS} / {BARE}", measured[f"{OURS}, {way}"], measured[f"{BARE}, {way}"], BOUND)
        for way in WAYS
    ]
    seen = ", ".join(f"{way} {SEEN_MS[str(way)]} ms" for way in WAYS)
    notes = (
        "downtime is from the signal to the job's first line at the target; the controller's ends with the start there",
        "cold: the target lacks image and checkpoint when the move is asked for; Headrace brings them while the job runs",
        f"what a throw-away program once reached on another machine: {seen}",
    )
    return Row(12, "downtime of a hop, L1, 1 MB of state, from amd64", measured.series(), tuple(ratios), notes)
