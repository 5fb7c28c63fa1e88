"""Laws of the query language for whatever anybody writes, and for whatever nodes, devices and jobs are."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.attempts import Attempt, Platform
from headrace.jobs import AcceleratorRequest, Job, JobSpec, JobState, Requests, Timeouts
from headrace.nodes import Capacity, Cpu, Device, Engine, Health, Load, Node, NodeDescription, NodeState
from headrace.query import (
    DEVICE_FIELDS,
    FOUND_DEVICE_FIELDS,
    JOB_FIELDS,
    NODE_FIELDS,
    DeviceView,
    Expression,
    QueryError,
    Row,
    Schema,
    device_row,
    found_device_row,
    job_row,
    node_row,
    parse,
    parse_field,
    parse_order,
    parse_sum,
)
from tests.core.test_query import SEEN, comparisons, larger

SCHEMAS = (NODE_FIELDS, DEVICE_FIELDS, FOUND_DEVICE_FIELDS, JOB_FIELDS)
NAMES = sorted({name for schema in SCHEMAS for name in schema.fields} | {"labels.zone", "labels"})
WORDS = [*NAMES, "and", "or", "not", "in", "true", "false", "(", ")", "[", "]", ",", "==", "!=", "<", "<=", ">", ">="]
WORDS += ['"east"', "'x'", '"arm64"', '"ready"', "24GiB", "1.5", "-3", "10m", "500m", "9" * 40, "asc", "desc"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)
TEXTS = st.text() | st.text(alphabet=string.printable + "аε\u200b\x00“≥") | SENTENCES

MAYBE_BYTES = st.none() | st.integers(0, 1 << 40)
MAYBE_FIGURE = st.none() | st.floats()
DEVICES = st.builds(
    Device,
    SEEN,
    st.sampled_from(["gpu", "npu", "fpga"]),
    st.sampled_from(["nvidia", "huawei", ""]),
    SEEN,
    index=st.integers(0, 99),
    memory_bytes=MAYBE_BYTES,
    memory_used_bytes=MAYBE_BYTES,
    busy_percent=MAYBE_FIGURE,
    temperature_celsius=MAYBE_FIGURE,
    power_watts=MAYBE_FIGURE,
    health=st.sampled_from(Health),
)
PLATFORMS = st.builds(
    Platform, st.just("linux"), st.sampled_from(["amd64", "arm64", "riscv64"]), emulated=st.booleans()
)
NODES = st.builds(
    Node,
    SEEN.map(lambda name: f"nodes/{name}"),
    state=st.sampled_from(NodeState),
    description=st.builds(
        NodeDescription,
        region=SEEN,
        labels=st.dictionaries(SEEN, SEEN, max_size=2),
        cpu=st.builds(Cpu, SEEN, st.lists(SEEN, max_size=2).map(tuple), cores=st.none() | st.integers(1, 512)),
        platforms=st.lists(PLATFORMS, max_size=2).map(tuple),
        capacity=st.builds(Capacity, st.integers(0, 10**6), st.integers(0, 1 << 42), st.integers(0, 1 << 42)),
    ),
    devices=st.lists(DEVICES, max_size=3).map(tuple),
    load=st.builds(Load, MAYBE_FIGURE, MAYBE_BYTES, MAYBE_BYTES, MAYBE_FIGURE),
    engine=st.builds(Engine, st.booleans()),
)
TIMES = st.none() | st.integers(0, 1 << 41)
JOBS = st.builds(
    Job,
    SEEN.map(lambda name: f"jobs/{name}"),
    st.builds(
        JobSpec,
        SEEN,
        SEEN,
        resources=st.builds(Requests, accelerators=st.none() | st.builds(AcceleratorRequest, st.integers(1, 8))),
        timeouts=st.builds(Timeouts, run_ms=TIMES),
    ),
    state=st.sampled_from(JobState),
    epoch=st.just(1),
    node=st.sampled_from(["", "a"]),
    attempts=st.sampled_from([(), (Attempt("x", 1, devices=("d",)),)]),
    create_time_ms=TIMES,
    start_time_ms=TIMES,
    end_time_ms=TIMES,
)
ROWS: dict[Schema, st.SearchStrategy[Row]] = {
    NODE_FIELDS: NODES.map(node_row),
    DEVICE_FIELDS: DEVICES.map(device_row),
    FOUND_DEVICE_FIELDS: st.builds(DeviceView, DEVICES, NODES, st.sampled_from([(), ("j",)]), st.booleans()).map(
        found_device_row
    ),
    JOB_FIELDS: st.builds(lambda job, now: job_row(job, now_ms=now), JOBS, TIMES),
}


def expressions(schema: Schema) -> st.SearchStrategy[Expression]:
    return st.recursive(comparisons(schema), larger, max_leaves=6)


def refused_at(read: Callable[[str, Schema], object], text: str, schema: Schema) -> int | None:
    try:
        read(text, schema)
    except QueryError as error:
        return error.position
    return None


@given(TEXTS, st.sampled_from(SCHEMAS))
def test_any_text_is_understood_or_refused_at_a_place_within_it(text: str, schema: Schema) -> None:
    for read in (parse, parse_field, parse_order, parse_sum):
        position = refused_at(read, text, schema)
        assert position is None or 0 <= position <= len(text)


@given(TEXTS, st.sampled_from(SCHEMAS))
def test_what_is_understood_is_printed_as_what_means_the_same(text: str, schema: Schema) -> None:
    try:
        understood = parse(text, schema)
    except QueryError:
        return
    assert parse(str(understood), schema) == understood


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.noun)
@given(st.data())
def test_every_expression_is_printed_read_and_judged_of_anything(schema: Schema, data: st.DataObject) -> None:
    expression = data.draw(expressions(schema))
    row = data.draw(ROWS[schema])

    again = parse(str(expression), schema)

    assert again == expression
    assert again.truth(row) is expression.truth(row)
    assert expression.holds(row) is (expression.truth(row) is True)


def filled(row: Row, values: Row) -> Row:
    """The row with what it does not know taken from the other one."""
    return {name: values[name] if row[name] is None else row[name] for name in NODE_FIELDS.fields} | {
        name: value for name, value in values.items() if name not in NODE_FIELDS.fields
    }


@given(expressions(NODE_FIELDS), NODES, st.sets(st.sampled_from(sorted(NODE_FIELDS.fields))))
def test_what_is_known_to_be_true_stays_so_whatever_the_unknown_turns_out_to_be(
    expression: Expression, node: Node, hidden: set[str]
) -> None:
    labels = {f"labels.{key}": value for key, value in node.description.labels.items()}
    known = {name: node_row(node)[name] for name in NODE_FIELDS.fields} | labels
    partly = {name: None if name in hidden else value for name, value in known.items()}

    before = expression.truth(partly)

    if before is not None:
        assert expression.truth(known) is before


@pytest.mark.parametrize("query", ["load.average != 1", "not load.average > 1", "load.average not in (1, 2)"])
def test_what_is_not_a_number_is_unknown(query: str) -> None:
    assert parse(query, NODE_FIELDS).truth({"load.average": float("nan")}) is None


@given(expressions(NODE_FIELDS))
def test_of_a_row_of_which_nothing_is_known_nothing_is_true(expression: Expression) -> None:
    assert not expression.holds({})


HOSTILE = [
    ('region == "ea\x00st"', 13, "(U+0000) is a character that nobody sees; leave it out"),
    ("region\u200b == 'a'", 6, "(U+200B ZERO WIDTH SPACE) is a character that nobody sees"),
    ("owner == '\u202egnp'", 10, "(U+202E RIGHT-TO-LEFT OVERRIDE) is a character that nobody sees"),
    ("owner == '\ud800'", 10, "(U+D800) is a character that nobody sees"),
    ("regi\u043en == 'a'", 4, "(U+043E CYRILLIC SMALL LETTER O) means nothing here; names and numbers are written"),
    ("\u0430rch == 'arm64'", 0, "(U+0430 CYRILLIC SMALL LETTER A) means nothing here; names and numbers are written"),
    ("cpu.cores > \u0663", 12, "(U+0663 ARABIC-INDIC DIGIT THREE) means nothing here; names and numbers"),
    ("region == \u201ceast\u201d", 10, "texts stand in straight quotes"),
    ("cpu.cores \u2265 3", 10, "write <= >= !="),
    ("cpu.cores > " + "9" * 31, 12, "a number has at most 30 digits"),
    ("cpu.cores > 1e999", 12, "cpu.cores is a number"),
    ("cpu.cores > nan", 12, "nodes have no field 'nan'"),
    ("free.memory > 9000PiB", 14, "9000PiB is too much; a size is at most 8191PiB"),
    ("free.memory > -1GiB", 14, "'-1GiB' is no size"),
    ("free.cpu > " + "9" * 19, 11, "is too much"),
    ("(" * 4000, 40, "nested more than 40 deep"),
    ("region in (" + '"a",' * 1030 + '"a")', 4096, "a query has at most 4096 characters"),
]


@pytest.mark.parametrize(("query", "position", "problem"), HOSTILE, ids=[problem for _, _, problem in HOSTILE])
def test_hostile_input_is_refused_where_it_stands_by_what_it_is(query: str, position: int, problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query, NODE_FIELDS)

    assert problem in caught.value.problem
    assert caught.value.position == position
    assert caught.value.message.isprintable()


def test_texts_may_be_of_any_script() -> None:
    here = Node("nodes/a", description=NodeDescription(owner="華為", region="Zürich"))

    assert parse('owner == "華為" and region == "Zürich"', NODE_FIELDS).holds(node_row(here))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("free.cpu", "free.cpu"),
        ("free.cpu asc", "free.cpu"),
        ("free.cpu desc", "free.cpu desc"),
        ('labels["a/b"] desc', 'labels["a/b"] desc'),
    ],
)
def test_an_order_is_a_field_and_a_direction(text: str, shown: str) -> None:
    assert str(parse_order(text, NODE_FIELDS)) == shown


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "a field's name stands here"),
        ("free.cpuu", 0, "did you mean free.cpu?"),
        ("free.cpu down", 9, "'down' is one word too many"),
        ("free.cpu desc desc", 14, "'desc' is one word too many"),
        ("cpu.features", 0, "cpu.features is a list; lists have no order"),
    ],
)
def test_an_order_that_means_nothing_is_told_where_and_why(text: str, position: int, problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_order(text, NODE_FIELDS)

    assert problem in caught.value.problem
    assert caught.value.position == position


def test_what_is_no_number_is_not_summed() -> None:
    with pytest.raises(QueryError, match="region is a text; what is summed is a number, a size or a duration"):
        parse_sum("region", NODE_FIELDS)


def job(**changes: object) -> Job:
    spec = JobSpec("train", "team/train:1", project="vision", timeouts=Timeouts(run_ms=3_600_000))
    return Job("jobs/train-1", spec, JobState.RUNNING, epoch=1, create_time_ms=0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "query",
    [
        "age == 2h and run_time > 59m and run_time <= 1h and time_left == 0s",
        'node == "a" and project == "vision" and "train" in image and arch == "aarch64" and not emulated',
        '"GPU-1" in devices and device_count == 2 and accelerators == 0 and moves == 0',
    ],
)
def test_a_job_is_found_by_its_age_and_by_where_it_is_with_what(query: str) -> None:
    attempt = Attempt("train-1", 1, node="a", platform=Platform("linux", "arm64"), devices=("GPU-1", "GPU-2"))
    running = job(node="a", start_time_ms=3_600_000, attempts=(attempt,))

    assert parse(query, JOB_FIELDS).holds(job_row(running, now_ms=7_200_000))


def test_the_time_that_is_left_is_unknown_without_a_limit() -> None:
    endless = Job("jobs/x", JobSpec("x", "x"), JobState.RUNNING, create_time_ms=0, start_time_ms=0)

    assert parse("time_left >= 0s", JOB_FIELDS).truth(job_row(endless, now_ms=5)) is None
