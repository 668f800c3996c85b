# SPDX-License-Identifier: Apache-2.0
"""What a list can be filtered and sorted by: each key with the SQL that it stands for and what its texts mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final, Protocol

from longshore.listing.models import AllOf, AnyOf, Condition, Exact, Fuzzy, Range
from longshore.oci.errors import BadRequest

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_LARGEST: Final = 2**63 - 1
_TRUE: Final = frozenset({"true", "1", "t", "yes"})
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_FALSE: Final = frozenset({"false", "0", "f", "no"})

Where = tuple[str, dict[str, Any]]
"""A condition in SQL, and the values of its parameters."""


class Kind(Enum):
    """What the texts of a condition on a column mean."""

    TEXT = "a text"
    NUMBER = "an integer"
    TIME = "a time like 2006-01-02T15:04:05"
    FLAG = "true or false"


class Filterable(Protocol):
    """What a key of a list stands for."""

    @property
    def sortable(self) -> str | None:
        """The SQL to sort by; None when the list can't be sorted by this."""
        ...

    @property
    def unique(self) -> bool:
        """Whether no two items of a list have the same."""
        ...

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL. Parameters are called `name`, or begin with it.

        Raises:
            BadRequest: the condition isn't of a form that this understands, or its text isn't what it has to be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or an expression over the list's source that is never NULL when `sorts`.

    Attributes:
        sql: The expression.
        kind: What texts are compared with it.
        sorts: Whether the list may be sorted by it.
        sorting: The expression to sort by, where an index has another one in the same order.
        unique: Whether no two items of a list have the same: an order by it needs no further key.
        reading: Turns a text into what the database holds, where that isn't the text itself (roles by number, say).
    """

    sql: str
    kind: Kind = Kind.TEXT
    sorts: bool = True
    sorting: str | None = None
    unique: bool = False
    reading: Callable[[str], str] | None = field(default=None)

    @property
    def sortable(self) -> str | None:
        """The SQL to sort by; None when the list can't be sorted by this."""
        return (self.sorting or self.sql) if self.sorts else None

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL.

        Raises:
            BadRequest: the condition has a form or a text that this column can't have.
        """
        match condition:
            case Exact(text):
                return f"{self.sql} = :{name}", {name: self._value(key, text)}
            case Fuzzy(text):
                if self.kind is not Kind.TEXT:
                    raise BadRequest(f"q: {key} is {self.kind.value}, so =~ doesn't work on it. Use {key}=value.")
                return f"lower(({self.sql}) COLLATE \"C\") LIKE :{name} ESCAPE '!'", {name: like(text)}
            case Range(low, high):
                return self._between(key, low, high, name)
            case AnyOf(texts):
                return f"{self.sql} = ANY(:{name})", {name: [self._value(key, text) for text in texts]}
            case AllOf(_):
                raise BadRequest(
                    f"q: {key} has one value, so it can't have all of a list. Use {key}={{a b}} for any of it."
                )

    def _between(self, key: str, low: str | None, high: str | None, name: str) -> Where:
        if self.kind is Kind.FLAG:
            raise BadRequest(f"q: {key} is {self.kind.value}, so it has no ranges. Use {key}=true.")
        parts, values = [], {}
        for suffix, sign, text in (("_low", ">=", low), ("_high", "<=", high)):
            if text is not None:
                parts.append(f"{self.sql} {sign} :{name}{suffix}")
                values[name + suffix] = self._value(key, text)
        return " AND ".join(parts) or "1 = 1", values

    def _value(self, key: str, text: str) -> Any:
        return self.reading(text) if self.reading is not None else parse_value(key, text, self.kind)


def parse_value(key: str, text: str, kind: Kind) -> str | int | bool:
    """What a text means: itself, a number, microseconds since 1970, or true or false.

    Raises:
        BadRequest: it isn't of that kind.
    """
    if kind is Kind.TEXT:
        return text
    if kind is Kind.NUMBER and _INTEGER.fullmatch(text) and -_LARGEST <= int(text) <= _LARGEST:
        return int(text)
    if kind is Kind.FLAG and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if kind is Kind.TIME:
        moment = _moment(text)
        if moment is not None:
            return moment
    raise BadRequest(f"q: {key} has to be {kind.value}, not {text[:100]!a}.")


def like(part: str) -> str:
    """The pattern for `LIKE … ESCAPE '!'` that finds a part of a text in lower case.

    Of ASCII letters only: other letters are found as they are written, which both databases do alike whatever their locale.
    """
    escaped = part.translate(_LOWER).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def _moment(text: str) -> int | None:
    if _INTEGER.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
