"""All commands whose output can be read: which one a line means, and what reads it."""

import pkgutil
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from agent.accelerators import parsers
from agent.accelerators.parsers.text import cleaned
from agent.accelerators.readings import Command, Reading, Unreadable
from headrace.refusals import Code, Refusal

_LONGEST_COMMAND = 16_384

_PLACEHOLDER = re.compile(r"<[^<>]*>")
_REMARK = re.compile(r" \([^()]*\)$")
_REDIRECTION = re.compile(r"\s\d?>{1,2}\s?(?:&\d|\S+)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=\S*")
_RUN_BY = ("sudo", "env", "command", "exec", "nohup", "time", "timeout", "nice")
_FOR_RUNNERS = re.compile(r"-\S*|\d+[smhd]?")


def readings_of(command: str, text: str) -> tuple[Reading, ...]:
    """What an output tells. Refusal: no parser knows the command, or none that does can read the output."""
    line = normalised(command)
    asked = [one for one in commands() if one.pattern.fullmatch(line)]
    if not asked:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            "COMMAND_UNKNOWN",
            f"command {line[:200]!r}: no parser knows it; those known are: {', '.join(_shown())}",
        )
    complaints: dict[str, None] = {}
    for one in asked:
        try:
            plain = cleaned(text)
            return one.parse_line(line, plain) if one.parse_line else one.parse(plain)
        except Unreadable as unreadable:
            complaints[_in_one_line(str(unreadable))] = None
    raise Refusal(
        Code.INVALID_ARGUMENT,
        "OUTPUT_UNREADABLE",
        f"this is no output of {asked[0].shown!r} that can be read: {'; or: '.join(complaints)};"
        " save the whole output of the command anew, or name the command that printed it",
    )


def normalised(command: str) -> str:
    """A command line without what does not change its output's form: who runs it, where it lies, what is piped."""
    plain = command[:_LONGEST_COMMAND].replace("\\|", "|").replace("\\", "/")
    line = _PLACEHOLDER.sub(lambda found: "_".join(found[0].split()), plain)
    line = _REDIRECTION.sub(" ", _REMARK.sub("", " ".join(line.split()).lstrip("$#> ")))
    words = list(_words(line.partition("|")[0]))
    while words and (words[0] in _RUN_BY or _ASSIGNMENT.fullmatch(words[0])):
        words.pop(0)
        while words and _FOR_RUNNERS.fullmatch(words[0]):
            words.pop(0)
    if words:
        words[0] = words[0].rpartition("/")[2].removesuffix(".exe")
    return " ".join(words)


def _words(line: str) -> Iterator[str]:
    try:
        parts = shlex.split(line)
    except ValueError:
        parts = line.replace('"', " ").replace("'", " ").split()
    # A list of fields may be quoted with blanks in it: "--query-gpu=index, name".
    return ("".join(part.split()) for part in parts if part.strip())


def _in_one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text[:800]).split())[:400]


@cache
def commands() -> tuple[Command, ...]:
    """The commands of each module beside this one."""
    names = sorted(found.name for found in pkgutil.iter_modules(parsers.__path__))
    modules = (import_module(f"{parsers.__name__}.{name}") for name in names)
    return tuple(command for module in modules for command in getattr(module, "COMMANDS", ()))


def _shown() -> list[str]:
    return list(dict.fromkeys(command.shown for command in commands()))
