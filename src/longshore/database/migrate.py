# SPDX-License-Identifier: Apache-2.0
"""Brings a database to this release's schema. The only module that imports the migration tool.

Migrations expand first and contract a release later, so that the previous release works on the new schema while replicas are
exchanged one by one. Two at once are harmless: PostgreSQL serialises them by an advisory lock, SQLite by a lock file.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import longshore.tables
from longshore.database.postgresql import connect, servers_of

_ADVISORY_LOCK = 0x4C4F4E47  # "LONG": one lock for all releases


def migrate_sqlite(path: Path) -> None:
    """Brings a SQLite file to the newest revision, making it when it isn't there."""
    with _file_lock(path.with_name(path.name + ".migrating")):
        engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                _upgrade(connection)
        finally:
            engine.dispose()


def migrate_postgresql(url: str) -> None:
    """Brings a PostgreSQL database to the newest revision, waiting for another `longshore migrate` to finish first."""

    async def run() -> None:
        # SQLAlchemy writes several servers in another way, so it isn't given the URL.
        engine = create_async_engine("postgresql+asyncpg://", async_creator=partial(connect, servers_of(url), {}))
        try:
            async with engine.connect() as connection:
                await connection.exec_driver_sql(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")
                await connection.commit()
                try:
                    await connection.run_sync(_upgrade)
                finally:
                    await connection.rollback()
                    await connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})")
                    await connection.commit()
        finally:
            await engine.dispose()

    asyncio.run(run())


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without any file of its own."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["metadata"] = longshore.tables.metadata
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(configuration(connection), "head")
    connection.commit()


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
