# SPDX-License-Identifier: Apache-2.0
"""What is asked of a list: conditions on its columns, and an order. Texts still, until a column says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Exact:
    """`key=value`: equal to it."""

    text: str


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """`key=~value`: has it somewhere, in any case of ASCII letters."""

    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """`key=[low~high]`: between both, which belong to it; None is no bound."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`key={a b}`: equal to one of them."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """`key=(a b)`: has all of them, where a column holds several things."""

    texts: tuple[str, ...]


Condition = Exact | Fuzzy | Range | AnyOf | AllOf


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an order."""

    key: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items of a list are wanted, and in which order; keys that the list doesn't know are ignored."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    order: tuple[Order, ...] = ()

    def also(self, **conditions: Condition | None) -> Wanted:
        """With conditions on other keys; those that are None or on a key that has one already are left out."""
        added = {key: condition for key, condition in conditions.items() if condition is not None}
        return Wanted({**added, **self.conditions}, self.order)


EVERYTHING = Wanted()
"""No condition, in the order of the list itself."""


class Place(int):
    """An offset that goes along with who reads a whole list: it learns where the last read ended.

    Whatever is added or removed meanwhile, no item that stays is shown twice or left out.

    Attributes:
        total: How many items the list had at the first read.
        behind: What the last item that was read is sorted by.
    """

    total: int | None
    behind: tuple[Any, ...] | None

    def __new__(cls, offset: int = 0, before: Place | None = None) -> Self:
        """The offset; `before` is the place that has been at the items before it."""
        made = super().__new__(cls, offset)
        made.total = None if before is None else before.total
        made.behind = None if before is None else before.behind
        return made
