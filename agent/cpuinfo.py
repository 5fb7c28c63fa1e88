"""What /proc/cpuinfo says: every architecture's kernel spells it in its own way."""

import re
from dataclasses import dataclass

# Keys that only one architecture's kernel writes, in the order in which they are looked for.
_FAMILY_KEYS = (
    ("cpu implementer", "arm"),
    ("flags", "x86"),
    ("hart", "riscv"),
    ("cpu family", "loongarch"),
    ("timebase", "power"),
    ("max thread id", "s390"),
)
_FAMILIES = {
    "386": "x86",
    "amd64": "x86",
    "arm": "arm",
    "arm64": "arm",
    "riscv64": "riscv",
    "loong64": "loongarch",
    "ppc64le": "power",
    "s390x": "s390",
}
_FEATURE_KEYS = ("flags", "features", "isa")
_RISCV_BASE = re.compile(r"^rv\d+|\d+p\d+")
_MODEL_KEYS = ("model name", "uarch", "cpu")

# Arm's kernels print numbers where others print a name; MIDR_EL1 assigns them.
_ARM_IMPLEMENTERS = {
    0x41: "Arm",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "Applied Micro",
    0x51: "Qualcomm",
    0x61: "Apple",
    0x6D: "Microsoft",
    0xC0: "Ampere",
}
_ARM_PARTS = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4A): "Neoverse-E1",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD83): "Neoverse-V3AE",
    (0x41, 0xD84): "Neoverse-V3",
    (0x41, 0xD8E): "Neoverse-N3",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "Kunpeng-920",
    (0x4E, 0x004): "Carmel",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1A",
}


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """`family` is the architecture whose kernel wrote it, "" where that cannot be told; so are model and features."""

    family: str = ""
    model: str = ""
    features: tuple[str, ...] = ()


def family_of(architecture: str) -> str:
    """The family of an architecture in GOARCH's spelling; empty for one that this page does not know."""
    return _FAMILIES.get(architecture, "")


def parse(text: str) -> CpuInfo:
    """Reads the whole file; the first processor speaks for all of them."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            # "CPU Family" and "Model Name" are LoongArch's capitals.
            fields.setdefault(key.strip().lower(), value.strip())
    family = next((name for key, name in _FAMILY_KEYS if key in fields), "")
    return CpuInfo(family=family, model=_model(fields), features=_features(fields))


def _model(fields: dict[str, str]) -> str:
    for key in _MODEL_KEYS:
        if fields.get(key):
            return fields[key]
    implementer, part = _number(fields.get("cpu implementer")), _number(fields.get("cpu part"))
    if implementer is None or part is None:
        return ""
    maker = _ARM_IMPLEMENTERS.get(implementer, f"implementer {implementer:#04x}")
    return _ARM_PARTS.get((implementer, part), f"{maker} part {part:#05x}")


def _features(fields: dict[str, str]) -> tuple[str, ...]:
    text = next((fields[key] for key in _FEATURE_KEYS if key in fields), "")
    if "isa" not in fields:
        return tuple(sorted({word.lower() for word in text.split()}))
    # RISC-V's extensions of one letter stand in one word, "rv64imafdcv"; the others follow, "_zba".
    base, *others = text.lower().replace("_", " ").split() or [""]
    return tuple(sorted({base, *_RISCV_BASE.sub("", base), *others} - {""}))


def _number(text: str | None) -> int | None:
    try:
        return int(text, 0) if text else None
    except ValueError:
        return None
