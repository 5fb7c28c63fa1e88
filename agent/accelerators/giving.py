"""Devices of a maker turned into what a container needs to get just them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.accelerators import pci
from agent.accelerators.matching import Found
from agent.accelerators.spec import Giving
from agent.accelerators.vendor import EngineRequest, Grant
from headrace.nodes import Device, Health
from headrace.refusals import Code, Refusal

# The word by which toolkits give nothing, whatever the image asks for.
_NONE = "void"
_WORDS = ("index", "render", "card", "accel", "group")


def grant(giving: Giving, known: Mapping[str, Found], ids: Sequence[str], root: Path) -> Grant:
    """How a container gets these of the devices that are here. Refusal: DEVICE_UNKNOWN."""
    given = [_usable(known, each) for each in dict.fromkeys(ids)]
    chosen = [one.device for one in given]
    hidden = {giving.variable: _NONE} if giving.variable else {}
    if not chosen:
        return Grant(environment=hidden, environment_without_runtime=hidden)
    names = [one.id if giving.named == "uuid" else str(one.index) for one in chosen]
    told = {giving.variable: ",".join(names), **giving.environment} if giving.variable else dict(giving.environment)
    nodes = _own_nodes(giving, given, root)
    if not (giving.cdi or giving.runtime or giving.driver or nodes):
        message = f"how a container gets device {chosen[0].id} is not known, or its device node is not there"
        raise Refusal(Code.NOT_FOUND, "DEVICE_UNKNOWN", message, device=chosen[0].id)
    return Grant(
        environment=told,
        environment_without_runtime=hidden,
        cdi=tuple(f"{giving.cdi.format(kind=one.kind)}={name}" for one, name in zip(chosen, names, strict=True))
        if giving.cdi
        else (),
        runtime=giving.runtime,
        request=EngineRequest(giving.driver, tuple(names), ("gpu",)) if giving.driver else None,
        device_nodes=nodes,
        shared_nodes=_there(root, giving.shared) if nodes else (),
        mounts=_there(root, giving.mounts) if nodes else (),
        library_environment=dict(giving.libraries) if nodes else {},
        groups=_groups(root, nodes, giving.groups_of),
        limits=dict(giving.limits),
        capabilities=giving.capabilities,
        security_options=giving.security_options,
    )


def _usable(known: Mapping[str, Found], name: str) -> Found:
    one = known.get(name)
    if one is None or one.device.health is Health.UNHEALTHY:
        why = f"does not answer ({one.device.health_reason})" if one else "is not here"
        message = f"device {name} {why}; see `headrace-agent doctor`"
        raise Refusal(Code.NOT_FOUND, "DEVICE_UNKNOWN", message, device=name)
    return one


def _own_nodes(giving: Giving, given: Sequence[Found], root: Path) -> tuple[str, ...]:
    """Of all the devices, or none at all: a container with half of them is not what was asked for."""
    found: dict[str, None] = {}
    for one in given:
        words = _words(one.device, root)
        # A part of a card has no node of its own that would do, but for one that its driver told.
        patterns = Giving() if one.device.partition else giving
        own = one.nodes or _nodes(root, patterns.nodes, words)[:1]
        if not own or not all((root / each.lstrip("/")).exists() for each in own):
            return ()
        found.update(dict.fromkeys((*own, *_nodes(root, patterns.optional, words))))
    return tuple(found)


def _words(device: Device, root: Path) -> dict[str, str]:
    """The numbers that the kernel, or else the tool, gives to a device."""
    words = {"index": str(device.index)}
    if device.pci_address:
        folder = pci.folder_of(root, device.pci_address)
        for name, below, prefix in (("render", "drm", "renderD"), ("card", "drm", "card"), ("accel", "accel", "accel")):
            entries = sorted((folder / below).glob(f"{prefix}[0-9]*"), key=lambda entry: pci.by_number(entry.name))
            if entries:
                words[name] = entries[0].name.removeprefix(prefix)
        group = folder / "iommu_group"
        if group.is_symlink():
            words["group"] = group.readlink().name
    return words


def _nodes(root: Path, patterns: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """Those that are there; a device that lacks a number has no node with it."""
    named = [
        pattern.format_map(words)
        for pattern in patterns
        if all(f"{{{word}}}" not in pattern or word in words for word in _WORDS)
    ]
    return tuple(each for each in named if (root / each.lstrip("/")).exists())


def _there(root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    found = (each for pattern in patterns for each in sorted(root.glob(pattern.lstrip("/"))))
    return tuple(dict.fromkeys(f"/{each.relative_to(root)}" for each in found))


def _groups(root: Path, nodes: Sequence[str], patterns: Sequence[str]) -> tuple[int, ...]:
    """The groups that may open those nodes, by number: their names differ between systems."""
    found: dict[int, None] = {}
    for path in (*(root / node.lstrip("/") for node in nodes), *(root / each.lstrip("/") for each in patterns)):
        try:
            number = path.stat().st_gid
        except OSError:
            continue
        if number:
            found[number] = None
    return tuple(found)
