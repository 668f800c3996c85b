# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.paging [URL]`: what a page of a long list costs, by where it is and how one comes there.

Works on an empty database: a new SQLite file, or the PostgreSQL database that the URL names.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.migrate import migrate_postgresql, migrate_sqlite
from longshore.database.postgresql import PostgreSQLDatabase
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.listing.columns import Column
from longshore.listing.models import EVERYTHING, Fuzzy, Wanted
from longshore.listing.statements import List

_ITEMS = 1_000_000
_SIZE = 100
_STEPS = 50
_FILL = Statement(
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)"
    " INSERT INTO users (username, password_hash, created_at, updated_at)"
    " SELECT 'user' || (10000000 + n), '!', 0, 0 FROM numbers"
)
_LIST = List(
    source="users u",
    scope="u.deleted_at IS NULL",
    key="u.id",
    columns={"username": Column("u.username", unique=True)},
    order="username",
    rows="SELECT u.id, u.username, u.email, u.comment, u.created_at FROM page JOIN users u ON u.id = page.id",
    total=f"SELECT {_ITEMS}",
)


async def main(url: str | None) -> None:
    """Fills the database and measures."""
    with tempfile.TemporaryDirectory() as folder:
        database = await _open(url, Path(folder) / "longshore.db")

        async def fill(transaction: Transaction) -> int:
            return await transaction.execute(_FILL, count=_ITEMS)

        await database.write(fill)
        last = _ITEMS // _SIZE - 1
        for name, pages in (
            ("the first page", [0] * _STEPS),
            ("one page after the other from there", list(range(1, _STEPS))),
            ("one page after the other from the middle", list(range(last // 2, last // 2 + _STEPS))[1:]),
            ("jumps of a thousand pages", [last * step // 10 for step in range(1, 10)]),
            ("the last page", [last] * _STEPS),
        ):
            await _measure(database, name, pages, EVERYTHING)
        await _measure(database, "a fuzzy filter that finds ten", [0], Wanted({"username": Fuzzy("ser1055555")}))
        await database.close()


async def _open(url: str | None, path: Path) -> Database:
    if url is None:
        migrate_sqlite(path)
        return SQLiteDatabase(path)
    await asyncio.to_thread(migrate_postgresql, url)
    return await PostgreSQLDatabase.open(url, pool_size=4)


async def _measure(database: Database, name: str, pages: list[int], wanted: Wanted) -> None:
    async def show(page: int) -> None:
        async def read(connection: Connection) -> None:
            await _LIST.page(connection, wanted, offset=page * _SIZE, limit=_SIZE)

        await database.read(read)

    # The page before the first: whoever walks has just read it.
    await show(max(pages[0] - 1, 0))
    seconds = []
    for page in pages:
        began = time.perf_counter()
        await show(page)
        seconds.append(time.perf_counter() - began)
    print(f"{name:45} {statistics.median(seconds) * 1000:9.2f} ms")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
