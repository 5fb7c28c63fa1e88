"""`make test`: pytest with an engine, a registry, the images and PostgreSQL, which are ended afterwards."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from deploy.local import oddities, packages, places, postgres, prepared, progress
from deploy.local.command import ENDED_BY_SIGNAL
from headrace.refusals import Refusal

# The URL of a database on PostgreSQL that tests may empty; and why there is none.
DATABASE = "HEADRACE_TEST_POSTGRES"
NO_DATABASE = "HEADRACE_TEST_NO_POSTGRES"
# What worlds of daemons and engines of their own may need to be taken down.
TIDY_SECONDS = 120.0

_SEEN = ("-m", "engine", "tests/cluster/chaos")
_BESIDE = {
    "cluster": ("-m", "engine", "tests/cluster", "--ignore=tests/cluster/chaos"),
    "contract": ("-m", "engine", "--ignore=tests/cluster"),
    "without-engine": ("-m", "not engine"),
}


def run(arguments: list[str]) -> int:
    """Runs pytest, with all tests if it is not told otherwise; answers with its exit code."""
    with prepared.prepare() as local, _database() as database:
        local.agent_image()
        oddities.foreign(local.registry)
        environment = {
            **os.environ,
            "HEADRACE_TEST_ENGINE": local.engine,
            "HEADRACE_TEST_REGISTRY": local.registry,
            **database,
        }
        pytest = [sys.executable, "-m", "pytest"]
        code = to_its_end([*pytest, *arguments], environment) if arguments else _all(pytest, environment)
    return code if code >= 0 else ENDED_BY_SIGNAL - code


@contextlib.contextmanager
def _database() -> Iterator[Mapping[str, str]]:
    """What tells tests of a database: the one that is named already, else one of our own, else why there is none."""
    if os.environ.get(DATABASE):
        yield {}
        return
    try:
        packages.ensure([packages.POSTGRES])
    except Refusal as refusal:
        if refusal.reason != packages.MISSING:
            raise
        progress.note(f"tests on PostgreSQL are skipped: {refusal.message}")
        yield {NO_DATABASE: refusal.message}
        return
    with postgres.database() as url:
        yield {DATABASE: url}


def _all(pytest: list[str], environment: Mapping[str, str]) -> int:
    """Those that need an engine mostly wait for it: all parts run side by side, and the others are shown afterwards.

    No two of them start an engine of the same name.
    """
    places.LOGS.mkdir(parents=True, exist_ok=True)
    logs = {name: places.LOGS / f"tests-{name}.log" for name in _BESIDE}
    with contextlib.ExitStack() as stack:
        beside = []
        for name, arguments in _BESIDE.items():
            output = stack.enter_context(logs[name].open("wb"))
            argv = [*pytest, *arguments]
            process = subprocess.Popen(argv, cwd=places.ROOT, env=environment, stdout=output)
            beside.append(stack.enter_context(process))
            stack.enter_context(_broken_off(process))
        code = to_its_end([*pytest, *_SEEN], environment)
        codes = [code, *(process.wait() for process in beside)]
    for log in logs.values():
        sys.stdout.write(log.read_text(errors="replace"))
    return next(filter(None, codes), 0)


def to_its_end(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a program and answers with its exit code; where that is broken off, it may still end what it started."""
    with subprocess.Popen(argv, cwd=places.ROOT, env=environment) as process, _broken_off(process):
        return process.wait()


@contextlib.contextmanager
def _broken_off(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Where the block is, the process is told to end, and may tidy up."""
    try:
        yield
    except BaseException as broken_off:
        # A terminal's Ctrl-C has reached the program too; told twice, it would leave off tidying up.
        if not isinstance(broken_off, KeyboardInterrupt):
            process.terminate()
        try:
            process.wait(TIDY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
