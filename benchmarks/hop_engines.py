"""Two engines between which a job hops, and when they did what."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import docker
import docker.errors

from benchmarks.engine_events import EngineEvents
from deploy.local.made import Image


@dataclass(frozen=True, slots=True)
class Way:
    """To which architecture, and whether image and checkpoint are there already when the job is asked to leave.

    With `standby`, which needs both, so is the container, and waits.
    """

    architecture: str
    prefetched: bool
    standby: bool = False

    def __str__(self) -> str:
        return f"→ {self.architecture}, {'standby' if self.standby else 'prefetched' if self.prefetched else 'cold'}"


@dataclass(frozen=True, slots=True)
class Times:
    """The instants of a hop, in nanoseconds since 1970; and what the job itself says, with its downtime in ms."""

    signalled: int
    exited: int
    started: int
    first_line: int
    told_by_job: float
    lines: Sequence[str]

    def said_ms(self, earlier: str, later: str) -> float:
        """The time between two words of the job, by its own clock."""
        return uptime_ms(self.lines, later) - uptime_ms(self.lines, earlier)

    @property
    def downtime_ms(self) -> float:
        """From the signal to the first line at the target."""
        return (self.first_line - self.signalled) / 1e6

    def phases_ms(self) -> dict[str, float]:
        """The parts of the downtime."""
        if self.started < self.exited:
            # It stood by: when it got its word, the engine cannot tell.
            return {
                "signal → exit": (self.exited - self.signalled) / 1e6,
                "exit → first line": (self.first_line - self.exited) / 1e6,
            }
        return {
            "signal → exit": (self.exited - self.signalled) / 1e6,
            "exit → started": (self.started - self.exited) / 1e6,
            "started → first line": (self.first_line - self.started) / 1e6,
        }


class HopEngines:
    """The source's and the target's engine, for the length of a block."""

    def __init__(self, source: str, target: str, image: Image) -> None:
        self.source = docker.APIClient(base_url=source, timeout=120)
        self.target = docker.APIClient(base_url=target, timeout=120)
        self.image = image
        self._source_events = EngineEvents(source)
        self._target_events = EngineEvents(target)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._open.callback(self.source.close)
        self._open.callback(self.target.close)
        self._open.enter_context(self._source_events)
        self._open.enter_context(self._target_events)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def make_ready(self, way: Way) -> None:
        """The target has the image, or lacks it."""
        reference = self.image.on(way.architecture)
        if way.prefetched:
            repository, _, digest = reference.partition("@")
            self.target.pull(repository, digest, platform=f"linux/{way.architecture}")
            return
        with contextlib.suppress(docker.errors.ImageNotFound):
            self.target.remove_image(reference, force=True)

    def times(self, source: str, target: str, lines: Sequence[str]) -> Times:
        """When what happened, of two containers; `lines` is all that the job said."""
        return Times(
            signalled=self._source_events.wait(source, "kill"),
            exited=self._source_events.wait(source, "die"),
            started=self._target_events.wait(target, "start"),
            first_line=first_line(self.target, target, "restored"),
            told_by_job=uptime_ms(lines, "restored") - uptime_ms(lines, "leaving"),
            lines=tuple(lines),
        )

    def gone(self, target: str) -> None:
        """Waits until the target's container is removed."""
        self._target_events.wait(target, "destroy")


def first_line(client: docker.APIClient, container: str, word: str) -> int:
    """When the container first said a line that begins with this word; waits until it does."""
    with contextlib.closing(client.logs(container, timestamps=True, stream=True, follow=True)) as stream:
        for line in _lines(stream):
            stamp, _, said = line.partition(" ")
            if said.startswith(word):
                return _nanoseconds(stamp)
    raise RuntimeError(f"container {container} ended and never said {word!r}")


def _lines(stream: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for part in stream:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def _nanoseconds(stamp: str) -> int:
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def uptime_ms(lines: Sequence[str], word: str) -> float:
    """When the job last said the word, in milliseconds since the machine's start."""
    found = [line.split() for line in lines if line.startswith(word)]
    if not found:
        raise RuntimeError(f"the job never said {word!r}: {' | '.join(lines[-5:])}")
    return float(found[-1][2]) * 1000
