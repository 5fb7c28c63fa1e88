"""The `where` language: one for `find`, `--where` and `where:` in a job. docs/query.md is its description.

    matches = parse('arch == "arm64" and free.memory >= 4GiB', NODE_FIELDS).holds(node_row(node))

Pure, with all the modules that it gathers: the cores evaluate queries.
"""

from headrace.query_columns import Order, parse_field, parse_order, parse_sum, rounded_text, value_text, values_of
from headrace.query_expressions import Expression, Name, all_of, names_of, parts_of, quoted
from headrace.query_fields import DEVICE_FIELDS, NODE_FIELDS, device_row, is_free, node_row, remaining_row
from headrace.query_found import FOUND_DEVICE_FIELDS, DeviceView, found_device_row
from headrace.query_jobs import JOB_FIELDS, job_row
from headrace.query_schema import Field, Kind, QueryError, Row, Scalar, Schema, Value
from headrace.query_syntax import parse, parse_new

__all__ = [
    "DEVICE_FIELDS",
    "FOUND_DEVICE_FIELDS",
    "JOB_FIELDS",
    "NODE_FIELDS",
    "DeviceView",
    "Expression",
    "Field",
    "Kind",
    "Name",
    "Order",
    "QueryError",
    "Row",
    "Scalar",
    "Schema",
    "Value",
    "all_of",
    "device_row",
    "found_device_row",
    "is_free",
    "job_row",
    "names_of",
    "node_row",
    "parse",
    "parse_field",
    "parse_new",
    "parse_order",
    "parse_sum",
    "parts_of",
    "quoted",
    "remaining_row",
    "rounded_text",
    "value_text",
    "values_of",
]
