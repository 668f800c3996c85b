# SPDX-License-Identifier: Apache-2.0
"""Opens the store that the settings name, and its mark that tells which database it belongs to."""

from __future__ import annotations

import shutil

from longshore.config import Settings, SettingsError
from longshore.database.connection import Database
from longshore.database.statement import Statement
from longshore.oci.errors import LongshoreError
from longshore.storage.factory import check_url, directory_of, open_store, scheme_of
from longshore.storage.layout import read_instance
from longshore.storage.port import ObjectExists, OpenedStore
from longshore.storage.refusals import InvalidStorageURL, StoreRefused

_ANY_BLOB = Statement("SELECT 1 FROM blobs LIMIT 1")


def check_storage(settings: Settings) -> None:
    """Raises SettingsError when the store's URL can't be one, before anything is opened."""
    try:
        check_url(settings.storage)
    except InvalidStorageURL as error:
        raise _wrong_storage(error) from error


async def open_marked_store(settings: Settings, instance_id: str, database: Database) -> OpenedStore:
    """The store that the settings name, which belongs to this database from its first start on.

    Raises:
        SettingsError: the store can't be used, refuses, or belongs to another database.
        ServiceUnavailable: it is away.
    """
    try:
        if scheme_of(settings.storage) == "file":
            # Before anything is made there: other processes would go on with the folder where the volume was.
            await _require_mark(read_instance(str(directory_of(settings.storage))), instance_id, database)
        store = await open_store(settings.storage, reserve_bytes=_reserve_of(settings))
    except OSError as error:
        raise SettingsError(f"LONGSHORE_STORAGE_URL: the folder can't be used: {error.strerror}") from error
    except LongshoreError as error:
        if error.status >= 503 and not isinstance(error, StoreRefused):
            raise
        raise _wrong_storage(error) from error
    try:
        await _check_mark(store, instance_id, database)
    except BaseException:
        await store.close()
        raise
    return store


def _wrong_storage(error: LongshoreError) -> SettingsError:
    whole, public = (
        f"LONGSHORE_STORAGE_URL: {text.removeprefix('LONGSHORE_STORAGE_URL').removeprefix(':').strip()}"
        for text in (str(error), error.message)
    )
    return SettingsError(whole, public=public)


def _reserve_of(settings: Settings) -> int | None:
    """The bytes to keep free on the volume of a directory; None for a store that has no end."""
    if scheme_of(settings.storage) != "file":
        return None
    folder = directory_of(settings.storage)
    folder.mkdir(parents=True, exist_ok=True)
    return settings.reserve_bytes(shutil.disk_usage(folder).total)


async def _require_mark(mark: str | None, instance_id: str, database: Database) -> None:
    if mark is None and await database.read(lambda connection: connection.value(_ANY_BLOB)) is not None:
        raise SettingsError(
            "LONGSHORE_STORAGE_URL: the store has no mark of this database, which knows of blobs in it. Is the volume mounted?"
            f" Is it the right bucket? If it is really lost, write {instance_id} into meta/instance there, then"
            " `longshore verify --mark-missing`",
            public="The store has no mark of this database, which knows of blobs in it. The server's log says what to do.",
        )


async def _check_mark(store: OpenedStore, instance_id: str, database: Database) -> None:
    """Marks a new store, and refuses one that can't be this database's.

    A folder without a mark where the database knows of blobs is most likely a volume that isn't mounted: serving from it
    would tell every client that its images are gone.

    Raises:
        SettingsError: the store belongs to another database, or its mark is missing.
    """
    await _require_mark(await store.read_instance(), instance_id, database)
    try:
        await store.write_instance(instance_id)
    except ObjectExists as error:
        raise SettingsError(
            "LONGSHORE_STORAGE_URL: the store belongs to another database. Use the store of this database, or an empty one"
        ) from error
