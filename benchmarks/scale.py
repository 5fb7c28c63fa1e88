"""`python -m benchmarks.scale`: one real controller, with a real store, and thousands of simulated agents."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import (
    certified,
    curves,
    explaining,
    job_rates,
    one_image,
    plots,
    record,
    report_rates,
    restarts,
    store_rates,
    swarm,
    table,
)
from benchmarks.figures import Row
from controller.core.leases import lease_of
from controller.core.policy import Policy
from deploy.local import places
from headrace.refusals import Refusal
from headrace.settings import ControllerSettings
from headrace.transport import VARIABLE, read_in_one_thread
from headrace.units import parse_duration

LEASE = "30s"
Part = Callable[["Scale"], Awaitable[Row]]
PARTS: dict[str, Part]


@dataclass(frozen=True, slots=True)
class Scale:
    """What was asked for, and a folder for everything that is written."""

    agents: int
    jobs: int
    ended: int
    queued: int
    seconds: float
    folder: Path
    image: str

    @property
    def lease_millis(self) -> int:
        """For how long a controller has agents go on without an answer: a third of that lies between two reports."""
        policy = Policy(lease_ms=parse_duration(LEASE), reports_per_second=ControllerSettings().reports_per_second)
        return lease_of(policy, self.agents).agent_ms

    @contextmanager
    def controller(self, name: str, **told: object) -> Iterator[swarm.Measured]:
        """A controller with the state of that name, and these settings."""
        with swarm.controller(self.folder / name, **{"lease": LEASE, **told}) as started:
            yield started


def main() -> int:
    """Measures what was asked for; 0 if each reached what it has to."""
    arguments = _parser().parse_args()
    # Whoever ends this ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    places.STATE.mkdir(exist_ok=True)
    kept = record.Record("benchmarks.scale", sys.argv[1:], publish=arguments.publish)
    try:
        with one_image.served() as image, tempfile.TemporaryDirectory(prefix="scale-", dir=places.STATE) as folder:
            if not arguments.plain:
                certified.begin(Path(folder) / "authority")
            for name, part, scale in _chosen(arguments, Path(folder), image):
                before = record.load()
                kept.add(asyncio.run(_of(part, scale)), before, part=name)
        path = kept.write()
        table.show(kept.runs)
        print(f"all measurements: {path}")
        if arguments.publish:
            plots.draw()
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 2
    return 1 if kept.missed else 0


def _chosen(arguments: argparse.Namespace, folder: Path, image: str) -> Iterator[tuple[str, Part, Scale]]:
    """What is to be measured, with its name, and how large."""
    small = Scale(1_000, 10_000, 0, 1_000, 20.0, folder, image)
    large = Scale(10_000, 100_000, 1_000_000, 100_000, 10.0, folder, image)
    given = {name: vars(arguments)[name] for name in ("agents", "jobs", "ended", "queued", "seconds")}
    asked = {name: value for name, value in given.items() if value is not None}
    names = curves.CURVES if "all" in arguments.curves else dict.fromkeys(arguments.curves)
    for part in arguments.parts or (() if names else PARTS):
        yield part, PARTS[part], replace(small, **asked)
    for name in names:
        yield f"curve {name}", curves.CURVES[name], replace(large, **asked)


async def _of(part: Part, scale: Scale) -> Row:
    return await part(scale)


PARTS = {
    "agents": report_rates.at_rest,
    "streams": report_rates.streams,
    "jobs": job_rates.measure,
    "queue": job_rates.queued,
    "restart": restarts.measure,
    "store": store_rates.measure,
    "explain": explaining.measure,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description="Measures one controller with thousands of simulated agents, which speak the real protocol.",
        epilog="example: python -m benchmarks.scale --agents 1000 agents jobs",
    )
    parser.add_argument("--agents", type=int, help="1,000; for curves 10,000")
    parser.add_argument("--jobs", type=int, help="live ones that a controller starts with: 10,000; for curves 100,000")
    parser.add_argument("--ended", type=int, help="ended ones beside them: none; for curves 1,000,000")
    parser.add_argument("--queued", type=int, help="jobs that wait already: 1,000; for curves 100,000")
    parser.add_argument("--seconds", type=float, help="for how long each figure is taken: 20; for curves 10")
    parser.add_argument(
        "--curve",
        dest="curves",
        action="append",
        default=[],
        choices=["all", *curves.CURVES],
        help="how costs grow, up to those numbers, instead of parts; may be given again",
    )
    record.add_publish(parser)
    parser.add_argument("--plain", action="store_true", help="without certificates: no mTLS")
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []], help=", ".join(PARTS))
    return parser


def _begin() -> None:
    """Has agents, bare servers and clients use gRPC as the programs do. It is loaded already, so all begins anew."""
    told = os.environ.get(VARIABLE)
    read_in_one_thread(os.environ)
    if os.environ.get(VARIABLE) != told:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program itself.


if __name__ == "__main__":
    _begin()
    sys.exit(main())
