"""Jobs as the authors of Gavel simulate them: types and speeds are their file's, arrivals and lengths by chance."""

import json
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.core.placement.profiles import Hardware, Profile
from headrace.refusals import Code, Refusal

# The simulated cluster of the paper, and the kind on which the lengths are drawn.
CLUSTER: Mapping[str, int] = {"v100": 36, "p100": 36, "k80": 36}
REFERENCE = "v100"
# Peaks in 32 bits, in TFLOPS, as the maker's datasheets have them: all that is known of a job that is new.
FIGURES: Mapping[str, float] = {"v100": 15.7, "p100": 9.3, "k80": 4.37}

# "A3C, 1", or as a tuple is printed.
_TYPE = re.compile(r"(?:\(')?(?P<name>[^']+?)'?, (?P<count>\d+)\)?")
# Four of five are short: minutes, as powers of ten that are uniform between these; and the long ones.
_LONG_SHARE = 0.2
_SHORT_POWERS, _LONG_POWERS = (1.5, 3.0), (3.0, 4.0)


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """One job: when it comes, what it is, and how much it has to do."""

    number: int
    type: str
    arrives_seconds: float
    steps: float


@dataclass(frozen=True, slots=True)
class Throughputs:
    """Steps a second of each type of job with one device of each kind."""

    by_type: Mapping[str, Mapping[str, float]]


def read(file: Path) -> Throughputs:
    """The types that run on one device of each kind. Refusal: THROUGHPUTS_INVALID."""
    try:
        raw = json.loads(file.read_text())
        alone = {
            match["name"]: {kind: float(_alone(raw[kind][key])) for kind in CLUSTER}
            for key in raw[REFERENCE]
            if (match := _TYPE.fullmatch(key)) and match["count"] == "1"
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{file} is no file of throughputs by device and job type: {error!r}"
        raise Refusal(Code.INVALID_ARGUMENT, "THROUGHPUTS_INVALID", message) from error
    return Throughputs({name: speeds for name, speeds in alone.items() if all(one > 0 for one in speeds.values())})


def _alone(entry: object) -> float:
    # Some of the authors' files have what shares the device beside it; "null" is nothing.
    return entry["null"] if isinstance(entry, dict) else entry  # type: ignore[return-value]


def arrivals(throughputs: Throughputs, *, rate_per_hour: float, count: int, seed: int) -> tuple[SimulatedJob, ...]:
    """Jobs that come by a Poisson process."""
    chance = random.Random(f"{seed} {rate_per_hour}")  # noqa: S311 - nothing is to be kept secret.
    types = sorted(throughputs.by_type)
    found, now = [], 0.0
    for number in range(count):
        now += chance.expovariate(rate_per_hour / 3600)
        kind = chance.choice(types)
        powers = _LONG_POWERS if chance.random() < _LONG_SHARE else _SHORT_POWERS
        seconds = 60 * math.pow(10, chance.uniform(*powers))
        found.append(SimulatedJob(number, kind, now, seconds * throughputs.by_type[kind][REFERENCE]))
    return tuple(found)


def profile(type_name: str) -> Profile:
    """As a job of that type would be written: an image for each model, the size of a batch in its command."""
    model, _, rest = type_name.partition(" (")
    return Profile(f"gavel/{model.lower()}", "", (rest.rstrip(")"),), "1 device")


def hardware(kind: str) -> Hardware:
    """One device of that kind."""
    return Hardware("linux/amd64", (kind,))
