"""Everything that is printed: lines, documents, raw bytes, and complaints."""
# ruff: noqa: T201 - the one module that prints.

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from google.protobuf.message import Message

_Message = TypeVar("_Message", bound="Message")

CLEAR_SCREEN = "\x1b[H\x1b[J"
_LATER_CONTROLS = re.compile("[\x7f-\x9f]")


def show(message: _Message, output: str, table: Callable[[_Message, bool], Iterable[str]]) -> None:
    """A message as the user wants it; `table` makes lines for people, its second argument says if they may be wide."""
    match output:
        case "json":
            print(_json(message, indent=2))
        case "yaml":
            _yaml(message)
        case _:
            lines(table(message, output == "wide"))


def tell(told: Mapping[str, Any], output: str, texts: Iterable[str]) -> None:
    """What was done without a controller: its names and values, or lines for people."""
    from google.protobuf.struct_pb2 import Struct  # noqa: PLC0415 - few commands need it.

    message = Struct()
    message.update(dict(told))
    show(message, output, lambda _told, _wide: texts)


def show_next(message: "Message", output: str, text: str) -> None:
    """One of many messages that come one by one: a line of JSON, a YAML document, or `text` for people."""
    match output:
        case "json":
            print(_json(message, indent=None))
        case "yaml":
            print("---")
            _yaml(message)
        case _:
            lines([text])
    sys.stdout.flush()


def lines(texts: Iterable[str]) -> None:
    """Lines on standard output."""
    for text in texts:
        print(printable(text))


def screen(texts: Iterable[str]) -> None:
    """Lines in place of all that the terminal shows."""
    print(CLEAR_SCREEN + "\n".join(map(printable, texts)), flush=True)


def note(text: str) -> None:
    """A line beside the result, on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def complaint(kind: str, message: str, reason: str) -> None:
    """Why the program ends with an exit code other than 0, in one line."""
    sentences = (" ".join(line.split()) for line in message.splitlines())
    note(f"{kind}: {'; '.join(sentence for sentence in sentences if sentence)} [{reason}]")


def raw(data: bytes) -> None:
    """Bytes as they are, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def interactive() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def prepare() -> None:
    """Let standard output take any text: what its encoding has no character for is shown as "?".

    Where it is closed (`>&-`), nobody wants it: what was asked for is done all the same.
    """
    # A file of ours, or a connection, would get its number otherwise, and what is printed with it.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def flush() -> None:
    """Write out what is held back. A reader that left (`| head`) raises BrokenPipeError."""
    sys.stdout.flush()


def silence() -> None:
    """Drop what is still to be written: its reader left."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def printable(text: str) -> str:
    """The text with "?" for what would steer a terminal."""
    # What a job says of itself must not steer the terminal of who reads it.
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _mapping(message: "Message") -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - tables do without.

    return MessageToDict(message, always_print_fields_with_no_presence=True)


def _json(message: "Message", *, indent: int | None) -> str:
    import json  # noqa: PLC0415 - tables do without.

    text = json.dumps(_mapping(message), indent=indent, ensure_ascii=False)
    # JSON escapes the older control characters alone; terminals obey these too.
    return _LATER_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _yaml(message: "Message") -> None:
    from ruamel.yaml import YAML  # noqa: PLC0415 - takes 20 ms to load.

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(_mapping(message), sys.stdout)
