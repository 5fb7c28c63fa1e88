"""The words of a query, and the values that literals have beside a field."""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from headrace import units
from headrace.query_expressions import KEYWORDS, PLAIN_NAME, Name
from headrace.query_schema import Field, Kind, QueryError, Scalar
from headrace.suggestions import nearest

_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>-?[0-9][A-Za-z0-9.%]*)
    | (?P<name>{PLAIN_NAME.pattern})
    | (?P<sign>[=!<>]=|[<>()\[\],])""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_TOO_LONG = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_BARE_SIZE = re.compile(r"[0-9.]*[1-9][0-9.]*")
_READERS: dict[Kind, Callable[[str], int]] = {
    Kind.SIZE: units.parse_bytes,
    Kind.DURATION: units.parse_duration,
    Kind.CPU: units.parse_cpu,
}
# As like as two words are of which one has another letter, or one more or less.
_ONE_LETTER = 0.8
_CURLY = "\u201c\u201d\u201e\u2033\u2018\u2019\u201a\u2032\u00ab\u00bb`"
_MISTAKES = {
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "=": "equality is written ==",
    **dict.fromkeys(_CURLY, "texts stand in straight quotes, \" or '"),
    **dict.fromkeys("≤≥≠", "write <= >= !="),
}
# Characters that nobody sees, or that turn the order of those beside them: controls, formats, lone surrogates, breaks.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_LAYOUT = "\t\n\r"


class Token(NamedTuple):
    """A word of the query. `kind` is a group of _TOKEN, a keyword itself, or "end"."""

    kind: str
    text: str
    position: int


def tokens(text: str) -> list[Token]:
    """All words, and "end". Raises QueryError."""
    if not text.isprintable():
        _refuse_hidden(text)
    found = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            character = text[position]
            if character in "\"'":
                raise QueryError("this text has no closing quote", position=position, query=text)
            raise QueryError(
                f"{_shown(character)} means nothing here; {_remedy(character)}", position=position, query=text
            )
        kind, word = str(match.lastgroup), match[0]
        if kind != "space":
            found.append(Token(word if word in KEYWORDS else kind, word, position))
        position = match.end()
    return [*found, Token("end", "", len(text))]


def _refuse_hidden(text: str) -> None:
    for position, character in enumerate(text):
        if character not in _LAYOUT and unicodedata.category(character) in _HIDDEN:
            problem = f"{_shown(character)} is a character that nobody sees; leave it out"
            raise QueryError(problem, position=position, query=text)


def _shown(character: str) -> str:
    if character.isascii() and character.isprintable():
        return repr(character)
    # By number and name, since it may look like a letter that it is not.
    code, name = f"U+{ord(character):04X}", unicodedata.name(character, "")
    shown = f"{character!r} " if character.isprintable() else ""
    return f"{shown}({code} {name})" if name else f"{shown}({code})"


def _remedy(character: str) -> str:
    if character.isalnum() and not character.isascii():
        return "names and numbers are written in a to z and 0 to 9, texts in quotes"
    return _MISTAKES.get(character, "texts stand in quotes")


class WrongValue(ValueError):
    """A literal that says nothing beside its field; the message says what is allowed."""


def value(token: Token, name: Name, known: Field, *, new: bool) -> Scalar:
    """The token as a value of the field that it is compared with; `new`: of a query just written. Raises WrongValue."""
    match name.kind, token.kind:
        case Kind.TEXT, "text":
            return unquoted(token)
        case Kind.WORD, "text":
            return _word(token, name, known, new=new)
        case Kind.BOOL, "true" | "false":
            return token.kind == "true"
        case Kind.NUMBER, "number" if _NUMBER.fullmatch(token.text):
            return float(token.text) if "." in token.text else int(token.text)
        case Kind.SIZE | Kind.DURATION | Kind.CPU, "number":
            return _quantity(token, name)
    if name.kind is Kind.NUMBER and _TOO_LONG.fullmatch(token.text):
        raise WrongValue(f"{name}: a number has at most 30 digits, and 30 after the point")
    raise WrongValue(f"{name} is {name.kind.value}, not {token.text}")


def unquoted(token: Token) -> str:
    """What stands between a text's quotes. Raises WrongValue."""
    inner = token.text[1:-1]
    if re.search(r"\\[^\"'\\]", inner.replace("\\\\", "")):
        raise WrongValue("a backslash stands before a quote or a backslash only")
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)


def _quantity(token: Token, name: Name) -> int:
    # A forgotten unit would hold of every device, and the job would end in one that is too small.
    if name.kind is Kind.SIZE and _BARE_SIZE.fullmatch(token.text):
        raise WrongValue(f"{name} is a size: write its unit, e.g. {token.text}GiB or {token.text}B")
    try:
        return _READERS[name.kind](token.text)
    except units.UnitError as error:
        raise WrongValue(f"{name}: {error}") from None


def _word(token: Token, name: Name, known: Field, *, new: bool) -> str:
    word = unquoted(token).lower()
    word = known.normal(word) if known.normal else word
    words = known.words or (known.usual if new else ())
    if words and word not in words:
        near = nearest(word, words, likeness=_ONE_LETTER if known.others else 0.6)
        if known.others and near is None:
            return word
        remedy = f'did you mean "{near}"?' if near else f"it is one of {', '.join(words)}"
        raise WrongValue(f"{name} is never {token.text}; {remedy}")
    return word
