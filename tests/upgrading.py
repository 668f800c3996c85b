# SPDX-License-Identifier: Apache-2.0
"""Databases of the first release's schema with rows in them, to be brought to the newest."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import sqlalchemy
from alembic import command
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from longshore.database.migrate import configuration

Result = TypeVar("Result")


async def on_empty_database(
    dialect: str, folder: Path, server: str, function: Callable[[Connection], Result]
) -> Result:
    """What the function says of a new database: a SQLite file in the folder, or one on the PostgreSQL server."""
    if dialect == "sqlite":
        engine = sqlalchemy.create_engine(f"sqlite:///{folder / 'x.db'}")
        try:
            with engine.connect() as connection:
                return function(connection)
        finally:
            engine.dispose()
    name = f"upgrade_{uuid.uuid4().hex}"
    administrator = await asyncpg.connect(f"{server}/postgres")
    await administrator.execute(f"CREATE DATABASE {name}")
    await administrator.close()
    url = sqlalchemy.make_url(f"{server}/{name}").set(drivername="postgresql+asyncpg")
    async_engine = create_async_engine(url)
    try:
        async with async_engine.connect() as async_connection:
            return await async_connection.run_sync(function)
    finally:
        await async_engine.dispose()


def fill_first_schema(connection: Connection, statements: str) -> None:
    """The first release's schema with the rows that the statements make; each of them ends its line."""
    command.upgrade(configuration(connection), "0001")
    for statement in statements.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)


def upgrade(connection: Connection) -> None:
    """To this release's schema."""
    command.upgrade(configuration(connection), "head")
