# SPDX-License-Identifier: Apache-2.0
"""Opens the database that the settings name, and reads the waiting times from them."""

from __future__ import annotations

from longshore.config import Settings
from longshore.database.connection import Database
from longshore.database.revisions import HEAD, current_revision, serves
from longshore.database.sqlite import SQLiteDatabase
from longshore.registry.periods import SECOND, Periods, microseconds
from longshore.system.connections import Kind, Share

_PATIENT_SECONDS = 3600.0


def periods_of(settings: Settings) -> Periods:
    """The waiting times that the settings name."""
    return Periods(
        grace=microseconds(settings.upload_grace),
        window=int(settings.trash_days * 86400 * SECOND),
        delay=microseconds(settings.reclaim_delay),
        upload_expiry=microseconds(settings.upload_expiry),
        trash_limit=settings.trash_limit_bytes,
    )


async def open_database(settings: Settings, kind: Kind | None = None, *, patient: bool = False) -> Database:
    """The database that the settings name, open in this process, whose kind PostgreSQL's connections are named after.

    `patient` with statements that look at everything.

    Raises:
        ServiceUnavailable: it can't be reached.
    """
    if settings.database_url is None:
        return SQLiteDatabase(settings.sqlite_path)
    # Imported here: its driver is not paid for on SQLite.
    from longshore.database.postgresql import COMMAND_SECONDS, PostgreSQLDatabase  # noqa: PLC0415

    return await PostgreSQLDatabase.open(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool,
        name="longshore" if kind is None else Share.of(settings, kind).name,
        command_seconds=_PATIENT_SECONDS if patient else COMMAND_SECONDS,
    )


async def missing_revision(database: Database) -> str | None:
    """Why this release can't work on the schema as it is; None when it can."""
    revision = await current_revision(database)
    if serves(revision):
        return None
    return (
        f"The database's schema is at {revision or 'nothing'}, this release needs revision {HEAD}: run `longshore migrate`"
        " with the same settings."
    )
