# SPDX-License-Identifier: Apache-2.0
"""What a server does at its start with the storage URL of its settings."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from longshore.app import Application
from longshore.config import Settings, SettingsError
from longshore.database.connection import Database
from longshore.database.migrate import migrate_sqlite
from longshore.lifecycle import ProcessState, ServerState
from longshore.marking import open_marked_store
from longshore.oci.errors import ServiceUnavailable
from longshore.preparation import prepare
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


@pytest.mark.parametrize("refused", [True, False])
async def test_clients_are_told_no_addresses(object_store: ObjectStore, tmp_path: Path, refused: bool) -> None:
    """While the store is away or refuses, anybody may ask what is missing; where the store is, only the log says."""
    url = object_store.url("no-such-bucket") if refused else "s3://a:b@hidden?timeout=1&endpoint=http://127.0.0.1:9"
    settings = _settings(url, tmp_path)
    migrate_sqlite(settings.sqlite_path)
    app = Application(settings, b"k" * 32, ProcessState(ServerState()))
    with capture_logs() as logs:
        becoming = asyncio.create_task(app._become_ready())
        try:
            await asyncio.wait_for(app._tried.wait(), 20)
            answers = [await _get(app, path) for path in ("/readyz", "/v2/")]
        finally:
            becoming.cancel()
            await asyncio.gather(becoming, return_exceptions=True)
    reason = next(str(line["reason"]) for line in logs if line["event"] == "not ready")
    place = f"{object_store.endpoint}/no-such-bucket" if refused else "http://127.0.0.1:9/hidden"
    assert place in reason
    for status, body in answers:
        assert (status, "object store could not be used" in body) == (503, True)
        assert not any(private in body for private in ("127.0.0.1", "no-such-bucket", "hidden", "NoSuchBucket"))


async def _get(app: Application, path: str) -> tuple[int, str]:
    """What an anonymous client is answered."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()
