# SPDX-License-Identifier: Apache-2.0
"""A table of things, and lists of them: with every kind of column, and with an order whose keys go both ways."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Kind
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List

Thing = tuple[int, int, str, int, bool, int]
"""Number, parent, name, size, whether it is public, when it was made."""

_CREATE = Statement(
    "CREATE TABLE things (id BIGINT PRIMARY KEY, parent BIGINT NOT NULL, name TEXT NOT NULL, size BIGINT NOT NULL,"
    " public BOOLEAN NOT NULL, made_at BIGINT NOT NULL)"
)
_INDEX = Statement("CREATE UNIQUE INDEX ix_things ON things (parent, name)")
_ADD = Statement("INSERT INTO things VALUES (:id, :parent, :name, :size, :public, :made_at)")
_REMOVE = Statement("DELETE FROM things WHERE id = :id")

THINGS = List(
    source="things t",
    scope="t.parent = :parent",
    key="t.id",
    columns={
        "id": Column("t.id", Kind.NUMBER, unique=True),
        "name": Column("t.name", unique=True),
        "size": Column("t.size", Kind.NUMBER),
        "public": Column("t.public", Kind.FLAG),
        "made": Column("t.made_at", Kind.TIME),
        "secret": Column("t.size", Kind.NUMBER, sorts=False),
    },
    order="name",
    rows="SELECT t.id, t.parent, t.name, t.size, t.public, t.made_at FROM page JOIN things t ON t.id = page.id",
)
FIELDS = {"id": 0, "name": 2, "size": 3, "public": 4, "made": 5}


async def fill(database: Database, things: Iterable[Thing]) -> None:
    """Makes the table with these things."""

    async def run(transaction: Transaction) -> None:
        await transaction.execute(_CREATE)
        await transaction.execute(_INDEX)
        for each in things:
            names = ("id", "parent", "name", "size", "public", "made_at")
            await transaction.execute(_ADD, **dict(zip(names, each, strict=True)))

    await database.write(run)


async def add(database: Database, thing: Thing) -> None:
    """One more."""
    names = ("id", "parent", "name", "size", "public", "made_at")
    await database.write(lambda transaction: transaction.execute(_ADD, **dict(zip(names, thing, strict=True))))


async def remove(database: Database, number: int) -> None:
    """One fewer."""
    await database.write(lambda transaction: transaction.execute(_REMOVE, id=number))


async def page(
    database: Database, offset: int, limit: int, wanted: Wanted = EVERYTHING, things: List = THINGS, **parameters: Any
) -> tuple[list[int], int]:
    """The numbers of the things of a page of parent 1, and the total."""
    parameters = parameters or {"parent": 1}

    async def read(connection: Connection) -> tuple[list[Row], int]:
        return await things.page(connection, wanted, offset=offset, limit=limit, **parameters)

    rows, total = await database.read(read)
    return [row["id"] for row in rows], total
