"""Refusals: an expected no, with a code, a reason for programs and a sentence for people."""

from enum import Enum


class Code(Enum):
    """The codes of google.rpc.Code that refusals use, by number."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Refusal(Exception):
    """Why something is not done. `reason` is in upper snake case; `message` says what to do instead."""

    def __init__(self, code: Code, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = metadata

    def within(self, what: str) -> "Refusal":
        """The same of a part of what was asked for: "requests[3]"."""
        return Refusal(self.code, self.reason, f"{what}: {self.message}", **self.metadata)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refusal) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((self.code, self.reason, self.message))

    def __repr__(self) -> str:
        return f"Refusal({self.code.name}, {self.reason!r}, {self.message!r})"

    def _key(self) -> tuple[Code, str, str, dict[str, str]]:
        return self.code, self.reason, self.message, self.metadata
