"""Rules on what code does beside what it computes: catching everything, reading clocks, sleeping, the environment."""

import ast
from collections.abc import Iterator

from tests.house.sources import Finding, Source

_CATCH_ALL = ("Exception", "BaseException")
_CLOCKS = {
    "time": ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time"),
    "datetime": ("now", "utcnow", "today"),
    "date": ("today",),
}
_SLEEPERS = ("time", "asyncio")
_ENVIRONMENT = ("environ", "environb", "getenv", "getenvb", "putenv", "unsetenv")


def swallowed_exceptions(source: Source) -> Iterator[Finding]:
    """Handlers of everything, unless they end by raising it again: a bug ends the process."""
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and not _raises_again(node):
            yield Finding(source.path, node.lineno, "catches everything; name the exceptions, or raise it again")
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and any(map(_catches_all, node.args))
        ):
            yield Finding(source.path, node.lineno, "suppresses everything; name the exceptions")


def clock_reads(source: Source) -> Iterator[Finding]:
    """Time comes in as an event or an argument, except where it is measured or made."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "time" and _imports(node, _CLOCKS["time"]):
            yield Finding(source.path, node.lineno, "import the module, so that its use is seen: time.monotonic()")
        if isinstance(node, ast.Attribute) and (
            node.attr in _CLOCKS.get(_last_name(node.value), ()) or _is_of_loop(node)
        ):
            yield Finding(source.path, node.lineno, f"{ast.unparse(node)}: reads a clock")


def sleeps(source: Source) -> Iterator[Finding]:
    """Waiting for time to pass; sleep(0) only lets others go first."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and node.module in _SLEEPERS and _imports(node, ("sleep",)):
            yield Finding(source.path, node.lineno, "import the module, so that its use is seen: asyncio.sleep()")
        if isinstance(node, ast.Call) and _is_sleep(node.func) and not _is_zero(node.args):
            yield Finding(source.path, node.lineno, f"{ast.unparse(node)}: waits for time to pass")


def environment_reads(source: Source) -> Iterator[Finding]:
    """The environment is read where a program starts, and handed on."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "os" and _imports(node, _ENVIRONMENT):
            yield Finding(source.path, node.lineno, "import os, so that its use is seen: os.environ")
        if isinstance(node, ast.Attribute) and node.attr in _ENVIRONMENT and _last_name(node.value) == "os":
            yield Finding(source.path, node.lineno, f"{ast.unparse(node)}: reads the environment")


def fault_points(source: Source) -> Iterator[Finding]:
    """The fault points that a program comes to, each by the name that it has there."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and _last_name(node.func) == "reached":
            name = node.args[0] if node.args else None
            named = isinstance(name, ast.Constant) and isinstance(name.value, str)
            yield Finding(source.path, node.lineno, name.value if named else "a fault point's name is a text")


def _catches_all(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(_catches_all, caught.elts))
    return caught is None or _last_name(caught) in _CATCH_ALL


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_of_loop(node: ast.Attribute) -> bool:
    return node.attr == "time" and "loop" in ast.unparse(node.value)


def _is_sleep(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "sleep" and _last_name(function.value) in _SLEEPERS


def _is_zero(arguments: list[ast.expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], ast.Constant) and arguments[0].value == 0


def _imports(node: ast.ImportFrom, names: tuple[str, ...]) -> bool:
    return any(alias.name in names for alias in node.names)


def _last_name(node: ast.expr) -> str:
    """`b` of `b` and of `a.b`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
