"""`python -m benchmarks.scale`: one real controller, with a real store, and thousands of simulated agents."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import explaining, figures, job_rates, one_image, record, report_rates, restarts, store_rates, swarm
from benchmarks.figures import Row
from deploy.local import places
from headrace.refusals import Refusal

LEASE = "30s"
PARTS: dict[str, Callable[["Scale"], Awaitable[Row]]]


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

    @contextmanager
    def controller(self, name: str, *, lease: str = LEASE) -> Iterator[swarm.Measured]:
        """A controller with the state of that name."""
        with swarm.controller(self.folder / name, lease=lease) as started:
            yield started


def main() -> int:
    """Measures what was asked for; 0 if each reached what it has to."""
    arguments = _parser().parse_args()
    # Whoever ends this ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    places.STATE.mkdir(exist_ok=True)
    rows: list[tuple[Row, list[float], list[float]]] = []
    with one_image.served() as image, tempfile.TemporaryDirectory(prefix="scale-", dir=places.STATE) as folder:
        scale = Scale(
            agents=arguments.agents,
            jobs=arguments.jobs,
            ended=arguments.ended,
            queued=arguments.queued,
            seconds=arguments.seconds,
            folder=Path(folder),
            image=image,
        )
        for part in arguments.parts or list(PARTS):
            before = record.load()
            try:
                row = asyncio.run(_of(PARTS[part], scale))
            except Refusal as refusal:
                sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
                return 2
            rows.append((row, before, record.load()))
            print("\n".join(["", *figures.lines(row), f"load {before[0]} before, {rows[-1][2][0]} after"]), flush=True)
    path = record.write(sys.argv[1:], record.machine(""), rows, module="benchmarks.scale")
    print(f"\nkept in {path}")
    return 1 if any(ratio.reached is False for row, _, _ in rows for ratio in row.ratios) else 0


async def _of(part: Callable[[Scale], Awaitable[Row]], scale: Scale) -> Row:
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
    parser.add_argument("--agents", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=10_000, help="live ones that a controller starts with (restart)")
    parser.add_argument("--ended", type=int, default=0, help="ended ones beside them (restart)")
    parser.add_argument("--queued", type=int, default=1_000, help="jobs that wait already (queue, explain)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long each figure is taken")
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []], help=", ".join(PARTS))
    return parser


if __name__ == "__main__":
    sys.exit(main())
