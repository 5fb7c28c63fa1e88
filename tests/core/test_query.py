"""Laws of the query language."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.accelerators.makers import nvidia
from agent.accelerators.table import SPECS
from agent.accelerators.unknown import Unknown
from headrace.attempts import Platform
from headrace.jobs import Job, JobSpec, JobState
from headrace.nodes import Capacity, Cpu, Device, Drain, Health, Load, Node, NodeDescription, NodeState
from headrace.query import (
    DEVICE_FIELDS,
    FOUND_DEVICE_FIELDS,
    JOB_FIELDS,
    NODE_FIELDS,
    Expression,
    QueryError,
    Schema,
    device_row,
    job_row,
    node_row,
    parse,
    parse_new,
)
from headrace.query_expressions import Among, And, Compare, Contains, Holds, Literal, Name, Not, Or
from headrace.query_fields import DEVICE_KINDS, VENDORS
from headrace.query_schema import Kind

DOCUMENT = Path(__file__).parents[2] / "docs" / "query.md"

A100 = Device("GPU-1", "gpu", "nvidia", "NVIDIA A100-SXM4-40GB", memory_bytes=40 << 30, memory_used_bytes=1 << 30)
T4 = Device("GPU-2", "gpu", "nvidia", "Tesla T4", index=1, memory_bytes=16 << 30, busy_percent=90)
NPU = Device("npu-0", "npu", "huawei", "Ascend 910B", health=Health.HEALTHY)
NODE = Node(
    "nodes/anna",
    state=NodeState.READY,
    drain=Drain.CORDONED,
    description=NodeDescription(
        hostname="anna.example",
        region="east",
        owner="lab",
        labels={"zone": "z1", "example.org/rack": "7"},
        cpu=Cpu("AMD EPYC 9554", ("avx", "avx2"), cores=32, threads=64),
        platforms=(Platform("linux", "amd64"), Platform("linux", "arm64", emulated=True)),
        capacity=Capacity(64_000, 256 << 30, 10**12),
    ),
    devices=(A100, T4, NPU),
    load=Load(cpu_percent=12.5),
    free=Capacity(500, 4 << 30, 10**12),
)


def found(query: str, node: Node = NODE, *, held: tuple[str, ...] = ()) -> bool:
    return parse(query, NODE_FIELDS).holds(node_row(node, held=held))


@pytest.mark.parametrize(
    "query",
    [
        "",
        'arch == "amd64" and os == "linux" and not emulated',
        'arch == "x86_64"',
        'hostname == "anna.example" and name == node',
        'region == "east" and (owner == "nobody" or drain == "cordoned")',
        'region != "west"',
        'region in ("west", "east")',
        'region not in ("west", "north")',
        'state == "READY"',
        'labels.zone == "z1" and labels["example.org/rack"] == "7"',
        '"avx2" in cpu.features and "sse9" not in cpu.features',
        '"linux/arm64" in platforms',
        '"epyc" in cpu.model',
        "cpu.cores >= 32 and 64 == cpu.threads",
        "free.memory >= 4GiB and free.memory < 4.1GiB and 1TB <= free.disk",
        "free.cpu == 500m and free.cpu <= 0.5 and capacity.cpu > 2",
        "free.cpu < capacity.cpu",
        "load.cpu_percent < 50.5",
        'vendor == "huawei" and vendor == "nvidia"',
        'gpu.vendor == "NVIDIA" and gpu.memory >= 24GiB and gpu.count == 2',
        'npu.health == "healthy" and npu.count > 0 and accelerator.count in (3, 4)',
        '"a100" in gpu.model',
        "free.gpu.memory >= 39GiB",
        "host_network == false and not host_network",
    ],
)
def test_a_node_is_found_by_what_it_is_and_has(query: str) -> None:
    assert found(query)


@pytest.mark.parametrize(
    "query",
    [
        'arch == "arm64"',
        "emulated",
        'region in ("west", "north")',
        'region != "east"',
        "free.memory >= 5GiB",
        "gpu.memory > 40GiB",
        'not gpu.vendor == "nvidia"',
        'region == "east" and not (owner == "lab")',
    ],
)
def test_a_node_that_is_otherwise_is_not_found(query: str) -> None:
    assert not found(query)


@pytest.mark.parametrize("query", ["npu.memory >= 1GiB", "not npu.memory >= 1GiB", "npu.memory in (1GiB)"])
def test_what_hangs_on_an_unknown_figure_is_not_found_nor_is_its_negation(query: str) -> None:
    assert not found(query)


@pytest.mark.parametrize("query", ["load.average > 1", "not load.average > 1", "load.average != 1"])
def test_a_node_that_does_not_say_its_load_is_not_found_by_it(query: str) -> None:
    assert not found(query)


def test_an_unknown_figure_hides_nothing_that_is_true_without_it() -> None:
    assert found('load.average > 1 or region == "east"')
    assert found('not (load.average > 1 and region == "west")')


def test_one_device_that_does_not_say_hides_no_other_that_does() -> None:
    assert found("accelerator.memory >= 24GiB")


def test_a_node_without_devices_has_known_devices_that_is_none() -> None:
    bare = Node("nodes/bare")

    assert found('not gpu.vendor == "nvidia" and gpu.count == 0', bare)
    assert not found('gpu.vendor != "nvidia"', bare)


def test_a_label_that_a_node_lacks_is_the_empty_text() -> None:
    assert found('labels.spot != "yes" and labels.spot == ""')


def test_a_device_that_a_job_holds_is_not_free() -> None:
    assert not found("free.gpu.memory >= 39GiB", held=("GPU-1",))
    assert found("free.gpu.count == 1 and gpu.count == 2", held=("GPU-1",))


def test_an_unhealthy_device_is_not_free() -> None:
    broken = Node("nodes/broken", devices=(Device("GPU-9", "gpu", "nvidia", "T4", health=Health.UNHEALTHY),))

    assert found('free.gpu.count == 0 and gpu.count == 1 and gpu.health == "unhealthy"', broken)


def test_devices_are_found_by_their_own_fields() -> None:
    big = parse('kind == "gpu" and memory >= 24GiB and "a100" in model', DEVICE_FIELDS)

    assert [device.id for device in (A100, T4, NPU) if big.holds(device_row(device))] == ["GPU-1"]


def test_jobs_are_found_by_their_own_fields() -> None:
    job = Job("jobs/train-1", JobSpec("train", "registry.example/train:1"), JobState.RUNNING, node="anna", epoch=3)
    mine = parse('state == "running" and node == "anna" and epoch > 2 and priority == 50', JOB_FIELDS)

    assert mine.holds(job_row(job))
    assert not parse("exit_code == 0", JOB_FIELDS).holds(job_row(job))


BROKEN = [
    ('regoin == "east"', 0, "nodes have no field 'regoin'; did you mean region?"),
    ('region == "a" and zzz == 1', 18, "nodes have no field 'zzz'; docs/query.md lists the fields"),
    ("memory >= 4GiB", 0, "did you mean capacity.memory or free.memory?"),
    ("cores >= 4", 0, "did you mean cpu.cores?"),
    ('label.zone == "a"', 0, "did you mean labels.zone?"),
    ('label["zone"] == "a"', 0, "did you mean labels.zone?"),
    ("region == east", 10, 'texts stand in quotes: write "east"'),
    ("region == 5", 10, 'region is a text; write e.g. "east", not 5'),
    ('free.memory >= "24GiB"', 15, 'free.memory is a size; write e.g. 24GiB, not "24GiB"'),
    ("free.memory >= 24", 15, "free.memory is a size: write its unit, e.g. 24GiB or 24B"),
    ("free.memory >= 24gigs", 15, "free.memory: '24gigs' is no size; write e.g. 4GiB"),
    ("cpu.cores > 4GiB", 12, "cpu.cores is a number; write e.g. 100 or 0.5, not 4GiB"),
    ("free.cpu > 0.0001", 11, "free.cpu: 0.0001 is no whole number of thousandths"),
    ('arch == "arm46"', 8, 'arch is never "arm46"; did you mean "arm64"?'),
    ('state == "dead"', 9, 'state is never "dead"; did you mean "ready"?'),
    ('state == "x"', 9, 'state is never "x"; it is one of ready, suspect'),
    ('region > "a"', 7, "region has no order; compare it by == != in"),
    ('region = "a"', 7, "equality is written =="),
    ('region == "a" && emulated', 14, "write and"),
    ("!emulated", 0, "write not"),
    ('region == "a', 10, "this text has no closing quote"),
    ('region == "a" emulated', 14, "'emulated' is one word too many (comparisons are joined by and, or)"),
    ("region", 0, 'region is a text; write e.g. "east"; compare it, e.g. region == "east"'),
    ("not", 3, "a field or a value stands here, not the end"),
    ('(region == "a"', 14, "')' is missing"),
    ("region in east", 10, "'(' is missing"),
    ("region in ()", 11, "a field or a value stands here, not ')'"),
    ('region in ("a" "b")', 15, "')' is missing"),
    ("1 < cpu.cores < 3", 14, "'<' compares two things; join comparisons by and"),
    ("cpu.cores == region", 13, "cpu.cores and region are of different kinds"),
    ('cpu.features == "avx2"', 13, 'write "avx2" in cpu.features'),
    ('cpu.features in ("avx2")', 16, 'write "avx2" in cpu.features'),
    ("state", 0, 'compare it, e.g. state == "ready"'),
    ("avx2 in cpu.features", 0, "nodes have no field 'avx2'"),
    ('"avx2" in free.memory', 0, "free.memory is a size; write e.g. 24GiB; it contains no texts"),
    ('"east"', 6, '"east" has to be compared with a field'),
    ("1 == 1", 5, "a field's name stands here"),
    ('labels[zone] == "a"', 7, "a text in quotes stands here"),
    ('labels == "a"', 0, "nodes have no field 'labels'"),
    ("emulated == 1", 12, "emulated is true or false, not 1"),
    ('region == "a\\n"', 10, "a backslash stands before a quote or a backslash only"),
    ("(" * 60, 40, "nested more than 40 deep"),
    ("not " * 60, 160, "nested more than 40 deep"),
    (" " * 5000, 4096, "a query has at most 4096 characters"),
]


@pytest.mark.parametrize(("query", "position", "problem"), BROKEN)
def test_a_query_that_means_nothing_is_told_where_and_why(query: str, position: int, problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query, NODE_FIELDS)

    assert problem in caught.value.problem
    assert caught.value.position == position
    assert caught.value.reason == "QUERY_INVALID"


MISSPELT = [
    ('vendor == "nvidea"', 10, 'vendor is never "nvidea"; did you mean "nvidia"?'),
    ('gpu.vendor in ("amd", "huwei")', 22, 'gpu.vendor is never "huwei"; did you mean "huawei"?'),
    ('gpu.kind == "gpuu"', 12, 'gpu.kind is never "gpuu"; did you mean "gpu"?'),
    ('free.accelerator.kind == "fpga"', 25, "it is one of gpu, npu, tpu, accelerator"),
    ('os == "windows"', 6, "it is one of linux"),
]


@pytest.mark.parametrize(("query", "position", "problem"), MISSPELT)
def test_a_word_that_no_agent_tells_is_refused_where_it_is_written(query: str, position: int, problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_new(query, NODE_FIELDS)

    assert problem in caught.value.problem
    assert caught.value.position == position


def test_a_query_that_was_accepted_once_stays_one_and_a_vendor_may_be_new() -> None:
    for query, *_ in MISSPELT:
        assert str(parse(query, NODE_FIELDS)) == query
    assert parse_new('vendor == "acme"', NODE_FIELDS)
    assert parse_new('vendor == "arm"', NODE_FIELDS)


def test_the_words_for_devices_are_those_that_agents_tell() -> None:
    specs = (*SPECS, nvidia.SPEC)

    assert {spec.name for spec in specs} | {Unknown.name} == set(VENDORS)
    assert {kind for spec in specs for kind in (spec.kind, *spec.kinds.values())} | {"accelerator"} == set(DEVICE_KINDS)


@pytest.mark.parametrize(
    "query", ["a" * 4000, f'arch == "{"x" * 4000}"', f"region == {'9' * 4000}", f"region == {'x' * 4000}"]
)
def test_no_query_is_told_back_at_length(query: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query, NODE_FIELDS)

    assert len(caught.value.message) < 700


@given(st.text() | st.text(alphabet="ab.\"'\\()[],<>=! 019GiBm\nin notand"))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    for schema in (NODE_FIELDS, DEVICE_FIELDS, JOB_FIELDS):
        with suppress(QueryError):
            parse(text, schema)


SEEN = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=8)


def literals(kind: Kind, words: tuple[str, ...]) -> st.SearchStrategy[Literal]:
    values: dict[Kind, st.SearchStrategy[str | bool | int | float]] = {
        Kind.TEXT: SEEN,
        Kind.WORD: st.sampled_from(words or ("linux", "nvidia")),
        Kind.BOOL: st.booleans(),
        Kind.NUMBER: st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9),
        Kind.SIZE: st.integers(0, 1 << 62),
        Kind.DURATION: st.integers(0, 10**12),
        Kind.CPU: st.integers(0, 10**8),
    }
    return values[kind].map(lambda value: Literal(kind, value))


@st.composite
def comparisons(draw: st.DrawFn, schema: Schema = NODE_FIELDS) -> Expression:
    label = SEEN.filter(bool).map(lambda key: f"labels.{key}")
    names = st.sampled_from(sorted(schema.fields))
    field = draw(names | label if schema.open_fields else names)
    known = schema.find(field)
    assert known is not None
    name = Name(field, known.kind)
    if known.kind is Kind.LIST:
        return Contains(Literal(Kind.TEXT, draw(SEEN)), name)
    literal = literals(known.kind, known.words)
    operators = ["==", "!=", "<", "<=", ">", ">="] if known.kind.ordered else ["==", "!="]
    forms = [
        st.builds(Compare, st.just(name), st.sampled_from(operators), literal | st.just(name)),
        st.builds(Among, st.just(name), st.lists(literal, min_size=1, max_size=3).map(tuple)),
    ]
    if known.kind is Kind.TEXT:
        forms.append(st.builds(Contains, literal, st.just(name)))
    if known.kind is Kind.BOOL:
        forms.append(st.just(Holds(name)))
    return draw(st.one_of(forms))


def joined(kind: type[And] | type[Or], terms: list[Expression]) -> Expression:
    flat: list[Expression] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, kind) else (term,))
    return kind(tuple(flat))


def larger(smaller: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    some = st.lists(smaller, min_size=2, max_size=3)
    return smaller.map(Not) | some.map(lambda terms: joined(And, terms)) | some.map(lambda terms: joined(Or, terms))


@given(st.recursive(comparisons(), larger, max_leaves=8))
def test_a_printed_query_means_the_same_query(expression: Expression) -> None:
    assert parse(str(expression), NODE_FIELDS) == expression


def documented(language: str) -> list[str]:
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("query", documented("query"))
def test_every_example_of_the_documentation_is_understood(query: str) -> None:
    assert parse(query, NODE_FIELDS)


@pytest.mark.parametrize("schema", [NODE_FIELDS, DEVICE_FIELDS, FOUND_DEVICE_FIELDS, JOB_FIELDS])
def test_every_field_is_documented(schema: Schema) -> None:
    text = DOCUMENT.read_text()

    missing = [
        name
        for name in schema.fields
        if f"`{name.replace('npu.', 'gpu.').replace('accelerator.', 'gpu.')}`" not in text
    ]
    assert missing == []
