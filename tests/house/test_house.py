"""The house rules, held by a test and not by review. That each rule can fail is shown in test_rules.py."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from headrace.faultpoints import POINTS
from tests.house import code_rules, effect_rules, set_rules
from tests.house.sources import Finding, Source, modules, paths, texts_but_examples

Rule = Callable[[Source], Iterator[Finding]]

PROGRAMS = ("agent", "controller", "headrace")
CORES = ("agent/core", "controller/core")

# A ratchet: what was longer when the rule came, with its length. A number may go down, and a line may go; nothing else.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}

# Why a word that says nothing elsewhere says something there.
WORDS_THAT_MEAN_SOMETHING = {
    "controller/docker_config.py": "Docker calls the programs that keep its credentials helpers",
}

# How many handlers of everything a file may have that do not raise again.
CATCHES_ALL = {
    # What wraps each call: a bug in one call is answered, logged and counted, and ends no other call.
    "headrace/status.py": 2,
    # A thread's exception, whatever it is, is raised where its result is awaited.
    "agent/accelerators/deadline.py": 1,
}

CLOCKS = {
    "agent/cpu_trial.py": "measures processors",
    "agent/accelerators/remote.py": "deadlines of calls, and how long a library that failed is left alone",
    "agent/accelerators/tooled.py": "how long a tool that failed is left alone",
    "agent/accelerators/tools.py": "deadlines of tools",
    "agent/daemon.py": "makes Ticked",
    "agent/doctor.py": "looks whether the clock is right",
    "agent/journal.py": "a session's number for a node that lost its journal; the age of epochs",
    "agent/phases.py": "measures phases",
    "agent/prefetches.py": "measures phases",
    "agent/runtimes/docker_inside.py": "for how long a container's first process is waited for",
    "agent/runtimes/docker_logs.py": "how long pieces of a log are gathered",
    "agent/runtimes/docker_sandboxes.py": "since when a network is free; how old a list is",
    "agent/runtimes/docker.py": "from when on the engine tells events, by the engine's clock, which is this machine's",
    "agent/senses.py": "when to probe again",
    "agent/snapshots.py": "whether the kernel's stamps of a file have rested",
    "agent/works.py": "measures phases",
    "controller/checkpoint_store.py": "the age of chunks; its clock is an argument",
    "controller/clock.py": "makes Ticked",
    "controller/registry.py": "for how long an answer is kept",
    "headrace/certificates.py": "from when on certificates count, and whether they still do",
    "headrace/cli/words.py": "how long ago",
    "headrace/connection.py": "for how long a controller has not answered",
    "headrace/records.py": "when records are signed and judged",
}

SLEEPS = {
    "agent/daemon.py": "the beat of ticks, senses and retries",
    "agent/identity.py": "the beat of signed records",
    "agent/logs.py": "a pause before a retry",
    "agent/measurements.py": "how long no job has been here",
    "agent/renewal.py": "how often the certificate is looked at",
    "agent/runtimes/docker_inside.py": "a pause before a container's first process is looked at again",
    "agent/runtimes/docker_log_reader.py": "a pause before a log that broke off is asked for again",
    "agent/session.py": "a pause before a retry, of random length",
    "agent/works.py": "how long a checkpoint directory must be quiet",
    "controller/daemon.py": "the beat of sweeps; a pause before a database server is asked again",
    "controller/reads.py": "a pause before a store that did not answer is asked again",
    "controller/registry.py": "a pause before a retry",
    "controller/shell.py": "the beat of ticks; a pause while nothing can be saved",
    "headrace/cli/jobs.py": "the beat of `headrace jobs --watch`",
    "headrace/connection.py": "a pause before a retry",
    "headrace/transfers.py": "a pause before a retry",
}

# Tests wait for what happens, not for time to pass.
SLEEPS_IN_TESTS = {
    "tests/cluster/observer.py": "looks at real daemons again and again, for what cannot be watched",
}

# Where programs start: from there on, it is an argument.
ENVIRONMENT = {
    "agent/cpu_trial.py": "writes there how many threads NumPy's library may make; reads nothing",
    "agent/accelerators/tools.py": "a vendor's tool gets the agent's own, in no language",
    "agent/main.py": "hands it to headrace.settings",
    "controller/docker_config.py": "DOCKER_CONFIG, as Docker's own programs read it",
    "controller/main.py": "hands it to headrace.settings",
    "headrace/cli/identifiers.py": "hands it to headrace.settings",
    "headrace/cli/main.py": "hands it to headrace.settings",
}


def findings(rule: Rule, sources: Iterable[Source], *, but: Mapping[str, object] | None = None) -> list[str]:
    """What breaks a rule, and which exceptions nobody needs any more: those go, or the list would only grow."""
    excepted = but or {}
    found = [finding for source in sources for finding in rule(source)]
    needed = {finding.path: None for finding in found}
    broken = [str(finding) for finding in found if finding.path not in excepted]
    return broken + [f"{path}: needs no exception from this rule any more" for path in excepted if path not in needed]


def off_the_ratchet(lengths: Mapping[str, int], allowed: Mapping[str, int]) -> list[str]:
    """What is longer than it may be; and what has become shorter, so that it stays so."""
    longer = [
        f"{name} is {length} long, {allowed.get(name, 0) or 'less'} is allowed"
        for name, length in lengths.items()
        if length > allowed.get(name, 0)
    ]
    shorter = [
        f"{name} may be {length}, and is {lengths.get(name) or 'short enough'}: lower the number, or drop the line"
        for name, length in allowed.items()
        if lengths.get(name, 0) < length
    ]
    return longer + shorter


def lengths(rule: Rule, sources: Iterable[Source]) -> dict[str, int]:
    """How long that is which is too long, by file and by function."""
    found: dict[str, int] = {}
    for finding in (finding for source in sources for finding in rule(source)):
        name, length = (
            finding.what.split(" has ") if " has " in finding.what else ("", finding.what.removeprefix("has "))
        )
        found[f"{finding.path}:{name}" if name else finding.path] = int(length.split()[0])
    return found


def test_no_file_is_longer_than_400_lines() -> None:
    assert off_the_ratchet(lengths(code_rules.long_file, modules()), LONG_FILES) == []


def test_no_function_is_longer_than_60_lines() -> None:
    assert off_the_ratchet(lengths(code_rules.long_functions, modules()), LONG_FUNCTIONS) == []


def test_every_package_marker_is_empty() -> None:
    assert findings(code_rules.code_in_package_marker, modules()) == []


def test_nothing_of_python_lies_at_the_root_or_beside_the_contract() -> None:
    assert [path for path in paths() if path.endswith(".py") and ("/" not in path or path.startswith("proto/"))] == []


def test_a_core_does_not_wait() -> None:
    assert findings(code_rules.asynchronous_code, modules(*CORES)) == []


def test_no_set_is_iterated_in_a_core() -> None:
    assert findings(set_rules.iterated_sets, modules(*CORES)) == []


def test_only_the_renderer_prints() -> None:
    may_print = {"headrace/cli/render.py": "all that users see goes through it"}
    assert findings(code_rules.prints, modules(*PROGRAMS), but=may_print) == []


def test_names_say_something() -> None:
    sources = modules(*PROGRAMS, "benchmarks", "deploy", "examples")
    assert findings(code_rules.banned_words, sources, but=WORDS_THAT_MEAN_SOMETHING) == []


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    assert findings(code_rules.left_over_notes, texts_but_examples()) == []


def test_everything_public_says_what_it_is_for() -> None:
    sources = modules(*PROGRAMS, "benchmarks", "deploy")
    # Alembic's functions are called upgrade() in every migration; the file's first line says what for.
    assert findings(code_rules.undocumented, [one for one in sources if not one.below("controller/migrations")]) == []


def test_everything_is_caught_where_calls_are_wrapped_alone() -> None:
    found = [one for source in modules() for one in effect_rules.swallowed_exceptions(source)]
    counts = {one.path: sum(other.path == one.path for other in found) for one in found}
    assert off_the_ratchet(counts, CATCHES_ALL) == []


def test_clocks_are_read_where_time_is_measured_or_made() -> None:
    assert findings(effect_rules.clock_reads, modules(*PROGRAMS), but=CLOCKS) == []


def test_only_edges_sleep() -> None:
    assert findings(effect_rules.sleeps, modules(*PROGRAMS), but=SLEEPS) == []


def test_tests_wait_for_what_happens_and_not_for_time_to_pass() -> None:
    assert findings(effect_rules.sleeps, modules("tests"), but=SLEEPS_IN_TESTS) == []


def test_the_environment_is_read_where_programs_start() -> None:
    assert findings(effect_rules.environment_reads, modules(*PROGRAMS), but=ENVIRONMENT) == []


def test_the_table_of_fault_points_is_that_of_the_code() -> None:
    sources = [one for one in modules(*PROGRAMS) if one.path != "headrace/faultpoints.py"]
    assert sorted(one.what for source in sources for one in effect_rules.fault_points(source)) == sorted(POINTS)
