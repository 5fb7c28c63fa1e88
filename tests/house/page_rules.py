"""Rules on pages, and on what no committed file may hold: links lead somewhere, what a page names is there."""

import ast
import re
from collections.abc import Container, Iterator

from tests.house.sources import Finding, Source, paths, source

# Folders of whoever worked here, and the hosts of package registries that stand in for the public ones.
_ELSEWHERE = (
    re.compile(r"(?<![\w.}])/(?:root|home|Users|work)/[\w.-]+"),
    re.compile(r"(?<![\w.])/tmp/\w{1,3}/[\w.-]+"),
    re.compile(r"://[^\s/\"'`]+/debian\b"),
    re.compile(r"://[^\s\"'`]+/simple(?![\w-])"),
)
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_FOLDERS = ("agent", "benchmarks", "controller", "deploy", "docs", "examples", "headrace", "proto", "tests")
# `controller/core/moves.py`, and `controller/core/moves.py:begin` or `agent/works.py:Works.begin` for what is in it.
_CODE = re.compile(rf"`((?:{'|'.join(_FOLDERS)})/[\w./-]*)(?::([A-Za-z_][\w.]*))?`")
_TARGET = re.compile(r"`make ([a-z-]+)[^`]*`|^(?:\$ )?make ([a-z-]+)", re.MULTILINE)
_COMMAND = re.compile(r"`headrace ([a-z]+)[^`]*`|^(?:\$ )?headrace ([a-z]+)", re.MULTILINE)


def things_of_one_machine(page: Source) -> Iterator[Finding]:
    """Paths and hosts that are nobody else's."""
    for number, line in enumerate(page.lines, 1):
        for pattern in _ELSEWHERE:
            yield from (
                Finding(page.path, number, f"{found[0]}: of one machine alone") for found in pattern.finditer(line)
            )


def broken_links(page: Source) -> Iterator[Finding]:
    """Links to files that are not there, and to headings that a page does not have."""
    for number, line in enumerate(page.lines, 1):
        for found in _LINK.finditer(line):
            path, _, heading = found[1].partition("#")
            if "://" in found[1] or found[1].startswith("mailto:"):
                continue
            target = _resolved(page.path, path) if path else page.path
            if not _exists(target):
                yield Finding(page.path, number, f"{found[1]}: there is no {target}")
            elif heading and heading not in _headings(page if not path else source(target)):
                yield Finding(page.path, number, f"{found[1]}: {target} has no such heading")


def missing_code(page: Source) -> Iterator[Finding]:
    """Files, functions and classes that a page names and that are not there."""
    for number, line in enumerate(page.lines, 1):
        for found in _CODE.finditer(line):
            path, name = found[1], found[2]
            if not _exists(path):
                yield Finding(page.path, number, f"there is no {path}")
            elif name and not _defines(source(path).tree.body, name.split(".")):
                yield Finding(page.path, number, f"{path} has no {name}")


def missing_targets(page: Source, targets: Container[str]) -> Iterator[Finding]:
    """Targets of make that the Makefile does not have."""
    yield from _missing(page, _TARGET, targets, "the Makefile has no target")


def missing_commands(page: Source, commands: Container[str]) -> Iterator[Finding]:
    """Commands of the client that it does not have."""
    yield from _missing(page, _COMMAND, commands, "headrace has no command")


def _missing(page: Source, pattern: re.Pattern[str], known: Container[str], complaint: str) -> Iterator[Finding]:
    for found in pattern.finditer(page.text):
        name = found[1] or found[2]
        if name not in known:
            yield Finding(page.path, page.text.count("\n", 0, found.start()) + 1, f"{complaint} {name}")


def _resolved(page: str, link: str) -> str:
    parts = page.split("/")[:-1]
    for part in link.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _exists(path: str) -> bool:
    folder = path.rstrip("/") + "/"
    return path in paths() or any(one.startswith(folder) for one in paths())


def _headings(page: Source) -> list[str]:
    """Headings as GitHub makes anchors of them."""
    titles = [line.lstrip("#").strip().lower() for line in page.lines if line.startswith("#")]
    return [re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles]


def _defines(body: list[ast.stmt], names: list[str]) -> bool:
    for node in body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name == names[0]:
                    return len(names) == 1 or _defines(node.body, names[1:])
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name == names[0]:
                    return len(names) == 1
    return False
