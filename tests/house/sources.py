"""The files of this repository as they would be committed, each read and parsed once."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

# What protoc writes is held by `make check`, which writes it again and compares.
GENERATED = "headrace/v1/"


class Finding(NamedTuple):
    """A place that breaks a rule, as editors and people read it."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Source:
    """A file by its path in the repository; a test may make one up."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The file as Python."""
        return _parsed(self.path, self.text)

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree."""
        return _nodes(self.path, self.text)

    @property
    def lines(self) -> list[str]:
        """The file, line by line."""
        return self.text.splitlines()

    def below(self, *folders: str) -> bool:
        """Whether it is in one of these folders, at any depth."""
        return self.path.startswith(tuple(f"{folder}/" for folder in folders))


@cache
def _parsed(path: str, text: str) -> ast.Module:
    return ast.parse(text, path)


@cache
def _nodes(path: str, text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_parsed(path, text)))


@cache
def paths() -> tuple[str, ...]:
    """Every file that git knows, or would take at the next `git add`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    found = sorted({path for path in listing.stdout.decode().split("\0") if path})
    return tuple(path for path in found if (ROOT / path).is_file())


@cache
def source(path: str) -> Source:
    """One file. Bytes that are no text, which a test's data may have, are replaced."""
    return Source(path, (ROOT / path).read_text(errors="replace"))


@cache
def texts() -> tuple[Source, ...]:
    """All files that people write."""
    return tuple(source(path) for path in paths() if not path.startswith(GENERATED))


def texts_but_examples() -> tuple[Source, ...]:
    """All but the house's own tests, which show what the rules forbid, and what others' machines printed."""
    return tuple(one for one in texts() if not one.below("tests/house", "tests/fixtures"))


def modules(*folders: str) -> tuple[Source, ...]:
    """Python that people write: all of it, or what is below these folders."""
    return tuple(one for one in texts() if one.path.endswith(".py") and (not folders or one.below(*folders)))


def pages() -> tuple[Source, ...]:
    """The pages for people."""
    return tuple(one for one in texts() if one.path.endswith(".md"))
