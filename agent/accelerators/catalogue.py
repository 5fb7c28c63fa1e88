"""Peak figures of models, from catalogue.toml beside this file: read once, when the first device is looked up."""

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.capacity import DEVICE_FIGURES, UNCERTAIN
from headrace.nodes import Device, Figure, Origin

FILE = Path(__file__).parent / "catalogue.toml"
CONFIDENCES = ("high", "medium", "low")

# Of what a device has for sale some is the driver's, or ECC's: 45.06 of 51.54 GB on an Enflame S60.
_LEAST_SHARE, _MOST_SHARE = 0.80, 1.05
_GIB = 1 << 30
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


class CatalogueError(ValueError):
    """A file that is no catalogue; the message names vendor, model and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A line of the catalogue. `figures` are in the order of DEVICE_FIGURES."""

    vendor: str
    name: str
    pci: tuple[str, ...]
    match: re.Pattern[str]
    memory_gb: float | None
    figures: tuple[Figure, ...]
    confidence: str


def figures_of(device: Device) -> tuple[Figure, ...]:
    """What its maker says of the device's model; nothing of one that is not known, or that is a part of a card."""
    if device.partition or device.id.startswith("MIG-"):
        return ()
    return _figures(device.vendor, device.model, device.pci_id, device.memory_bytes)


@functools.lru_cache(maxsize=256)
def _figures(vendor: str, model: str, pci_id: str, memory_bytes: int | None) -> tuple[Figure, ...]:
    found = look_up(catalogue(), vendor=vendor, model=model, pci_id=pci_id, memory_bytes=memory_bytes)
    return found.figures if found is not None else ()


def look_up(
    models: tuple[Model, ...], *, vendor: str, model: str, pci_id: str, memory_bytes: int | None
) -> Model | None:
    """The model; `None` where none or several may be meant."""
    found = [one for one in models if pci_id and pci_id.lower() in one.pci]
    found = found or [one for one in models if one.vendor == vendor and one.match.fullmatch(" ".join(model.split()))]
    if memory_bytes is not None:
        fitting = [one for one in found if one.memory_gb is None or _fits(memory_bytes, one.memory_gb)]
        found = sorted(fitting, key=lambda one: abs(memory_bytes / _GIB - (one.memory_gb or 0)))[:1]
    return found[0] if len(found) == 1 else None


def _fits(memory_bytes: int, memory_gb: float) -> bool:
    return _LEAST_SHARE <= memory_bytes / (memory_gb * _GIB) <= _MOST_SHARE


@functools.cache
def catalogue() -> tuple[Model, ...]:
    """All models."""
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Model, ...]:
    """The models of a catalogue. Raises CatalogueError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"is not TOML: {error}") from None
    sources, vendors = document.get("sources"), document.get("models")
    if not isinstance(sources, dict) or not isinstance(vendors, dict):
        raise CatalogueError("has the tables [sources] and [models]")
    return tuple(_model(vendor, line, sources) for vendor, lines in vendors.items() for line in lines)


def _model(vendor: str, line: Mapping[str, Any], sources: Mapping[str, str]) -> Model:
    where = f"{vendor}, {line.get('name', 'a model without a name')}"
    known = {"name", "pci", "match", "per", "source", "confidence", "doubtful", *DEVICE_FIGURES}
    if unknown := sorted(line.keys() - known):
        raise CatalogueError(f"{where}: {unknown[0]} is no key; there are {', '.join(sorted(known))}")
    for key in ("name", "match", "source", "confidence"):
        if not isinstance(line.get(key), str) or not line[key]:
            raise CatalogueError(f"{where}: {key} is missing, or no text")
    if line["confidence"] not in CONFIDENCES:
        raise CatalogueError(f"{where}: confidence is one of {', '.join(CONFIDENCES)}")
    if untold := [letter for letter in line["source"] if letter not in sources]:
        raise CatalogueError(f"{where}: source {untold[0]} is none of [sources]")
    try:
        match = re.compile(line["match"], re.IGNORECASE)
    except re.error as error:
        raise CatalogueError(f"{where}: match: {error}") from None
    pci = tuple(line.get("pci", ()))
    if wrong := [one for one in pci if not _PCI.fullmatch(one)]:
        raise CatalogueError(f"{where}: pci: {wrong[0]} is not written like 10de:20b5")
    return Model(
        vendor=vendor,
        name=line["name"],
        pci=pci,
        match=match,
        memory_gb=line.get("memory_gb"),
        figures=tuple(_model_figures(where, line, sources)),
        confidence=line["confidence"],
    )


def _model_figures(where: str, line: Mapping[str, Any], sources: Mapping[str, str]) -> list[Figure]:
    doubtful = line.get("doubtful", [])
    if lacking := [name for name in doubtful if name not in line]:
        raise CatalogueError(f"{where}: doubtful: {lacking[0]} is none of its figures")
    told = ", ".join(sources[letter] for letter in line["source"])
    per = f" per {line['per']}" if "per" in line else ""
    found = []
    for name in (name for name in DEVICE_FIGURES if name in line):
        value = line[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise CatalogueError(f"{where}: {name} is a number above 0; leave out what is not known")
        low = line["confidence"] == "low" or name in doubtful
        source = f"{UNCERTAIN if low else ''}{line['name']}{per}: {told}"
        found.append(Figure(name, float(value), Origin.SPEC, source))
    return found
