"""What a look at a node brought to light, for people and for programs."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum

_WIDTH = 110


class Status(IntEnum):
    """OK is there and works; MISSING is not there, and the node works without it; BROKEN needs somebody."""

    OK = 0
    MISSING = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `why` and `remedy` are empty where there is nothing to explain or to do."""

    subject: str
    status: Status
    found: str
    means: str
    why: str = ""
    remedy: str = ""


def worst(findings: Iterable[Finding]) -> Status:
    """The worst of all; a node with MISSING alone does its work."""
    return max((finding.status for finding in findings), default=Status.OK)


def render(findings: Sequence[Finding]) -> str:
    """For people: a line each, and what to know and to do below it."""
    width = max((len(finding.subject) for finding in findings), default=0)
    lines: list[str] = []
    for finding in findings:
        head = f"{finding.status.name.lower():8}{finding.subject:{width}}  "
        lines += _wrapped(f"{finding.found} (by {finding.means})", head)
        lines += _wrapped(finding.why, " " * len(head) + "why: ") if finding.why else []
        lines += _wrapped(finding.remedy, " " * len(head) + "remedy: ") if finding.remedy else []
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """For programs: a list of objects with the fields of Finding, status in lower case."""
    objects = [{**asdict(finding), "status": finding.status.name.lower()} for finding in findings]
    return json.dumps(objects, indent=2, ensure_ascii=False)


def _wrapped(text: str, head: str) -> list[str]:
    indent = " " * len(head)
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_long_words=False)
