"""Which known name was probably meant by an unknown one."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The most similar of the known names, if one is similar enough to be worth a word; 1 is the same."""
    import difflib  # noqa: PLC0415 - 3 ms, for mistakes only: the client starts often.

    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=likeness)
    return found[0] if found else None


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """A sentence that names what is unknown and what was probably meant, else all that is known."""
    names = sorted(known)
    near = nearest(name, names)
    remedy = f"did you mean {near}?" if near else f"known are {', '.join(names)}"
    return f"unknown {noun} {name!r}; {remedy}"
