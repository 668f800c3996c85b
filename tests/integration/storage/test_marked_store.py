# SPDX-License-Identifier: Apache-2.0
"""What a server does at its start with the storage URL of its settings."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from longshore.config import Settings, SettingsError
from longshore.database.connection import Database
from longshore.instance import open_marked_store, prepare
from longshore.oci.errors import ServiceUnavailable
from tests.objectstore import ObjectStore


def _settings(url: str, folder: Path, **more: Any) -> Settings:
    given: dict[str, Any] = {"storage_url": SecretStr(url), "data_dir": folder, **more}
    return Settings(**given)


async def test_a_bucket_belongs_to_one_database(object_store: ObjectStore, database: Database, tmp_path: Path) -> None:
    """The first start marks the bucket, later ones find the mark, another database is refused; a prefix is a place."""
    bucket = object_store.bucket(f"marked-{uuid.uuid4().hex}")
    settings = _settings(object_store.url(bucket), tmp_path)
    for _ in range(2):
        await (await open_marked_store(settings, "database-1", database)).close()
    with pytest.raises(SettingsError, match=r"LONGSHORE_STORAGE_URL: .* belongs to another database"):
        await open_marked_store(settings, "database-2", database)
    apart = _settings(object_store.url(bucket, "apart"), tmp_path)
    await (await open_marked_store(apart, "database-2", database)).close()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("s3://bucket?endpint=http://hunter2", "LONGSHORE_STORAGE_URL: has an option endpint that nobody knows"),
        ("gs://hunter2", "LONGSHORE_STORAGE_URL: names a kind of object store"),
    ],
)
async def test_a_url_that_is_wrong_keeps_the_server_from_starting(tmp_path: Path, url: str, complaint: str) -> None:
    """It is refused before anything else is looked at, also while the database is away."""
    settings = _settings(url, tmp_path, database_url=SecretStr("postgresql://127.0.0.1:9/away"))
    with pytest.raises(SettingsError) as refusal:
        await prepare(settings, b"key" * 16, ["api"])
    assert complaint in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


async def test_a_refusal_keeps_the_server_from_starting_and_absence_does_not(
    object_store: ObjectStore, database: Database, tmp_path: Path
) -> None:
    """A bucket that isn't there is an error of the settings; a server that is away is waited for."""
    missing = _settings(object_store.url("no-such-bucket"), tmp_path)
    with pytest.raises(SettingsError, match=r"LONGSHORE_STORAGE_URL: .*bucket doesn't exist.*NoSuchBucket"):
        await open_marked_store(missing, "database-1", database)
    away = _settings("s3://a:b@bucket?timeout=1&endpoint=http://127.0.0.1:9", tmp_path)
    with pytest.raises(ServiceUnavailable, match="is it running"):
        await open_marked_store(away, "database-1", database)
