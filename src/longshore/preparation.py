# SPDX-License-Identifier: Apache-2.0
"""What a server does once at its start, before it has processes: schema, keys, connections, the first administrator."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection

import structlog

from longshore.config import Settings, SettingsError
from longshore.database.connection import Database, Dialect
from longshore.database.errors import DatabaseRefused
from longshore.database.revisions import current_revision, serves
from longshore.database.sqlite import SQLiteDatabase
from longshore.identity.first_start import ensure_admin
from longshore.identity.hashing import Passwords
from longshore.marking import check_storage, open_marked_store
from longshore.oci.errors import LongshoreError
from longshore.opening import missing_revision, open_database
from longshore.storage.factory import scheme_of
from longshore.system.connections import Kind, Share, measure_demand
from longshore.system.instance import ensure_instance

_log = structlog.get_logger("longshore.instance")


async def prepare(settings: Settings, secret_key: bytes, kinds: Collection[Kind] = ("api", "worker")) -> str | None:
    """What a server does once before it starts its processes; returns the administrator's generated password, if any.

    The embedded database is brought to this release's schema. PostgreSQL that is away or waits for `longshore migrate` doesn't
    keep the server from starting: it stays unready and says so.

    Raises:
        SettingsError: the secret key is another one than the database's, PostgreSQL can't serve so many connections, or the
            store refuses.
    """
    check_storage(settings)
    _warn_of_unused(settings)
    if settings.database_url is None:
        await _migrate_embedded(settings)
    try:
        database = await open_database(settings)
    except DatabaseRefused as error:
        raise _wrong_database(error) from error
    except LongshoreError as error:
        _log.warning("the database is away", reason=error.message)
        return None
    try:
        if database.dialect is Dialect.POSTGRESQL:
            await _check_connections(settings, database, kinds)
        if await missing_revision(database) is not None:
            return None
        instance_id = await ensure_instance(database, secret_key)
        await (await open_marked_store(settings, instance_id, database)).close()
        return await first_start(settings, database)
    except DatabaseRefused as error:
        raise _wrong_database(error) from error
    except LongshoreError as error:
        _log.warning("not prepared", reason=str(error))
        return None
    finally:
        await database.close()


def _wrong_database(error: DatabaseRefused) -> SettingsError:
    return SettingsError(
        f"LONGSHORE_DATABASE_URL: PostgreSQL is there and refuses: {error.answer}. Correct the URL, or make the database and"
        " its user"
    )


async def first_start(settings: Settings, database: Database) -> str | None:
    """Makes the administrator and the project `library` unless they are there; a generated password is returned once.

    Raises:
        SettingsError: the password that the settings give breaks the rules.
    """
    passwords = Passwords()
    given = None if settings.admin_password is None else settings.admin_password.get_secret_value()
    try:
        return await ensure_admin(database, passwords, password=given or None)
    except LongshoreError as error:
        if error.status >= 500:
            raise
        raise SettingsError(f"LONGSHORE_ADMIN_PASSWORD: {error.message}") from error
    finally:
        passwords.close()


def announce(settings: Settings, password: str | None) -> None:
    """Prints the generated password of the first administrator: once, to the terminal, never to the log."""
    if password is None:
        return
    sys.stdout.write(
        "\n  Longshore made its administrator. Write the password down, it is not shown again:\n\n"
        f"      user      admin\n      password  {password}\n\n"
        f"  docker login {settings.host}:{settings.port} -u admin\n\n"
    )
    sys.stdout.flush()


def _warn_of_unused(settings: Settings) -> None:
    """Settings of features that come with a later release are checked, but must not be believed to do something."""
    if settings.redis_url is not None:
        _log.warning("this release has no use for the setting", setting="LONGSHORE_REDIS_URL")
    if settings.storage_redirect == "always" and scheme_of(settings.storage) == "file":
        _log.warning("a file system has no presigned redirects", setting="LONGSHORE_STORAGE_REDIRECT")


async def _migrate_embedded(settings: Settings) -> None:
    path = settings.sqlite_path
    if path.exists():
        database = SQLiteDatabase(path)
        try:
            if serves(await current_revision(database)):
                return
        finally:
            await database.close()
    # Imported here: a start on the present schema doesn't pay for the migration tool.
    from longshore.database.migrate import migrate_sqlite  # noqa: PLC0415

    await asyncio.to_thread(migrate_sqlite, path)


async def _check_connections(settings: Settings, database: Database, kinds: Collection[Kind]) -> None:
    """Every process may open its whole pool at once; the server should have room for all of them, of all replicas.

    Raises:
        SettingsError: it has no room for this server even alone. When there is none beside the others it is logged.
    """
    own = [Share.of(settings, kind) for kind in kinds]
    demand = await measure_demand(database, own)
    processes = sum(share.processes for share in own)
    if demand.own > demand.allowed:
        raise SettingsError(
            f"LONGSHORE_DATABASE_POOL: {processes} processes with {settings.database_pool} connections each need {demand.own},"
            f" but the server allows {demand.allowed}. Lower LONGSHORE_DATABASE_POOL or LONGSHORE_WORKERS, or raise"
            " max_connections"
        )
    if demand.total > demand.allowed:
        _log.warning(
            "database connections may run out: lower LONGSHORE_DATABASE_POOL or LONGSHORE_WORKERS, or raise max_connections",
            allowed=demand.allowed,
            needed=demand.total,
            needed_here=demand.own,
            needed_by_replicas=demand.replicas,
            used_by_others=demand.others,
        )
