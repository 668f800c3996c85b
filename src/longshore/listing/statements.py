# SPDX-License-Identifier: Apache-2.0
"""The SQL of lists: one statement for a page, whichever page it is, and one for how many items there are.

A page begins where another one ended a moment ago, if that is known: behind the keys of its last item. Otherwise what comes
before it is skipped among the keys alone, which an index has, from whichever end is nearer. Only the rows of the page are
read. A search that the index doesn't answer is a scan: it waits for itself only, and not for long.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from longshore.database.bookmarks import Keys
from longshore.database.connection import Connection, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Filterable
from longshore.listing.models import EVERYTHING, AnyOf, Exact, Order, Place, Wanted

_SHAPES: Final = 256
# Skipping more than this among the keys takes milliseconds, which on SQLite everybody would wait for.
_FAR: Final = 20_000
_FROM_PAGE: Final = re.compile(r"\bFROM\s+page\b")

Sorting = tuple[tuple[str, bool], ...]
"""Expressions to sort by, each with whether it falls; the last one tells all items apart."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How to come to a page: so many items skipped, behind some keys or from one of the ends."""

    skipped: int
    behind: Keys | None = None
    backward: bool = False


class List:
    """One list of the product.

    Args:
        source: The tables that conditions and order look at, such as `labels l`.
        scope: What holds for all of the list's items, with parameters of its own.
        key: The column that tells items apart, such as `l.id`; also the last key of every order.
        columns: What it can be filtered and sorted by.
        order: Its own order, as in `sort`: `-push_time,name`.
        rows: The statement for the rows of a page: `SELECT … FROM page JOIN labels l ON l.id = page.id …`, with the names
            of `source`.
        total: The statement for the maintained number of items of the scope; None counts them by the scope.
    """

    def __init__(
        self,
        *,
        source: str,
        scope: str,
        key: str,
        columns: Mapping[str, Filterable],
        order: str,
        rows: str,
        total: str | None = None,
    ) -> None:
        self._source = source
        self._scope = scope
        self._key = key
        self._columns = columns
        self._order = parse_order(order)
        self._rows = rows
        self._from = _place_of_from(rows)
        self._own = self._sorted(EVERYTHING)
        self._total = None if total is None else Statement(total)
        # People may ask for any combination: what they asked for last is compiled still.
        self._page = lru_cache(_SHAPES)(self._compile_page)
        self._count = lru_cache(_SHAPES)(self._compile_count)

    async def page(
        self, connection: Connection, wanted: Wanted, *, offset: int, limit: int, **parameters: Any
    ) -> tuple[list[Row], int]:
        """The rows behind the first `offset`, at most `limit`, and how many there are in all.

        Args:
            connection: To read with.
            wanted: Conditions and order.
            offset: How many come before the page. A `Place` is moved to the end of the page.
            limit: The length of the page.
            parameters: Those of `scope`, `rows` and `total`.

        Raises:
            BadRequest: a condition doesn't fit its column.
            SearchTooSlow: the search took too long.
        """
        conditions, values = self._conditions(wanted)
        known, order, scans = {**parameters, **values}, self._sorted(wanted), self._scans(wanted)
        place = offset if isinstance(offset, Place) else None
        if place is not None and place.total is not None:
            total = place.total
        else:
            total = await self._measure(connection, conditions, known, scans=scans)
        # Behind a place there may be more than there was at the first read.
        goes_on = place is not None and place.behind is not None
        if limit <= 0 or (offset >= total and not goes_on):
            return [], total
        length = limit if goes_on else min(limit, total - offset)
        name = (self, conditions, order, _frozen(known))
        way = self._way(connection, name, offset, total, length)
        statement = self._page(conditions, order, way.backward, way.behind is not None)
        run = connection.scan if scans or way.skipped > _FAR else connection.all
        behind = {f"behind_{number}": key for number, key in enumerate(way.behind or ())}
        rows = await run(statement, skipped=way.skipped, length=length, **known, **behind)
        if self._from is not None and rows:
            end: Keys = tuple(rows[-1][f"page_key_{number}"] for number in range(len(order)))
            if place is not None:
                place.total, place.behind = total, end
            elif len(rows) == length and connection.bookmarks is not None:
                connection.bookmarks.put(name, total, offset + length, end)
        return rows, total

    async def total(self, connection: Connection, wanted: Wanted, **parameters: Any) -> int:
        """How many items there are.

        Raises:
            BadRequest: a condition doesn't fit its column.
            SearchTooSlow: the search took too long.
        """
        conditions, values = self._conditions(wanted)
        return await self._measure(connection, conditions, {**parameters, **values}, scans=self._scans(wanted))

    def statements(self, wanted: Wanted, *, behind: bool = False) -> tuple[Statement, Statement, dict[str, Any]]:
        """The statements for a page and for the number of items, and the values of the conditions: for tests of plans.

        With `behind` the page begins behind keys, whose values are the caller's: `behind_0` and so on.

        Raises:
            BadRequest: a condition doesn't fit its column.
        """
        conditions, values = self._conditions(wanted)
        page = self._page(conditions, self._sorted(wanted), False, behind)
        return page, self._counting(conditions), {"skipped": 0, "length": 10, **values}

    @property
    def continues(self) -> bool:
        """Whether a page can begin behind the keys of another one's last item."""
        return self._from is not None

    def _way(self, connection: Connection, name: Hashable, offset: int, total: int, length: int) -> _Way:
        if isinstance(offset, Place) and offset.behind is not None:
            return _Way(0, offset.behind)
        end = total - offset - length
        nearest = _Way(end, backward=True) if end < offset else _Way(int(offset))
        bookmark = None
        if nearest.skipped and connection.bookmarks is not None:
            bookmark = connection.bookmarks.nearest(name, total, offset)
        if bookmark is not None and offset - bookmark[0] < nearest.skipped:
            return _Way(offset - bookmark[0], bookmark[1])
        return nearest

    def _scans(self, wanted: Wanted) -> bool:
        """Whether rows are passed over that no index leads to."""
        conditions = [(condition, self._columns.get(key)) for key, condition in wanted.conditions.items()]
        known = [(condition, column) for condition, column in conditions if column is not None]
        if any(column.unique and isinstance(condition, Exact | AnyOf) for condition, column in known):
            return False
        order = self._sorted(wanted)
        return bool(known) or order not in {self._own, tuple((sql, not falls) for sql, falls in self._own)}

    async def _measure(
        self, connection: Connection, conditions: tuple[str, ...], parameters: dict[str, Any], *, scans: bool
    ) -> int:
        statement = self._counting(conditions)
        if scans and conditions:
            rows = await connection.scan(statement, **parameters)
            return rows[0][0] if rows else 0
        total: int | None = await connection.value(statement, **parameters)
        return total or 0

    def _counting(self, conditions: tuple[str, ...]) -> Statement:
        return self._total if self._total is not None and not conditions else self._count(conditions)

    def _conditions(self, wanted: Wanted) -> tuple[tuple[str, ...], dict[str, Any]]:
        texts: list[str] = []
        values: dict[str, Any] = {}
        for key, condition in sorted(wanted.conditions.items()):
            column = self._columns.get(key)
            if column is not None:
                text, more = column.where(key, condition, f"q_{key}")
                texts.append(text)
                values.update(more)
        return tuple(texts), values

    def _sorted(self, wanted: Wanted) -> Sorting:
        chosen: list[tuple[str, bool]] = []
        for order, column in self._known(wanted.order) or self._known(self._order):
            chosen.append((column.sortable or self._key, order.descending))
            if column.unique:
                return tuple(chosen)
        return (*chosen, (self._key, chosen[-1][1] if chosen else False))

    def _known(self, orders: tuple[Order, ...]) -> list[tuple[Order, Filterable]]:
        found = [(order, self._columns[order.key]) for order in orders if order.key in self._columns]
        return [(order, column) for order, column in found if column.sortable is not None]

    def _compile_page(self, conditions: tuple[str, ...], order: Sorting, backward: bool, behind: bool) -> Statement:
        inner = ", ".join(f"{sql} {'DESC' if falls is not backward else 'ASC'}" for sql, falls in order)
        outer = ", ".join(f"{sql} {'DESC' if falls else 'ASC'}" for sql, falls in order)
        keys = "".join(f", {sql} AS page_key_{number}" for number, (sql, _) in enumerate(order))
        rows = self._rows
        if self._from is not None:
            shown = "".join(f", page.page_key_{number}" for number in range(len(order)))
            rows = f"{rows[: self._from]}{shown} {rows[self._from :]}"
        where = self._where((*conditions, _behind(order)) if behind else conditions)
        return Statement(
            f"WITH page AS (SELECT {self._key} AS id{keys} FROM {self._source} WHERE {where}"
            f" ORDER BY {inner} LIMIT :length OFFSET :skipped) {rows} ORDER BY {outer}"
        )

    def _compile_count(self, conditions: tuple[str, ...]) -> Statement:
        return Statement(f"SELECT count(*) FROM {self._source} WHERE {self._where(conditions)}")

    def _where(self, conditions: tuple[str, ...]) -> str:
        return " AND ".join(f"({text})" for text in (self._scope, *conditions))


def parse_order(text: str) -> tuple[Order, ...]:
    """An order as lists write their own: keys separated by commas, `-` before those that go down."""
    return tuple(Order(part.removeprefix("-"), part.startswith("-")) for part in text.split(",") if part)


def _place_of_from(rows: str) -> int | None:
    """Where the statement's own `FROM page` begins; None if further columns can't be put before it."""
    if re.search(r"\bGROUP\s+BY\b|\bSELECT\s+DISTINCT\b|\bUNION\b", rows):
        return None
    places = [found.start() for found in _FROM_PAGE.finditer(rows)]
    outermost = [place for place in places if rows.count("(", 0, place) == rows.count(")", 0, place)]
    return outermost[0] if len(outermost) == 1 else None


def _behind(order: Sorting) -> str:
    """The condition that an item comes behind the keys `behind_0`, `behind_1` … of another one."""
    if len({falls for _, falls in order}) == 1:
        sign = "<" if order[0][1] else ">"
        names = ", ".join(f":behind_{number}" for number in range(len(order)))
        return (
            f"({', '.join(sql for sql, _ in order)}) {sign} ({names})"
            if len(order) > 1
            else f"{order[0][0]} {sign} {names}"
        )
    text = ""
    for number, (sql, falls) in reversed(list(enumerate(order))):
        further = f"{sql} {'<' if falls else '>'} :behind_{number}"
        text = f"({further} OR ({sql} = :behind_{number} AND {text}))" if text else further
    first, falls = order[0]
    # What an index can begin with.
    return f"{first} {'<=' if falls else '>='} :behind_0 AND {text}"


def _frozen(parameters: Mapping[str, Any]) -> Hashable:
    return tuple(
        (name, tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value)
        for name, value in sorted(parameters.items())
    )
