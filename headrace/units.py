"""Sizes, durations and shares of processors as people write them: parsed into whole numbers, and printed back."""

import re

BYTES: dict[str, int] = {
    "PiB": 1 << 50,
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "PB": 10**15,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "KB": 10**3,
    "B": 1,
}
MILLIS: dict[str, int] = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

# What the wire carries.
MAX_BYTES = (1 << 63) - 1
MAX_DURATION_MS = 36_500 * MILLIS["d"]
MAX_CPU_MILLIS = 1_000_000_000

# Numbers are counted in so small parts that all of them are whole: exact, and without `fractions`, half a megabyte
# that every agent would hold.
_DECIMALS = 20
_ONE: int = 10**_DECIMALS
_NUMBER = rf"\d{{1,20}}(?:\.\d{{1,{_DECIMALS}}})?"
_SIZE = re.compile(rf"({_NUMBER})({'|'.join(BYTES)})?", re.ASCII)
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|[dhms])", re.ASCII)
_DURATION = re.compile(rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?", re.ASCII)
_CPU = re.compile(rf"({_NUMBER})(m)?", re.ASCII)


class UnitError(ValueError):
    """A text that is no such quantity; the message says what is allowed."""


def parse_bytes(text: str | int) -> int:
    """The bytes of "4GiB", "500MB", "1.5TiB" or a plain number; parts of a byte are dropped."""
    match = _SIZE.fullmatch(str(text))
    if match is None:
        raise UnitError(f"{str(text)!r} is no size; write e.g. 4GiB, 500MB or 1.5TiB")
    size = _parts(match[1]) * BYTES[match[2] or "B"] // _ONE
    if size > MAX_BYTES:
        raise UnitError(f"{text} is too much; a size is at most 8191PiB")
    return size


def format_bytes(size: int) -> str:
    """The shortest exact text with a unit: parse_bytes gives `size` again."""
    if size == 0:
        return "0B"
    exact = (f"{size // factor}{unit}" for unit, factor in BYTES.items() if size % factor == 0)
    return min(exact, key=len)


def rounded_bytes(size: int) -> str:
    """A text for people, to three digits: "3.91GiB"."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size >= BYTES[unit]:
            amount = size / BYTES[unit]
            decimals = 2 if amount < 10 else 1 if amount < 100 else 0
            return f"{amount:.{decimals}f}{unit}"
    return f"{size}B"


def parse_duration(text: str) -> int:
    """The milliseconds of "90s", "10m", "1h30m", "250ms" or "7d"; "0" is none."""
    if text == "0":
        return 0
    if not text or _DURATION.fullmatch(text) is None:
        raise UnitError(f"{text!r} is no duration; write e.g. 250ms, 90s, 10m, 1h30m or 7d")
    parts = sum(_parts(amount) * MILLIS[unit] for amount, unit in _DURATION_PART.findall(text))
    millis, rest = divmod(parts, _ONE)
    if parts > MAX_DURATION_MS * _ONE:
        raise UnitError(f"{text} is too long; a duration is at most {format_duration(MAX_DURATION_MS)}")
    if rest:
        raise UnitError(f"{text} is no whole number of milliseconds")
    return millis


def format_duration(millis: int) -> str:
    """The exact text, greatest unit first: parse_duration gives `millis` again."""
    parts = []
    for unit, factor in MILLIS.items():
        amount, millis = divmod(millis, factor)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def parse_cpu(text: str | float) -> int:
    """The thousandths of a core of 2, 0.5, "500m"."""
    match = _CPU.fullmatch(str(text))
    if match is None:
        raise UnitError(
            f"{str(text)!r} is no share of processors; write cores, e.g. 2 or 0.5, or thousandths, e.g. 500m"
        )
    parts = _parts(match[1]) * (1 if match[2] else 1000)
    millis, rest = divmod(parts, _ONE)
    if parts > MAX_CPU_MILLIS * _ONE:
        raise UnitError(f"{text} is too much; at most {MAX_CPU_MILLIS // 1000} cores")
    if rest:
        raise UnitError(f"{text} is no whole number of thousandths of a core; the finest step is 1m")
    return millis


def format_cpu(millis: int) -> str:
    """The exact text: "2", "500m"."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def _parts(number: str) -> int:
    whole, _, decimals = number.partition(".")
    return int(whole + decimals.ljust(_DECIMALS, "0"))
