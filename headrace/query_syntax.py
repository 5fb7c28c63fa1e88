"""Reads a query: the grammar of docs/query.md, by recursive descent, with every error at its character."""

from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn

from headrace.query_expressions import (
    COMPARISONS,
    Always,
    Among,
    And,
    Compare,
    Contains,
    Expression,
    Holds,
    Literal,
    Name,
    Not,
    Or,
)
from headrace.query_schema import Field, Kind, QueryError, Schema
from headrace.query_tokens import Token, WrongValue, tokens, unquoted, value

MAX_CHARACTERS = 4096
MAX_DEPTH = 40

_DIRECTIONS = ("asc", "desc")

_FLIPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@lru_cache(maxsize=1024)
def parse(text: str, schema: Schema) -> Expression:
    """The expression of a query; the empty one holds always. Raises QueryError."""
    return _Parser(text, schema).query()


@lru_cache(maxsize=1024)
def parse_new(text: str, schema: Schema) -> Expression:
    """As `parse`, of what somebody writes just now: words that no agent tells are refused too. Raises QueryError.

    What was accepted before stays as it is, whatever agents knew then.
    """
    return _Parser(text, schema, new=True).query()


def parse_column(text: str, schema: Schema) -> tuple[Name, str]:
    """`FIELD`, `FIELD asc` or `FIELD desc`: the name, and the word after it or "". Raises QueryError."""
    return _Parser(text, schema).column()


class _Parser:
    """One query on its way to an expression."""

    def __init__(self, text: str, schema: Schema, *, new: bool = False) -> None:
        if len(text) > MAX_CHARACTERS:
            raise QueryError(f"a query has at most {MAX_CHARACTERS} characters", position=MAX_CHARACTERS, query=text)
        self.text = text
        self.schema, self.new = schema, new
        self.tokens = tokens(text)
        self.index = 0
        self.depth = 0

    def query(self) -> Expression:
        if self.here.kind == "end":
            return Always()
        expression = self.alternatives()
        if self.here.kind != "end":
            after = " (comparisons are joined by and, or)" if self.here.kind in ("name", "not") else ""
            self.fail(f"{self.here.text!r} is one word too many{after}")
        return expression

    def column(self) -> tuple[Name, str]:
        if self.here.kind != "name":
            self.fail("a field's name stands here, e.g. region")
        name, _ = self.field()
        direction = self.here.text
        if direction in _DIRECTIONS:
            self.next()
        if self.here.kind != "end":
            self.fail(f"{self.here.text!r} is one word too many: one field stands here, e.g. {name}")
        return name, direction

    @property
    def here(self) -> Token:
        return self.tokens[self.index]

    def fail(self, problem: str, token: Token | None = None) -> NoReturn:
        raise QueryError(problem, position=(token or self.here).position, query=self.text)

    def next(self) -> Token:
        token = self.here
        self.index += 1
        return token

    def taken(self, kind: str, text: str | None = None) -> bool:
        """Whether the next token is this; if so, goes past it."""
        found = self.here.kind == kind and text in (None, self.here.text)
        self.index += found
        return found

    def expect(self, sign: str, why: str) -> None:
        if not self.taken("sign", sign):
            self.fail(f"{sign!r} is missing: {why}")

    def alternatives(self) -> Expression:
        terms = self.joined("or", self.conjunction, Or)
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def conjunction(self) -> Expression:
        terms = self.joined("and", self.negation, And)
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def joined(self, word: str, term: Callable[[], Expression], kind: type[And] | type[Or]) -> list[Expression]:
        terms: list[Expression] = []
        while True:
            found = term()
            # Flat, so that printing, which leaves needless parentheses out, loses nothing.
            terms.extend(found.terms if isinstance(found, kind) else (found,))
            if not self.taken(word):
                return terms

    def negation(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep")
        if self.taken("not"):
            expression: Expression = Not(self.negation())
        elif self.taken("sign", "("):
            expression = self.alternatives()
            self.expect(")", "it closes the parenthesis")
        else:
            expression = self.comparison()
        self.depth -= 1
        return expression

    def comparison(self) -> Expression:
        if self.here.kind != "name":
            return self.literal_first()
        token = self.here
        left, known = self.field()
        if self.here.kind == "sign" and self.here.text in COMPARISONS:
            operator = self.next()
            self.check_order(operator, left)
            right = self.right_side(left, known)
            self.check_end(operator)
            return Compare(left, operator.text, right)
        if self.here.kind == "not" and self.tokens[self.index + 1].kind == "in":
            self.index += 2
            return Not(self.among(left, known))
        if self.taken("in"):
            return self.among(left, known)
        if left.kind is not Kind.BOOL:
            self.fail(f"{left} is {left.kind.value}; compare it, e.g. {_example(left, known)}", token)
        return Holds(left)

    def literal_first(self) -> Expression:
        """`24GiB <= free.memory`, turned round, and `"avx2" in cpu.features`."""
        literal = self.literal_token()
        negated = self.here.kind == "not" and self.tokens[self.index + 1].kind == "in"
        self.index += negated
        if self.taken("in"):
            return self.contains(literal, negated=negated)
        operator = self.here
        if operator.kind != "sign" or operator.text not in COMPARISONS:
            self.fail(f"{literal.text} has to be compared with a field", operator)
        self.next()
        if self.here.kind != "name":
            self.fail("a field's name stands here, e.g. region")
        name, known = self.field()
        self.check_order(operator, name)
        self.check_end(operator)
        return Compare(name, _FLIPPED[operator.text], self.literal(literal, name, known))

    def contains(self, literal: Token, *, negated: bool) -> Expression:
        if self.here.kind != "name":
            self.fail(f"{literal.text} in … needs a field, e.g. cpu.features")
        name, _ = self.field()
        if literal.kind != "text":
            self.fail(f'what is looked for in {name} is a text in quotes, e.g. "avx2"', literal)
        if name.kind not in (Kind.LIST, Kind.TEXT, Kind.WORD):
            self.fail(f"{name} is {name.kind.value}; it contains no texts", literal)
        expression = Contains(Literal(Kind.TEXT, self.unquoted(literal)), name)
        return Not(expression) if negated else expression

    def among(self, left: Name, known: Field) -> Expression:
        if left.kind is Kind.LIST:
            self.fail(f'{left} is {Kind.LIST.value}: write "avx2" in {left}')
        self.expect("(", f'the values stand in parentheses, e.g. {left} in ("a", "b")')
        literals = [self.literal(self.literal_token(), left, known)]
        while self.taken("sign", ","):
            literals.append(self.literal(self.literal_token(), left, known))
        self.expect(")", "it closes the list")
        return Among(left, tuple(literals))

    def check_order(self, operator: Token, name: Name) -> None:
        if name.kind is Kind.LIST:
            self.fail(f'{name} is {Kind.LIST.value}: write "avx2" in {name}', operator)
        if operator.text not in ("==", "!=") and not name.kind.ordered:
            self.fail(f"{name} has no order; compare it by == != in", operator)

    def check_end(self, operator: Token) -> None:
        if self.here.kind == "sign" and self.here.text in COMPARISONS:
            self.fail(f"{operator.text!r} compares two things; join comparisons by and")

    def right_side(self, left: Name, known: Field) -> Name | Literal:
        if self.here.kind != "name":
            return self.literal(self.literal_token(), left, known)
        token = self.here
        keyed = self.tokens[self.index + 1].text == "["
        if left.kind in (Kind.TEXT, Kind.WORD) and not keyed and self.schema.find(token.text) is None:
            self.fail(f'texts stand in quotes: write "{token.text}"', token)
        right, _ = self.field()
        if right.kind is not left.kind and not {left.kind, right.kind} <= {Kind.TEXT, Kind.WORD}:
            self.fail(f"{left} and {right} are of different kinds", token)
        return right

    def field(self) -> tuple[Name, Field]:
        token = self.next()
        name = token.text
        if self.taken("sign", "["):
            key = self.here
            if not self.taken("text"):
                self.fail(f'a text in quotes stands here, e.g. {name}["a.b"]')
            self.expect("]", "it closes the key")
            name = f"{name}.{self.unquoted(key)}"
        known = self.schema.find(name)
        if known is None:
            meant = " or ".join(self.schema.meant(name))
            remedy = f"did you mean {meant}?" if meant else "docs/query.md lists the fields"
            self.fail(f"{self.schema.noun}s have no field {name!r}; {remedy}", token)
        return Name(name, known.kind), known

    def literal_token(self) -> Token:
        token = self.here
        if token.kind not in ("text", "number", "true", "false"):
            found = repr(token.text) if token.text else "the end"
            self.fail(f"a field or a value stands here, not {found}")
        return self.next()

    def literal(self, token: Token, name: Name, known: Field) -> Literal:
        """The token as a value of the field that it is compared with."""
        try:
            return Literal(name.kind, value(token, name, known, new=self.new))
        except WrongValue as error:
            self.fail(str(error), token)

    def unquoted(self, token: Token) -> str:
        try:
            return unquoted(token)
        except WrongValue as error:
            self.fail(str(error), token)


def _example(name: Name, known: Field) -> str:
    examples = {
        Kind.LIST: f'"avx2" in {name}',
        Kind.NUMBER: f"{name} > 100",
        Kind.SIZE: f"{name} >= 24GiB",
        Kind.DURATION: f"{name} > 10m",
        Kind.CPU: f"{name} >= 2",
    }
    return examples.get(name.kind, f'{name} == "{known.words[0] if known.words else "east"}"')
