"""Reads a TOML file into frozen dataclasses: what their fields say is what a file may hold, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from headrace import units
from headrace.refusals import Code, Refusal
from headrace.suggestions import unknown

Settings = TypeVar("Settings")
Value = TypeVar("Value")
Read = Callable[[object], Any]


class WrongSetting(ValueError):
    """A value that is not what its key should have; the message says what is allowed, in lines of several mistakes."""


def setting(default: Any, read: Read, *, key: str = "") -> Any:
    """A dataclass field that `read` makes of a file's value. `key` is its name there, where it is another."""
    return field(default=default, metadata={"read": read, "key": key})


def read_settings(kind: type[Settings], file: Path | None) -> Settings:
    """The settings of a file, with all its mistakes refused at once. Without a file, the defaults."""
    if file is None:
        return kind()
    problems: list[str] = []
    settings = _settings(kind, _table(file), "", problems)
    if problems:
        message = "\n".join(f"{file}: {problem}" for problem in problems)
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message, file=str(file))
    return settings


def key_of(file: Path | None, key: str) -> str:
    """A key with the file that it stands in."""
    return f"{file}: {key}" if file else key


def home_of(environ: Mapping[str, str]) -> Path | None:
    """The user's folder; None where there is none."""
    home = environ.get("HOME")
    try:
        return Path(home) if home else Path.home()
    except RuntimeError:  # A user that the system does not list, as containers have them.
        return None


def _table(file: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - 5 ms, and the client seldom has a file.

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"{file}: cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        what = f"{file}: is no text in UTF-8"
    except tomllib.TOMLDecodeError as error:
        what = f"{file}: is not TOML: {error}"
    raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_UNREADABLE", what, file=str(file))


def _settings(kind: type[Settings], table: Mapping[str, object], path: str, problems: list[str]) -> Settings:
    hints = get_type_hints(kind)
    known = {item.metadata.get("key") or item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        full = f"{path}{key}"
        item = known.get(key)
        if item is None:
            problems.append(f"{full}: {unknown('key', key, known)}")
            continue
        hint = hints[item.name]
        try:
            if is_dataclass(hint) and isinstance(hint, type):
                values[item.name] = _settings(hint, _mapping(value, full), f"{full}.", problems)
            else:
                values[item.name] = (item.metadata.get("read") or _reader(hint))(value)
        except ValueError as error:
            problems += [f"{full}: {line}" for line in str(error).splitlines()]
    return kind(**values)


def _mapping(value: object, key: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise WrongSetting(f"has keys of its own; write [{key}] and its keys below")
    return value


def _reader(hint: Any) -> Read:
    if get_origin(hint) is Literal:
        return _one_of(get_args(hint))
    return _READERS[hint]


def _one_of(words: tuple[str, ...]) -> Read:
    def read(value: object) -> str:
        if value not in words:
            raise WrongSetting(f"{_shown(value)} is not one of {', '.join(words)}")
        return str(value)

    return read


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise WrongSetting(f"is a text in quotes, not {_shown(value)}")
    return value


def boolean(value: object) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise WrongSetting(f"is true or false, without quotes, not {_shown(value)}")
    return value


def size(value: object) -> int:
    """A size in bytes."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return units.parse_bytes(value)
    raise WrongSetting('is a size, e.g. "4GiB"')


def cpu(value: object) -> int:
    """A share of processors in thousandths of a core."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return units.parse_cpu(value)
    raise WrongSetting('is a share of processors, e.g. 2, 0.5 or "500m"')


def path(value: object) -> Path:
    """A file or a folder, where "~" is the user's home."""
    written = text(value)
    if not written:
        raise WrongSetting("is a path and not empty")
    try:
        return Path(written).expanduser()
    except RuntimeError:
        raise WrongSetting(f"{written!r} begins with a user who has no home here; write the whole path") from None


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise WrongSetting(f'is a list, e.g. ["a", "b"], not {_shown(value)}')
    return tuple(text(item) for item in value)


def named_texts(value: object) -> dict[str, str]:
    """A table of texts."""
    if not isinstance(value, dict):
        raise WrongSetting(f'is a table, e.g. {{zone = "z1"}}, not {_shown(value)}')
    wrong = [
        f"is a text in quotes, not {_shown(item)} (that of {name})"
        for name, item in value.items()
        if not isinstance(item, str)
    ]
    if wrong:
        raise WrongSetting("\n".join(wrong))
    return value


def each(table: Mapping[str, Any], read: Callable[[str, Any], Value]) -> dict[str, Value]:
    """What `read` makes of each key and its value. Raises WrongSetting with all mistakes, each with its key."""
    found, problems = {}, []
    for name, item in table.items():
        try:
            found[name] = read(name, item)
        except ValueError as error:
            problems += [f"{name}: {line}" for line in str(error).splitlines()]
    if problems:
        raise WrongSetting("\n".join(problems))
    return found


_READERS: dict[Any, Read] = {
    str: text,
    bool: boolean,
    Path: path,
    Path | None: path,
    tuple[str, ...]: texts,
    dict[str, str]: named_texts,
}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the text {value!r}" if isinstance(value, str) else str(value)
