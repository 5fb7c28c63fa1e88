"""Reads YAML 1.2 into a tree. Tags and aliases are refused, and a text that is too deep or too large ends early.

Importing this imports ruamel.yaml, 30 ms: only what reads a file does.
"""

import re
from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from headrace.yaml_tree import MAX_CHARACTERS, MAX_DEPTH, Mapping, Node, Place, Scalar, Sequence, YamlError

MAX_EVENTS = 20_000

NULLS = ("", "~", "null", "Null", "NULL")
_BEYOND_UNICODE = re.compile(r"\\U(?!000|0010)[0-9A-Fa-f]{8}")
# What YAML takes for a quoted text, with more behind it.
_HALF_QUOTED = re.compile(r"""(?:^\s*(?:- +)*|[:{,\[] *)(?:"[^"]*"|'[^']*') *[^\s#,:}\]]""")


def read(text: str, *, source: str) -> Node:
    """The one document of a text. Raises YamlError where there is none, or none that is served."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(Place(source, 1), "larger than 1 MiB; files for the job belong into its image")
    try:
        return _Composer(YAML(typ="safe", pure=True).parse(text), source).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line if mark else 0, len(text.splitlines()) - 1)
        raise YamlError(Place(source, line + 1), _explained(text, line, error)) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(Place(source, line), "has a character that YAML does not allow; write texts in UTF-8") from None
    except (ValueError, OverflowError):  # ruamel.yaml's chr(), of what an escape names.
        line = next(number for number, written in enumerate(text.split("\n"), 1) if _BEYOND_UNICODE.search(written))
        raise YamlError(Place(source, line), "an escape names no character; the last one is \\U0010FFFF") from None


def _explained(text: str, line: int, error: MarkedYAMLError) -> str:
    begun = error.context_mark.line if error.context_mark else line
    # The end of the text, where some problems are found, may be behind the last line.
    lines = [*text.splitlines(), ""]
    if any(_HALF_QUOTED.search(lines[min(number, len(lines) - 1)]) for number in (line, begun)):
        return "a value that begins with a quote must end with it; put the whole of it into single quotes"
    problem = str(error.problem)
    if "\\t" in problem:
        return "indented by a tab; YAML is indented by spaces"
    if "mapping values are not allowed" in problem:
        return "a second ': ' in one value; put the value into quotes, or look at the indentation"
    context = f" {error.context} that begins on line {begun + 1}" if error.context else ""
    return f"not YAML: {problem}{context}; look at brackets, quotes and indentation"


class _Composer:
    """Makes a tree of the parser's events, which come one by one: a bad text is left at once."""

    def __init__(self, events: Iterator[Event], source: str) -> None:
        self.events = events
        self.source = source
        self.count = 0

    def document(self) -> Node:
        self.next()
        start = self.next()
        if isinstance(start, StreamEndEvent):
            raise YamlError(Place(self.source, 1), "the file is empty")
        root = self.node(self.next(), depth=0)
        self.next()
        after = self.next()
        if not isinstance(after, StreamEndEvent):
            raise self.wrong(after, "a second document begins here; one file holds one")
        return root

    def next(self) -> Event:
        event = next(self.events)
        self.count += 1
        if self.count > MAX_EVENTS:
            raise self.wrong(event, f"has more than {MAX_EVENTS} keys and values")
        return event

    def place(self, event: Event) -> Place:
        return Place(self.source, event.start_mark.line + 1)

    def wrong(self, event: Event, message: str) -> YamlError:
        return YamlError(self.place(event), message)

    def node(self, event: Event, *, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.wrong(event, f"nested more than {MAX_DEPTH} deep")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.wrong(
                event, f"tags ({str(tag).replace('tag:yaml.org,2002:', '!!')}) are not served; leave it out"
            )
        match event:
            case AliasEvent():
                raise self.wrong(event, f"aliases (*{event.anchor}) are not served; write the value out")
            case MappingStartEvent():
                return self.mapping(event, depth)
            case SequenceStartEvent():
                return self.sequence(event, depth)
            case ScalarEvent(value=str(text)):
                return Scalar(self.place(event), text, empty=not event.style and text in NULLS)
        raise self.wrong(event, "a value is missing here")

    def sequence(self, start: Event, depth: int) -> Sequence:
        items = []
        while not isinstance(event := self.next(), SequenceEndEvent):
            items.append(self.node(event, depth=depth + 1))
        return Sequence(self.place(start), tuple(items))

    def mapping(self, start: Event, depth: int) -> Mapping:
        entries = []
        while not isinstance(event := self.next(), MappingEndEvent):
            key = self.node(event, depth=depth + 1)
            if not isinstance(key, Scalar):
                raise self.wrong(event, "a key is one word or text, no list or mapping")
            value = self.node(self.next(), depth=depth + 1)
            # What is not there is placed on the line after, where nobody would look for it.
            missing = isinstance(value, Scalar) and value.empty and not value.text
            entries.append((key, Scalar(key.place, "", empty=True) if missing else value))
        return Mapping(self.place(start), tuple(entries))
