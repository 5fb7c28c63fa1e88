"""Row 12: how long a job with a megabyte of state stands still while it hops, to amd64 and to emulated arm64.

Against the engines alone: signal, wait, copy, start. All instants are of this machine's clock, as engines tell them.
"""

import asyncio

from benchmarks import hop_job
from benchmarks import setting as settings
from benchmarks.figures import Measured, Row, of_medians, of_rounds
from benchmarks.hop_bare import BareHop
from benchmarks.hop_engines import HopEngines, Times, Way
from benchmarks.hop_ours import OurHop
from benchmarks.starts import pull
from deploy.local import engine as engines
from deploy.local import images

ROUNDS = 9
BOUND, STANDBY_BOUND = 1.25, 0.35
SOURCE, AMD64, ARM64, NATIVE = "bench-source", "bench-amd64", "bench-arm64", "bench-native"
# Their agents start nothing ahead: what a hop costs without.
STILL = "-still"
# The nodes for each architecture, by what is said of them. An agent that is emulated itself is what `make demo` has;
# the throw-away program that the figures to reach come from was not emulated, only its containers were.
TARGETS = {"amd64": {"": AMD64}, "arm64": {"": NATIVE, " (its agent emulated too)": ARM64}}
_READY = ((False, False), (True, False), (True, True))
WAYS = tuple(Way(architecture, *ready) for architecture in TARGETS for ready in _READY)
# What that program reached, on two cores like these (MIGRATION.md).
SEEN_MS = {
    "→ amd64, cold": 474,
    "→ amd64, prefetched": 264,
    "→ amd64, standby": 62,
    "→ arm64, cold": 704,
    "→ arm64, prefetched": 302,
    "→ arm64, standby": 79,
}
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
        for node in (AMD64, NATIVE, ARM64):
            arm64 = node == ARM64
            members.append(settings.Member(node, target.host, arm64=arm64))
            members.append(settings.Member(node + STILL, target.host, arm64=arm64, standby=False))
        async with settings.daemons(setting, *members) as (_, client):
            bare = BareHop(both, setting.folder / "bare")
            ours = OurHop(both, client, source=SOURCE, natives=(NATIVE, NATIVE + STILL))
            measured = Measured("ms")
            for _ in range(ROUNDS):
                for way in WAYS:
                    _add(measured, f"{BARE}, {way}", await asyncio.to_thread(bare.hop, way))
                    for remark, node in TARGETS[way.architecture].items():
                        await _measure_ours(measured, way, ours, remark, node)
    return _row(measured)


async def _measure_ours(measured: Measured, way: Way, ours: OurHop, remark: str, node: str) -> None:
    times, move = await ours.hop(way, node if way.standby else node + STILL)
    name = f"{OURS}, {way}{remark}"
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
    ratios = []
    for way in WAYS:
        for remark in TARGETS[way.architecture]:
            pair = measured[f"{OURS}, {way}{remark}"], measured[f"{BARE}, {way}"]
            ratios.append(of_rounds(f"{way}{remark}: {OURS} / {BARE}", *pair, BOUND))
            ratios.append(of_medians(f"{way}{remark}: {OURS} / {BARE}", *pair))
    for architecture, remarks in TARGETS.items():
        cold, ahead = (str(way) for way in WAYS if way.architecture == architecture and way.prefetched == way.standby)
        for remark in remarks:
            pair = measured[f"{OURS}, {ahead}{remark}"], measured[f"{OURS}, {cold}{remark}"]
            ratios.append(of_rounds(f"→ {architecture}{remark}: standby / cold", *pair, STANDBY_BOUND))
            ratios.append(of_medians(f"→ {architecture}{remark}: standby / cold", *pair))
    seen = ", ".join(f"{way} {SEEN_MS[str(way)]} ms" for way in WAYS)
    notes = (
        "downtime is from the signal to the job's first line at the target; the controller's ends with the start there",
        "cold: the target lacks image and checkpoint when the move is asked for; Headrace brings the image meanwhile",
        f"what a throw-away program reached, on another machine: {seen}",
    )
    return Row(12, "downtime of a hop, L1, 1 MB of state, from amd64", measured.series(), tuple(ratios), notes)
