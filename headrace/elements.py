"""Sets of an array's elements, as its record holds them: bit i % 8 of byte i // 8 is element i's."""

from collections.abc import Iterable, Iterator

# How many ranges people are shown.
RANGES_SHOWN = 10


def bits(numbers: Iterable[int]) -> int:
    """The set of these numbers."""
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def loaded(written: bytes) -> int:
    """The set that a record holds."""
    return int.from_bytes(written, "little")


def dumped(found: int) -> bytes:
    """A set as a record holds it."""
    return found.to_bytes((found.bit_length() + 7) // 8, "little")


def holds(found: int, number: int) -> bool:
    """Whether a number is in it."""
    return bool(found >> number & 1)


def ranges(found: int) -> Iterator[tuple[int, int]]:
    """Its numbers as ranges, the first and the last of each."""
    first = 0
    while found:
        # How many zeros come first, then how many ones.
        skipped = (found & -found).bit_length() - 1
        found >>= skipped
        length = (~found & (found + 1)).bit_length() - 1
        found >>= length
        first += skipped
        yield first, first + length - 1
        first += length


def described(written: bytes) -> str:
    """Its numbers for people: "3, 17, 20-29"; of many ranges the first few, and how many numbers there are beside."""
    found = loaded(written)
    shown: list[str] = []
    told = 0
    for first, last in ranges(found):
        if len(shown) == RANGES_SHOWN:
            return f"{', '.join(shown)} and {found.bit_count() - told} more"
        shown.append(str(first) if first == last else f"{first}-{last}")
        told += last - first + 1
    return ", ".join(shown)
