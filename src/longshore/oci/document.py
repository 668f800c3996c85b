# SPDX-License-Identifier: Apache-2.0
"""JSON from strangers, and members of it with the path that names them in a message.

A manifest's bytes outlive the registry and are read by many other programs, so what two parsers could understand
differently is refused: duplicate keys, keys that differ from known ones in case only, NaN, numbers beyond 64 bits, lone
surrogates. Work is bounded before the parser starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final, NoReturn

from longshore.oci.errors import ManifestInvalid

_DEEPEST: Final = 64
_MOST_VALUES: Final = 200_000
_LONGEST_NUMBER: Final = 32
_LARGEST_INTEGER: Final = 2**63 - 1

_STRING: Final = re.compile(rb'"[^"]*"')
_SURROGATE_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKETS: Final = b"[]{}"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_OPENING: Final = frozenset(b"[{")


@cache
def _folded(known: frozenset[str]) -> dict[str, str]:
    """The known members by what a program that ignores case takes them for."""
    return {name.casefold(): name for name in known}


@dataclass(frozen=True, slots=True)
class Element:
    """One value of a document with its path, whose methods read members of it by the type they must have.

    A member that is null counts as absent: that is how Go programs write a list or map with nothing in it.
    """

    value: object
    path: str = ""

    def fail(self, complaint: str) -> NoReturn:
        """Refuses the document because of this element.

        Raises:
            ManifestInvalid: Always.
        """
        where = f"{self.path}:" if self.path else "The manifest"
        raise ManifestInvalid(f"{where} {complaint}", detail={"path": self.path})

    def members(self) -> Mapping[str, object]:
        """This element as an object."""
        if not isinstance(self.value, dict):
            self.fail(f"must be an object, not {_kind(self.value)}.")
        return self.value

    def member(self, name: str) -> Element | None:
        """A member of this object; None where it is absent."""
        value = self.members().get(name)
        return None if value is None else Element(value, f"{self.path}.{name}" if self.path else name)

    def required(self, name: str) -> Element:
        """A member of this object that must be there."""
        found = self.member(name)
        if found is None:
            Element(None, f"{self.path}.{name}" if self.path else name).fail("is missing.")
        return found

    def check_spelling(self, known: frozenset[str]) -> None:
        """Refuses members that programs in Go, which ignore case, take for known ones and that we would overlook.

        Raises:
            ManifestInvalid: There is such a member.
        """
        folded = _folded(known)
        for name in self.members().keys() - known:
            right = folded.get(name.casefold())
            if right is not None:
                self.fail(f"has the member {_shown(name)}: it is spelled {right}.")

    def items(self) -> Iterator[Element]:
        """The items of this array."""
        if not isinstance(self.value, list):
            self.fail(f"must be an array, not {_kind(self.value)}.")
        return (Element(item, f"{self.path}[{position}]") for position, item in enumerate(self.value))

    def text(self) -> str:
        """This element as a string."""
        if not isinstance(self.value, str):
            self.fail(f"must be a string, not {_kind(self.value)}.")
        return self.value

    def integer(self) -> int:
        """This element as an integer; true, 1.0 and 1e3 are none."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.fail(f"must be an integer, not {_kind(self.value)}.")
        return self.value

    def texts(self) -> dict[str, str]:
        """This object as a map from strings to strings."""
        members = self.members()
        for name, value in members.items():
            if not isinstance(value, str):
                self.fail(f"the value of {_shown(name)} must be a string, not {_kind(value)}.")
        return {name: value for name, value in members.items() if isinstance(value, str)}


def parse_document(payload: bytes) -> Element:
    """The JSON object that the payload is.

    The payload must be UTF-8 and free of duplicate keys, NaN and Infinity, numbers beyond 64 bits, lone surrogates and
    U+0000; nested at most 64 deep; and have at most 500,000 values.

    Raises:
        ManifestInvalid: The payload breaks one of these rules or the grammar of JSON.
    """
    _check_shape(payload)
    try:
        value = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"The manifest isn't UTF-8: byte {error.start} can't be read.") from None
    except json.JSONDecodeError as error:
        raise ManifestInvalid(f"The manifest isn't JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ManifestInvalid(f"The manifest must be a JSON object, not {_kind(value)}.")
    return Element(value)


def _check_shape(payload: bytes) -> None:
    # What counts is the text outside of strings. Every step is a single pass in C, so that a hostile document costs no
    # more than an honest one: escaped backslashes go first, then escaped quotes, and what is then between two quotes is
    # a string. Where the payload isn't JSON the outline may be wrong, but only behind the point where the parser stops.
    plain = payload.replace(rb"\\", b"")
    if rb"\u0000" in plain:
        raise ManifestInvalid("The manifest has the character U+0000 (\\u0000) in a string: take it out.")
    if _SURROGATE.search(plain) and _SURROGATE.search(_SURROGATE_PAIR.sub(b"", plain)):
        raise ManifestInvalid("The manifest has half of a surrogate pair (\\ud800 to \\udfff) in a string.")
    outline = _STRING.sub(b"", plain.replace(rb"\"", b""))
    values = outline.count(b",") + outline.count(b"[") + outline.count(b"{")
    if values > _MOST_VALUES:
        raise ManifestInvalid(f"The manifest has {values:,} values: {_MOST_VALUES:,} are the most.")
    brackets = outline.translate(None, _NO_BRACKETS)
    depth = max(accumulate(1 if bracket in _OPENING else -1 for bracket in brackets), default=0)
    if depth > _DEEPEST:
        raise ManifestInvalid(f"The manifest nests arrays and objects {depth:,} deep: {_DEEPEST} is the most.")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _value in pairs:
            if name in seen:
                raise ManifestInvalid(f"The manifest has the key {_shown(name)} twice in one object: keep one of them.")
            seen.add(name)
    return members


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER or abs(number := int(text)) > _LARGEST_INTEGER:
        raise ManifestInvalid(f"The manifest has the number {_shown(text)}: it doesn't fit into 64 bits.")
    return number


def _float(text: str) -> float:
    if len(text) > _LONGEST_NUMBER or abs(number := float(text)) == float("inf"):
        raise ManifestInvalid(f"The manifest has the number {_shown(text)}: it is too long or too large.")
    return number


def _constant(text: str) -> NoReturn:
    raise ManifestInvalid(f"The manifest has {text}, which isn't JSON.")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 100 else f"{name[:100]}…")
