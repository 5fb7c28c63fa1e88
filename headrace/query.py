"""The `where` language: one for `find`, `--where` and `where:` in a job. docs/query.md is its description.

    matches = parse('arch == "arm64" and free.memory >= 4GiB', NODE_FIELDS).holds(node_row(node))

Pure, with all the modules that it gathers: the cores evaluate queries.
"""

from headrace.query_expressions import Expression, quoted
from headrace.query_fields import DEVICE_FIELDS, JOB_FIELDS, NODE_FIELDS, device_row, job_row, node_row
from headrace.query_schema import Field, Kind, QueryError, Row, Schema, Value
from headrace.query_syntax import parse

__all__ = [
    "DEVICE_FIELDS",
    "JOB_FIELDS",
    "NODE_FIELDS",
    "Expression",
    "Field",
    "Kind",
    "QueryError",
    "Row",
    "Schema",
    "Value",
    "device_row",
    "job_row",
    "node_row",
    "parse",
    "quoted",
]
