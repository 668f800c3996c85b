# SPDX-License-Identifier: Apache-2.0
"""The query parameters `q` and `sort`, and parameters that are true or false.

`q` is a list of conditions, separated by commas: `name=x`, `name=~x`, `pushed=[2026-01-01T00:00:00~]`, `name={a b}`,
`labels=(1 2)`. A backslash in front of a value takes it literally.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus

from longshore.edge.request import Request
from longshore.listing.models import AllOf, AnyOf, Condition, Exact, Fuzzy, Order, Range, Wanted
from longshore.oci.errors import BadRequest

_TRUE: Final = frozenset({"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"})
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FORM: Final = "Write key=value, key=~part, key=[low~high], key={a b} or key=(a b), separated by commas."
_ESCAPES: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_wanted(request: Request) -> Wanted:
    """What a list is asked for by `q` and `sort`. Keys are told apart in snake case: `ProjectID` is `project_id`.

    Raises:
        BadRequest: one of them doesn't parse; the message says which part, and how to write it.
    """
    return Wanted(parse_q(request), parse_sort(request))


def parse_q(request: Request) -> dict[str, Condition]:
    """The conditions of `q`.

    Raises:
        BadRequest: it doesn't parse.
    """
    text = _unescaped(request.parameter("q") or "")
    if "\0" in text:
        raise BadRequest("The query string q has the character U+0000.")
    conditions: dict[str, Condition] = {}
    for part in text.split(",") if text else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value:
            raise BadRequest(f"q: {part[:100]!a} isn't a condition. {_FORM}")
        conditions[snake(key.strip())] = _condition(part, value)
    return conditions


def parse_sort(request: Request) -> tuple[Order, ...]:
    """The order that `sort` asks for.

    Raises:
        BadRequest: a key is missing.
    """
    orders = []
    text = (request.parameter("sort") or "").strip()
    for part in text.split(",") if text else ():
        key = part.strip()
        name = snake(key.removeprefix("-").strip())
        if not name:
            raise BadRequest(f"sort: {text[:100]!a} lacks a key. Write sort=key,-key: with - for falling.")
        orders.append(Order(name, key.startswith("-")))
    return tuple(orders)


def snake(key: str) -> str:
    """A key in snake case: `ProjectID` and `project_id` are the same."""
    return _HUMP.sub("_", key).lower()


def is_true(value: str) -> bool:
    """Whether a parameter or header says true, in one of the many words that Harbor takes for it."""
    return value.lower() in _TRUE


def parse_flag(request: Request, name: str) -> bool | None:
    """A parameter that is true or false; None when it is absent or empty."""
    value = request.parameter(name)
    return is_true(value) if value else None


def _unescaped(text: str) -> str:
    # Clients escape the whole of it once more than HTTP does; what isn't escaped properly is taken as it is.
    return text if _ESCAPES.search(text) else unquote_plus(text, errors="replace")


def _condition(part: str, value: str) -> Condition:
    first, last = value[0], value[-1]
    if first == "~":
        return Fuzzy(value[1:])
    if first == "[":
        low, tilde, high = value[1:-1].partition("~")
        if last != "]" or not tilde or len(value) < 3:
            raise BadRequest(f"q: {part[:100]!a} isn't a range like key=[low~high], where one side may be empty.")
        return Range(_unquoted(low.strip()) or None, _unquoted(high.strip()) or None)
    if first in "{(":
        if last != ("}" if first == "{" else ")") or len(value) < 2:
            raise BadRequest(f"q: {part[:100]!a} isn't a list like key={{a b}} or key=(a b).")
        texts = tuple(_unquoted(word) for word in value[1:-1].split())
        return AnyOf(texts) if first == "{" else AllOf(texts)
    return Exact(value.removeprefix("\\"))


def _unquoted(text: str) -> str:
    return text.strip("\"'") if text[:1] in "\"'" else text
