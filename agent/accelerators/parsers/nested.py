"""Fields within fields, as JSON or indented lines, made flat: {"vram/size": "32624 MB"}. Keys lose case and marks."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from re import Pattern
from typing import Any

from agent.accelerators.parsers.fields import indented
from agent.accelerators.parsers.text import told
from agent.accelerators.readings import Unreadable

Fields = dict[str, str]

# Deeper than any tool nests.
_DEEPEST = 16

_JSON = re.compile(r"^[ \t]*(?:\{|\[\s*(?:[\[{\]]|$))", re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+|"')
# Longer than any line of a table or of fields.
_LONGEST_LINE = 1024
# More escapes than the JSON that needs repair has; unclosed strings of them would take for ever.
_MOST_ESCAPES = 1000


def json_in(text: str) -> str | None:
    """The text from where JSON begins, if it has any; a prompt ("[root@host]# …") or warnings may stand before."""
    found = _JSON.search(text)
    return text[found.start() :].strip() if found else None


def loaded(text: str, expected: str) -> Any:
    """The JSON that a text begins with; Unreadable says what was expected of it."""
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    try:
        return json.JSONDecoder().raw_decode(repaired(text) if text.count("\\") <= _MOST_ESCAPES else text)[0]
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{expected} was expected; this is no JSON, or it is cut short ({error})") from error


def repaired(text: str) -> str:
    """JSON with the commas that hy-smi leaves out between fields, and without those that end a list; else unchanged."""
    parts: list[str] = []
    for part in _TOKEN.findall(text):
        if parts and parts[-1] == "," and part in "}]":
            parts.pop()
        elif parts and parts[-1] not in "{[,:" and part not in "}],:":
            parts.append(",")
        parts.append(part)
    return " ".join(parts)


def lines_of(text: str) -> list[str]:
    """The lines of a table, or of fields; longer ones are neither."""
    return [line for line in text.splitlines() if len(line) <= _LONGEST_LINE]


def key_of(text: str) -> str:
    """A key as it is looked for: "VRAM Total Memory (B)" is "vram total memory b"."""
    return " ".join(re.sub(r"[^a-z0-9%]+", " ", text.lower()).split())


def flat(value: Any) -> Fields:
    """The fields of parsed JSON. {"value": 3, "unit": "W"} is "3 W"; null is not told, as is "N/A"."""
    return dict(_leaves(value, (), 0))


def _leaves(value: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict) and "value" in value and set(value) <= {"value", "unit"}:
        yield "/".join(path), f"{_scalar(value['value'])} {_scalar(value.get('unit'))}".strip()
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key_of(str(key))), depth + 1)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(place)), depth + 1)
    else:
        yield "/".join(path), _scalar(value)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return ""
    # Integers of thousands of digits are legal JSON, and Python refuses to print them.
    if isinstance(value, int) and abs(value) >= 1 << 128:
        return ""
    return str(value)


def outline(lines: Iterable[str]) -> Fields:
    """The fields of indented "key : value" lines. A heading that comes again is another one: "process info 2/pid"."""
    fields: Fields = {}
    seen: Counter[str] = Counter()
    for name, value in indented(lines).items:
        path = name.replace("_", " ")
        seen[path] += 1
        heading, slash, rest = path.partition("/")
        fields[path if seen[path] == 1 else f"{heading} {seen[path]}{slash}{rest}"] = value
    return fields


def pick(fields: Fields, *names: str) -> str | None:
    """The first of these fields that is told. A name may leave out what it stands under: "size" finds "vram/size"."""
    for name in names:
        exact = told(fields.get(name))
        if exact is not None:
            return exact
        for path, value in fields.items():
            if path.endswith("/" + name) and told(value) is not None:
                return told(value)
    return None


def blocks(lines: Iterable[str], start: Pattern[str]) -> list[tuple[re.Match[str], list[str]]]:
    """The lines after each one that `start` matches, up to the next."""
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in lines:
        match = start.match(line)
        if match:
            found.append((match, []))
        elif found:
            found[-1][1].append(line)
    return found
