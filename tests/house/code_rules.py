"""Rules of shape and of words, each a function from a file to the places that break it."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import Finding, Source

FILE_LINES = 400
FUNCTION_LINES = 60

BANNED_WORDS = ("util", "utils", "helper", "helpers", "manager", "handler", "common", "misc")
NOTES = ("TODO", "FIXME", "XXX", "HACK")

_NOTE = re.compile(rf"\b({'|'.join(NOTES)})\b")
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = Function | ast.ClassDef


def long_file(source: Source) -> Iterator[Finding]:
    """A file that has grown past one idea."""
    if len(source.lines) > FILE_LINES:
        yield Finding(source.path, len(source.lines), f"has {len(source.lines)} lines; {FILE_LINES} are allowed")


def long_functions(source: Source) -> Iterator[Finding]:
    """Functions that do not fit on a screen."""
    for function in _functions(source):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES:
            yield Finding(
                source.path, function.lineno, f"{function.name} has {length} lines; {FUNCTION_LINES} are allowed"
            )


def code_in_package_marker(source: Source) -> Iterator[Finding]:
    """An __init__.py is empty: an import must have no effect but its own."""
    if source.path.rpartition("/")[2] == "__init__.py" and source.text:
        yield Finding(source.path, 1, "is not empty")


def asynchronous_code(source: Source) -> Iterator[Finding]:
    """A core decides; it does not wait."""
    for node in source.nodes:
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield Finding(source.path, node.lineno, "a core does not wait; return an effect")


def prints(source: Source) -> Iterator[Finding]:
    """What users see is made in one place."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield Finding(source.path, node.lineno, "print() is headrace/cli/render.py's")


def banned_words(source: Source) -> Iterator[Finding]:
    """Names that would fit anything say nothing."""
    stem = source.path.rpartition("/")[2].partition(".")[0]
    names = [(1, stem), *((node.lineno, node.name) for node in source.nodes if isinstance(node, Named))]
    for line, name in names:
        for word in _WORD.findall(name):
            if word.lower() in BANNED_WORDS:
                yield Finding(source.path, line, f"{name}: {word.lower()!r} says nothing; name what it is")


def left_over_notes(source: Source) -> Iterator[Finding]:
    """What is to be done is an issue."""
    for number, line in enumerate(source.lines, 1):
        found = _NOTE.search(line)
        if found:
            yield Finding(source.path, number, f"{found[0]}: do it, or file an issue")


def undocumented(source: Source) -> Iterator[Finding]:
    """Public functions, classes and methods say what they are for. The methods of a service do so in its proto."""
    if not ast.get_docstring(source.tree) and source.text:
        yield Finding(source.path, 1, "has no docstring")
    yield from _undocumented(source.path, source.tree, of_a_service=False)


def _undocumented(path: str, parent: ast.Module | ast.ClassDef, *, of_a_service: bool) -> Iterator[Finding]:
    for node in parent.body:
        if not isinstance(node, Named) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not (of_a_service and node.name[0].isupper()):
            yield Finding(path, node.lineno, f"{node.name} has no docstring")
        if isinstance(node, ast.ClassDef):
            serves = any(ast.unparse(base).endswith("Servicer") for base in node.bases)
            yield from _undocumented(path, node, of_a_service=serves)


def _functions(source: Source) -> Iterator[Function]:
    return (node for node in source.nodes if isinstance(node, Function))
