# SPDX-License-Identifier: Apache-2.0
"""Fresh databases of both kinds for tests: copied from a migrated template, so that one costs milliseconds."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from longshore.database.connection import Database, Dialect
from longshore.database.postgresql import PostgreSQLDatabase
from longshore.database.sqlite import SQLiteDatabase


@dataclass(frozen=True, slots=True)
class Databases:
    """One fresh database, which may be opened several times as if by several processes.

    `url` is what LONGSHORE_DATABASE_URL would say; on SQLite `path` is its file.
    """

    dialect: Dialect
    url: str
    path: Path | None = None

    async def open(self, *, pool_size: int = 4) -> Database:
        """Opens it once more; the caller closes it."""
        if self.path is not None:
            return SQLiteDatabase(self.path)
        return await PostgreSQLDatabase.open(self.url, pool_size=pool_size)


def sqlite_database(template: Path, folder: Path) -> Databases:
    """A fresh SQLite database in `folder`."""
    path = folder / "longshore.db"
    shutil.copy(template, path)
    return Databases(Dialect.SQLITE, f"sqlite:///{path}", path)


@asynccontextmanager
async def postgresql_database(server: str, template: str) -> AsyncIterator[Databases]:
    """A fresh PostgreSQL database, dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield Databases(Dialect.POSTGRESQL, f"{server}/{name}")
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
