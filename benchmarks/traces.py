"""Traces of requests and nodes in the form of Alibaba's openb cluster, and arrivals drawn from them."""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

from controller.core.placement.columns import WHOLE, Host, Shape

# So much of the cluster's devices is asked for in all, as in the published evaluation.
INFLATED = 1.3
LEVELS = (90, 100, 110, 130)


@dataclass(frozen=True, slots=True)
class Trace:
    """A cluster, and what was asked of it."""

    hosts: tuple[Host, ...]
    requests: tuple[Shape, ...]

    @property
    def capacity_millis(self) -> int:
        """All devices."""
        return sum(host.devices for host in self.hosts) * WHOLE


def read(pods: Path, nodes: Path) -> Trace:
    """A trace from its two files."""
    with nodes.open(newline="") as lines:
        hosts = tuple(
            Host(int(row["cpu_milli"]), int(row["memory_mib"]) << 20, int(row["gpu"]), row["model"])
            for row in csv.DictReader(lines)
        )
    with pods.open(newline="") as lines:
        requests = tuple(map(_shape, csv.DictReader(lines)))
    if not any(host.devices for host in hosts) or not any(shape.devices for shape in requests):
        raise ValueError(f"{nodes} has no devices, or nothing in {pods} asks for one; give files of the openb form")
    return Trace(hosts, requests)


def published(pods: Path) -> dict[int, float]:
    """What FGD's authors published for that workload, by percent arrived; nothing where the folder does not say."""
    path = pods.with_name("published.csv")
    if not path.exists():
        return {}
    name = pods.stem.removeprefix("pods-")
    with path.open(newline="") as lines:
        return {
            int(row["arrived_percent"]): float(row["FGD"]) for row in csv.DictReader(lines) if row["workload"] == name
        }


def arrivals(trace: Trace, seed: int) -> tuple[Shape, ...]:
    """Requests in their order: the trace's, and more of the same until 1.3 times the devices are asked for."""
    draw = random.Random(seed)  # noqa: S311 -- A seed that can be repeated is the point.
    drawn = list(trace.requests)
    wanted = INFLATED * trace.capacity_millis
    millis = sum(shape.millis for shape in drawn)
    while millis < wanted:
        drawn.append(draw.choice(trace.requests))
        millis += drawn[-1].millis
    draw.shuffle(drawn)
    while millis - drawn[-1].millis >= wanted:
        millis -= drawn.pop().millis
    return tuple(drawn)


def arrived_by(shapes: tuple[Shape, ...], level: int, capacity_millis: int) -> int:
    """How many have come when that many percent of the devices were asked for."""
    millis = 0
    for number, shape in enumerate(shapes):
        if millis >= level / 100 * capacity_millis:
            return number
        millis += shape.millis
    return len(shapes)


def _shape(row: dict[str, str]) -> Shape:
    devices, millis = int(row["num_gpu"]), int(row["gpu_milli"])
    models = tuple(sorted(filter(None, (row.get("gpu_spec") or "").split("|")))) if devices else ()
    share = millis if devices == 1 else WHOLE
    return Shape(int(row["cpu_milli"]), int(row["memory_mib"]) << 20, devices, share, models)
