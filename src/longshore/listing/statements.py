# SPDX-License-Identifier: Apache-2.0
"""The SQL of lists: one statement for a page, whichever page it is, and one for how many items there are.

What comes before a page is skipped among the keys alone, which an index has; only the rows of the page are read. A page
behind the middle is counted from the end, so that the last page costs what the first does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from longshore.database.connection import Connection, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Filterable
from longshore.listing.models import Order, Wanted

_SHAPES: Final = 256


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
            offset: How many come before the page.
            limit: The length of the page.
            parameters: Those of `scope`, `rows` and `total`.

        Raises:
            BadRequest: a condition doesn't fit its column.
        """
        conditions, values = self._conditions(wanted)
        known = {**parameters, **values}
        total = await self._measure(connection, conditions, known)
        if offset >= total or limit <= 0:
            return [], total
        order = self._sorted(wanted)
        length = min(limit, total - offset)
        backward = offset > total - offset - length
        skipped = total - offset - length if backward else offset
        statement = self._page(conditions, order, backward)
        return await connection.all(statement, skipped=skipped, length=length, **known), total

    async def total(self, connection: Connection, wanted: Wanted, **parameters: Any) -> int:
        """How many items there are.

        Raises:
            BadRequest: a condition doesn't fit its column.
        """
        conditions, values = self._conditions(wanted)
        return await self._measure(connection, conditions, {**parameters, **values})

    def statements(self, wanted: Wanted) -> tuple[Statement, Statement, dict[str, Any]]:
        """The statements for a page and for the number of items, and the values of the conditions: for tests of plans.

        Raises:
            BadRequest: a condition doesn't fit its column.
        """
        conditions, values = self._conditions(wanted)
        page = self._page(conditions, self._sorted(wanted), False)
        return page, self._counting(conditions), {"skipped": 0, "length": 10, **values}

    async def _measure(self, connection: Connection, conditions: tuple[str, ...], parameters: dict[str, Any]) -> int:
        total: int | None = await connection.value(self._counting(conditions), **parameters)
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

    def _sorted(self, wanted: Wanted) -> tuple[tuple[str, bool], ...]:
        chosen: list[tuple[str, bool]] = []
        for order, column in self._known(wanted.order) or self._known(self._order):
            chosen.append((column.sortable or self._key, order.descending))
            if column.unique:
                return tuple(chosen)
        return (*chosen, (self._key, chosen[-1][1] if chosen else False))

    def _known(self, orders: tuple[Order, ...]) -> list[tuple[Order, Filterable]]:
        found = [(order, self._columns[order.key]) for order in orders if order.key in self._columns]
        return [(order, column) for order, column in found if column.sortable is not None]

    def _compile_page(
        self, conditions: tuple[str, ...], order: tuple[tuple[str, bool], ...], backward: bool
    ) -> Statement:
        inner = ", ".join(f"{sql} {'DESC' if descending is not backward else 'ASC'}" for sql, descending in order)
        outer = ", ".join(f"{sql} {'DESC' if descending else 'ASC'}" for sql, descending in order)
        return Statement(
            f"WITH page AS (SELECT {self._key} AS id FROM {self._source} WHERE {self._where(conditions)}"
            f" ORDER BY {inner} LIMIT :length OFFSET :skipped) {self._rows} ORDER BY {outer}"
        )

    def _compile_count(self, conditions: tuple[str, ...]) -> Statement:
        return Statement(f"SELECT count(*) FROM {self._source} WHERE {self._where(conditions)}")

    def _where(self, conditions: tuple[str, ...]) -> str:
        return " AND ".join(f"({text})" for text in (self._scope, *conditions))


def parse_order(text: str) -> tuple[Order, ...]:
    """An order as lists write their own: keys separated by commas, `-` before those that go down."""
    return tuple(Order(part.removeprefix("-"), part.startswith("-")) for part in text.split(",") if part)
