"""Rows 13 and 16: how long a job with much state stands still while it hops, and how many bytes travel meanwhile.

Against the engines alone, which stop it, copy the state and start it; and against what the job itself needs to write
its state and to read it again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import hop_job
from benchmarks import setting as settings
from benchmarks.figures import Measured, Ratio, Row, of_rounds
from benchmarks.hop_bare import BareHop
from benchmarks.hop_engines import HopEngines, Times, Way
from benchmarks.hop_ours import OurHop
from benchmarks.hop_state_job import StateJob
from benchmarks.starts import pull
from deploy.local import engine as engines
from deploy.local import images
from headrace.jobs import Migration

SOURCE, TARGET, NATIVE, STILL = "bench-source", "bench-amd64", "bench-native", "-still"
MIB = 1 << 20
BARE, OURS = "engines alone", "Headrace"
COLD, PREFETCHED, STANDBY = Way("amd64", False), Way("amd64", True), Way("amd64", True, True)
FOREIGN_COLD, FOREIGN_STANDBY = Way("arm64", False), Way("arm64", True, True)
UNCHANGED_BOUND, OWN_BOUND, BYTES_BOUND = 0.15, 1.3, 0.03


@dataclass(frozen=True, slots=True)
class Case:
    """A job, how it hops, and what to reach: of the engines' own hop, and of the job's own write and reload."""

    name: str
    job: StateJob
    ways: tuple[Way, ...]
    of_bare: float | None = None
    of_own: float | None = None
    of_bytes: float | None = None


_ALL = (COLD, PREFETCHED, STANDBY, FOREIGN_STANDBY)
CASES = (
    Case("64 MB, all rewritten", StateJob(64 * MIB, 64 * MIB), (*_ALL, FOREIGN_COLD)),
    Case("64 MB of text, all rewritten", StateJob(64 * MIB, 64 * MIB, "text"), (COLD, STANDBY)),
    Case("64 MB, nothing changed", StateJob(64 * MIB, 0), (STANDBY,)),
    Case("256 MB, nothing changed", StateJob(256 * MIB, 0), _ALL, of_bare=UNCHANGED_BOUND),
    Case("256 MB, all rewritten", StateJob(256 * MIB, 256 * MIB), (COLD, STANDBY)),
)
_GIB, _PART = 1024 * MIB, 1024 * MIB // 100
LARGE = (
    Case("1 GiB, 1 % changed", StateJob(_GIB, _PART), (COLD, STANDBY, FOREIGN_STANDBY), None, OWN_BOUND, BYTES_BOUND),
    Case("1 GiB, 1 % changed in place", StateJob(_GIB, _PART, "in place"), (STANDBY,), of_bytes=BYTES_BOUND),
    Case("1 GiB, nothing changed", StateJob(_GIB, 0), (STANDBY,)),
    Case("1 GiB, all rewritten", StateJob(_GIB, _GIB), (STANDBY,)),
)


async def measure(setting: settings.Setting) -> Row:
    """Measures row 13: 64 and 256 MB."""
    return await _measured(setting, 13, CASES, rounds=3)


async def measure_large(setting: settings.Setting) -> Row:
    """Measures row 16: 1 GiB."""
    return await _measured(setting, 16, LARGE, rounds=1)


async def _measured(setting: settings.Setting, number: int, cases: Sequence[Case], *, rounds: int) -> Row:
    image, base = hop_job.image(setting.registry), images.base(setting.registry)
    millis, megabytes = Measured("ms"), Measured("MB")
    with engines.own("bench-target") as target, HopEngines(setting.engine, target.host, image) as both:
        pull(setting.engine, image.on("amd64"))
        for architecture in ("amd64", "arm64"):
            pull(target.host, base.on(architecture), architecture)
        members = [settings.Member(SOURCE, setting.engine)]
        for node in (TARGET, NATIVE):
            members += [settings.Member(node, target.host), settings.Member(node + STILL, target.host, standby=False)]
        async with settings.daemons(setting, *members) as (_, client):
            for _ in range(rounds):
                for case in cases:
                    bare = BareHop(both, setting.folder / "bare", case.job.spec)
                    ours = OurHop(both, client, case.job.spec, source=SOURCE, natives=(NATIVE, NATIVE + STILL))
                    for way in case.ways:
                        # The engines alone stop, copy and start; nothing of it can be there ahead but the image.
                        plain = Way(way.architecture, prefetched=False)
                        _add(millis, f"{BARE}, {case.name}, {way}", await asyncio.to_thread(bare.hop, plain))
                        node = TARGET if way.architecture == "amd64" else NATIVE
                        times, move = await ours.hop(way, node if way.standby else node + STILL)
                        _add(millis, f"{OURS}, {case.name}, {way}", times)
                        _add_move(millis, megabytes, f"{OURS}, {case.name}, {way}", move)
    title = "downtime of a hop, L1, from amd64, by what the state is and how much of it was changed"
    notes = (
        "downtime is from the job's word at the signal to its word when it has read all of its state again",
        "engines alone: stop, copy the state on this machine's disk, pull, create, start, whatever the way",
        "own: what the job itself needs to write, synced, and to read again; MB are those that travel after the freeze",
    )
    ratios = [ratio for case in cases for ratio in _ratios(case, millis, megabytes)]
    return Row(number, title, (*millis.series(), *megabytes.series()), tuple(ratios), notes)


def _add(millis: Measured, name: str, times: Times) -> None:
    millis.add(name, times.told_by_job)
    millis.add(f"{name}: own", times.said_ms("leaving", "written") + times.said_ms("back", "restored"))
    for earlier, later in (("leaving", "written"), ("written", "back"), ("back", "restored")):
        millis.add(f"{name}: {earlier} → {later}", times.said_ms(earlier, later))


def _add_move(millis: Measured, megabytes: Measured, name: str, move: Migration) -> None:
    for phase in move.phases:
        millis.add(f"{name}: phase {phase.name}", phase.millis)
    travelled = sum(phase.bytes for phase in move.phases if phase.name in ("save", "restore"))
    # Once to the store, and once from there.
    megabytes.add(name, travelled / 2 / 1e6)


def _ratios(case: Case, millis: Measured, megabytes: Measured) -> list[Ratio]:
    found = []
    for way in case.ways:
        name = f"{case.name}, {way}"
        ours, bare, own = (millis[one] for one in (f"{OURS}, {name}", f"{BARE}, {name}", f"{OURS}, {name}: own"))
        ahead = way.standby
        found.append(of_rounds(f"{name}: {OURS} / {BARE}", ours, bare, case.of_bare if ahead else None))
        if case.job.changed_bytes:
            found.append(of_rounds(f"{name}: {OURS} / own", ours, own, case.of_own if ahead else None))
        if case.of_bytes is not None and ahead:
            share = max(megabytes[f"{OURS}, {name}"].values) * 1e6 / case.job.state_bytes
            found.append(Ratio(f"{name}: share of the bytes that travels, most", share, case.of_bytes, unit="share"))
    return found
