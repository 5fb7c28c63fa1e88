"""What outputs of vendors' tools have in common: numbers with units, ways to say "not told", boxes drawn in text."""

import re
from collections.abc import Iterable, Iterator
from re import Pattern

MIB = 1 << 20

# What tools print where they know nothing, in lower case and without the brackets around it.
_NOT_TOLD = (
    *("", "-", "--", "n/a", "na", "nan", "none", "null", "unknown", "not available", "not supported", "unsupported"),
    *(
        "not applicable",
        "not found",
        "err!",
        "error",
        "unknown error",
        "gpu requires reset",
        "insufficient permissions",
    ),
    *("requested functionality has been deprecated", "function not found", "undefined", "no data"),
)
_MASKED = re.compile(r"[xX*?.\-]{3,}")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_NUMBER = re.compile(r"\s*([+-]?\d{1,18}(?:\.\d{1,12})?)")
_QUANTITY = re.compile(r"\s*([+-]?\d{1,18}(?:\.\d{1,12})?)\s*([A-Za-z%]*)")
_PCI_ADDRESS = re.compile(
    r"(?<![0-9A-Za-z:])(?:([0-9A-Fa-f]{2,8}):)?([0-9A-Fa-f]{2}):([0-9A-Fa-f]{2})\.([0-7])(?![0-9])"
)
# Tools say KB, MB and GB, and mean powers of 1024: 65536 MB are 64 GiB of chips.
_BYTES = {
    unit: 1 << 10 * power
    for power, units in enumerate(("b byte bytes", "k kb kib", "m mb mib", "g gb gib", "t tb tib"))
    for unit in units.split()
}
# A register that reads all ones, in watts, in milliwatts or with a sign: the sensor did not answer.
_IMPOSSIBLE_WATTS = 65_000


def cleaned(text: str) -> str:
    """The text without escapes of terminals, carriage returns and NULs."""
    plain = _ESCAPES.sub("", text.encode("utf-8", "replace").decode().replace("\0", ""))
    return plain.replace("\r", "").replace("\ufeff", "").replace("\u00a0", " ")


def told(value: str | None) -> str | None:
    """The value, or None for all the ways in which tools say that they do not know."""
    if value is None:
        return None
    bare = value.strip().strip('"')
    inner = bare[1:-1].strip() if bare[:1] + bare[-1:] in ("[]", "()", "<>") else bare
    return None if inner.lower() in _NOT_TOLD or _MASKED.fullmatch(inner) else bare


def number(value: str | None) -> float | None:
    """The number that a value starts with: 44.0 of "44.00 °C"."""
    found = _NUMBER.match(told(value) or "")
    return float(found[1]) if found else None


def whole(value: str | None) -> int | None:
    """The whole number that a value starts with."""
    found = number(value)
    return int(found) if found is not None else None


def percent(value: str | None) -> float | None:
    """A share of a hundred; what is not between 0 and 100 is no share."""
    found = number(value)
    return found if found is not None and 0 <= found <= 100 else None


def celsius(value: str | None) -> float | None:
    """A temperature that a chip may have."""
    found = number(value)
    return found if found is not None and -60 <= found <= 300 else None


def watts(value: str | None) -> float | None:
    """A power. Registers that read all ones (65535 W) are no reading; milliwatts are told by their unit."""
    found = _QUANTITY.match(told(value) or "")
    if not found:
        return None
    power = float(found[1]) / (1000 if found[2] in ("mW", "mw") else 1)
    return power if 0 <= power < _IMPOSSIBLE_WATTS else None


def memory(value: str | None, unit: str = "MiB") -> int | None:
    """An amount of memory in bytes; `unit` is for a value that has none."""
    found = _QUANTITY.match(told(value) or "")
    if not found or found[1].startswith("-"):
        return None
    scale = _BYTES.get((found[2] or unit).lower())
    return int(float(found[1]) * scale) if scale else None


def pci_address(value: str | None) -> str | None:
    """The PCI address in a value, as the kernel writes it: "0000:0c:00.0". Tools leave out domains and pad them."""
    found = _PCI_ADDRESS.search(value or "")
    if not found:
        return None
    domain = int(found[1] or "0", 16)
    return f"{domain:04x}:{found[2]}:{found[3]}.{found[4]}".lower()


def pci_id(value: str | None) -> str | None:
    """A PCI id "10de:2335" of "0x233510DE" (device before vendor, as one register)."""
    found = re.fullmatch(r"(?:0x)?([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})", (value or "").strip())
    return f"{found[2]}:{found[1]}".lower() if found else None


def cells(line: str) -> list[str] | None:
    """What stands between the bars of a line of a box; None for a line that is none."""
    bare = line.strip()
    if not bare.startswith("|"):
        return None
    return [cell.strip() for cell in bare[1:].removesuffix("|").split("|")]


def is_rule(line: str) -> bool:
    """Whether a line separates: nothing but lines and corners, or damaged ones."""
    bare = line.strip()
    return any(dashes in bare for dashes in ("---", "===", "───", "═══")) and not bare.strip("+-=|_~─━═┼├┤┌┐└┘ ")


def boxes(lines: Iterable[str]) -> Iterator[list[list[str]]]:
    """The rows between rules, each as its cells; what stands outside of bars ends a box and is left out."""
    box: list[list[str]] = []
    for line in lines:
        row = None if is_rule(line) else cells(line)
        if row is not None:
            box.append(row)
        elif box:
            yield box
            box = []
    if box:
        yield box


def line(program: str, *needed: str, also: str = "") -> Pattern[str]:
    r"""A pattern of command lines: the program, each needed option, and any of the others, in any order.

    Options are patterns themselves, the longer before the shorter: `line("npu-smi", "info", also=r"-i \S+|-c \S+")`.
    """
    options = [f"(?:{one})" for one in (*needed, also) if one]
    ahead = "".join(rf"(?=.* (?:{one})(?: |$))" for one in needed)
    return re.compile(rf"{program}{ahead}(?: (?:{'|'.join(options)}))*+" if options else program)
