"""Each rule of the house, shown a file that breaks it, and one that only looks like it."""

from collections.abc import Callable, Iterator

import pytest

from tests.house import code_rules, effect_rules, page_rules, set_rules
from tests.house.sources import Finding, Source
from tests.house.test_house import findings, off_the_ratchet

Rule = Callable[[Source], Iterator[Finding]]

BROKEN: list[tuple[Rule, str]] = [
    (code_rules.long_file, "pass\n" * 401),
    (code_rules.long_functions, "def f():\n" + "    pass\n" * 60),
    (code_rules.asynchronous_code, "async def f(): ..."),
    (code_rules.asynchronous_code, "def f():\n    async def g(): ..."),
    (code_rules.prints, "print('x')"),
    (code_rules.banned_words, "def job_helper(): ..."),
    (code_rules.banned_words, "class NodeManager: ..."),
    (code_rules.left_over_notes, "x = 1  # TODO: more"),
    (code_rules.undocumented, "x = 1"),
    (code_rules.undocumented, '"""A module."""\ndef f(): ...'),
    (code_rules.undocumented, '"""A module."""\nclass C:\n    """A class."""\n    def f(self): ...'),
    (effect_rules.swallowed_exceptions, "try: f()\nexcept Exception: pass"),
    (effect_rules.swallowed_exceptions, "try: f()\nexcept: pass"),
    (effect_rules.swallowed_exceptions, "try: f()\nexcept (ValueError, BaseException) as error: g(error)"),
    (effect_rules.swallowed_exceptions, "try: f()\nexcept* Exception: pass"),
    (effect_rules.swallowed_exceptions, "with contextlib.suppress(Exception): f()"),
    (effect_rules.clock_reads, "now = time.monotonic()"),
    (effect_rules.clock_reads, "def f(clock=time.time): ..."),
    (effect_rules.clock_reads, "from time import monotonic"),
    (effect_rules.clock_reads, "now = datetime.datetime.now(UTC)"),
    (effect_rules.clock_reads, "now = asyncio.get_running_loop().time()"),
    (effect_rules.sleeps, "time.sleep(1)"),
    (effect_rules.sleeps, "from asyncio import sleep"),
    (effect_rules.sleeps, "async def f(): await asyncio.sleep(PAUSE)"),
    (effect_rules.environment_reads, "home = os.environ['HOME']"),
    (effect_rules.environment_reads, "home = os.getenv('HOME')"),
    (effect_rules.environment_reads, "from os import environ"),
    (set_rules.iterated_sets, "for x in {1, 2}: pass"),
    (set_rules.iterated_sets, "names = set(f())\nfirst = [name for name in names]"),
    (set_rules.iterated_sets, "def f(names: frozenset[str]): return list(names)"),
    (set_rules.iterated_sets, "class C:\n    names: set[str]\ndef f(c): return tuple(c.names)"),
    (set_rules.iterated_sets, "def f(a, b): return [x for x in a.keys() - b.keys()]"),
    (set_rules.iterated_sets, "left = {1}\nright = left\nfirst = next(iter(right | other))"),
    (set_rules.iterated_sets, "def f() -> set[int]: ...\nfor x in f(): pass"),
    (set_rules.iterated_sets, "left = {1}\nx = left.pop()"),
    (set_rules.iterated_sets, "left = {1}\nf(*left)"),
    (page_rules.things_of_one_machine, "see /root/x/y"),
    (page_rules.things_of_one_machine, "index-url = https://mirror.test/simple"),
    (page_rules.things_of_one_machine, "deb http://mirror.test/debian stable main"),
    (page_rules.broken_links, "[a page](nowhere.md)"),
    (page_rules.broken_links, "[a page](../README.md#no-such-heading)"),
    (page_rules.missing_code, "`headrace/nowhere.py` does it"),
    (page_rules.missing_code, "`headrace/wire.py:nothing` does it"),
    (page_rules.missing_code, "`agent/works.py:Works.nothing` does it"),
]

SOUND: list[tuple[Rule, str]] = [
    (code_rules.long_file, "pass\n" * 400),
    (code_rules.long_functions, "def f():\n" + "    pass\n" * 59),
    (code_rules.prints, "fingerprint(x)\nmessage = 'print(42)'"),
    (code_rules.banned_words, "def commonly_used(): ...\ndef binfmt_misconfigured(): ..."),
    (code_rules.undocumented, '"""A module."""\ndef _f(): ...'),
    (code_rules.undocumented, '"""A."""\nclass S(JobServiceServicer):\n    """B."""\n    async def GetJob(self): ...'),
    (effect_rules.swallowed_exceptions, "try: f()\nexcept BaseException:\n    undo()\n    raise"),
    (effect_rules.swallowed_exceptions, "try: f()\nexcept ExceptionGroup as errors: g(errors)"),
    (effect_rules.clock_reads, "def f(status, time): return status.time, time.st_mtime"),
    (effect_rules.sleeps, "async def f(): await asyncio.sleep(0)"),
    (set_rules.iterated_sets, "names = {'a'}\nfor name in sorted(names): pass\nfound = 'b' in names"),
    (set_rules.iterated_sets, "names = {'a': 1}\nfor name in names.keys(): pass"),
    (page_rules.things_of_one_machine, "https://wiki.debian.org/simple-guide and a/home/run, {state}/work/x"),
    (page_rules.broken_links, "[a page](../README.md), [elsewhere](https://example.org/x.md)"),
    (page_rules.missing_code, "`headrace/wire.py`, `headrace/wire.py:dump` and `agent/works.py:Works.begin`"),
]


def shown(rule: Rule, text: str) -> list[Finding]:
    return list(rule(Source("docs/example.md" if rule.__module__.endswith("page_rules") else "example.py", text)))


@pytest.mark.parametrize(("rule", "text"), BROKEN)
def test_a_rule_finds_what_breaks_it(rule: Rule, text: str) -> None:
    assert shown(rule, text) != []


@pytest.mark.parametrize(("rule", "text"), SOUND)
def test_a_rule_leaves_alone_what_does_not_break_it(rule: Rule, text: str) -> None:
    assert shown(rule, text) == []


def test_a_package_marker_with_code_is_found() -> None:
    assert list(code_rules.code_in_package_marker(Source("agent/__init__.py", "x = 1\n"))) != []


def test_a_module_with_a_name_that_says_nothing_is_found() -> None:
    assert list(code_rules.banned_words(Source("agent/utils.py", ""))) != []


def test_a_target_that_the_makefile_lacks_is_found() -> None:
    page = Source("README.md", "Run `make it-so`, or\n\nmake coffee\n")
    assert [one.line for one in page_rules.missing_targets(page, ("test",))] == [1, 3]


def test_a_command_that_the_client_lacks_is_found() -> None:
    page = Source("README.md", "`headrace jobs`, `headrace teleport JOB`")
    assert [one.what for one in page_rules.missing_commands(page, ("jobs",))] == ["headrace has no command teleport"]


def test_an_exception_that_nobody_needs_any_more_is_found() -> None:
    assert findings(code_rules.prints, [Source("a.py", "x = 1")], but={"a.py": "it did print"}) != []


def test_what_is_longer_than_it_was_is_off_the_ratchet() -> None:
    assert off_the_ratchet({"a.py": 500}, {"a.py": 450}) != []
    assert off_the_ratchet({"b.py": 401}, {}) != []


def test_what_has_become_shorter_must_stay_so() -> None:
    assert off_the_ratchet({"a.py": 420}, {"a.py": 450}) != []
    assert off_the_ratchet({}, {"a.py": 450}) != []
    assert off_the_ratchet({"a.py": 450}, {"a.py": 450}) == []


def test_a_fault_point_is_found_by_its_name_and_needs_one() -> None:
    text = "reached('a.point', x)\nfaultpoints.reached(name)"

    found = [one.what for one in effect_rules.fault_points(Source("example.py", text))]

    assert found == ["a.point", "a fault point's name is a text"]
