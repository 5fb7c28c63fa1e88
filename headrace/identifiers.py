"""Compute identifiers as texts: docs/identifiers.md is their description.

    headrace:example/east/acme/n-4k2p7q3x/gpu-5m3c2a7d

A scheme, then labels from the authority down to a node and one of its devices. Whoever has a prefix gives out what is
under it. Pure.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from headrace.refusals import Code, Refusal

TEXT_MAX = 400
# Authority, zone (a region or an industry), owner, node; and a device.
NODE_LABELS, DEVICE_LABELS = 4, 5

_SCHEME = re.compile(r"[a-z][a-z0-9.+-]{0,31}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_HASH_LETTERS = 16


@dataclass(frozen=True, slots=True)
class Identifier:
    """A place in the tree of names: an authority's, a zone's, an owner's, a node's or a device's."""

    scheme: str
    labels: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.scheme}:{'/'.join(self.labels)}"

    @property
    def node(self) -> "Identifier":
        """That of the node, where it is a device's."""
        return Identifier(self.scheme, self.labels[:NODE_LABELS])

    @property
    def authority(self) -> "Identifier":
        """The first label alone."""
        return Identifier(self.scheme, self.labels[:1])

    def is_under(self, prefix: "Identifier") -> bool:
        """Whether the prefix's holder gives it out: whole labels, so that "acme2" is not under "acme"."""
        return self.scheme == prefix.scheme and self.labels[: len(prefix.labels)] == prefix.labels

    def joined(self, label: str) -> "Identifier":
        """One label further down."""
        return parse_prefix(f"{self}/{label}")


def parse(text: str) -> Identifier:
    """A node's or a device's. Refusal: IDENTIFIER_INVALID."""
    found = parse_prefix(text)
    if len(found.labels) not in (NODE_LABELS, DEVICE_LABELS):
        parts = "authority/zone/owner/node, and /device for one of its devices"
        raise _invalid(text, f"has {len(found.labels)} labels; write {found.scheme}:{parts}")
    return found


def parse_prefix(text: str) -> Identifier:
    """Any place in the tree, from an authority down to a device. Refusal: IDENTIFIER_INVALID."""
    if len(text) > TEXT_MAX:
        raise _invalid(text[:80] + "…", f"is longer than {TEXT_MAX} characters")
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise _invalid(text, "does not begin with a scheme; write e.g. headrace:example/east/acme/n1")
    labels = tuple(rest.split("/"))
    if len(labels) > DEVICE_LABELS:
        raise _invalid(text, f"has {len(labels)} labels; {DEVICE_LABELS} at most")
    for number, label in enumerate(labels, 1):
        if not _LABEL.fullmatch(label):
            allowed = "1 to 63 small letters, digits, '.', '_' and '-', a letter or digit first and last"
            raise _invalid(text, f"label {number}, {label[:80]!r}, is not {allowed}")
    return Identifier(scheme, labels)


def device_label(kind: str, device: str) -> str:
    """The label of a device: made of its own id, so that it stays the same wherever its node's software is new."""
    return f"{_letters(kind) or 'device'}-{hashed(device)}"


def hashed(text: str) -> str:
    """A few letters and digits that stand for a text."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:_HASH_LETTERS]


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())[:16]


def _invalid(text: str, problem: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "IDENTIFIER_INVALID", f"identifier: {text!r} {problem}")
