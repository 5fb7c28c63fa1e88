"""Beside whom a job is to be, and beside whom not: how its place depends on those of others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Of jobs of the same project, by their names; `near` by their ids as well.

    `spread` and `pack` name a field of nodes: jobs of the job's own name are to be as even over its values as can be,
    or where most of them are.
    """

    apart_from: tuple[str, ...] = ()
    spread: str = ""
    pack: str = ""
    near: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """That by which they are spread or packed; empty: neither."""
        return self.spread or self.pack
