# SPDX-License-Identifier: Apache-2.0
"""Uploads of one process over a store and a database that fail on demand."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Generic, TypeVar

import pytest

from longshore.database.connection import Connection, Database, Dialect, ReadFunction, Result, Row, WriteFunction
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUploadUnknown, ServiceUnavailable
from longshore.oci.ranges import ContentRange
from longshore.registry.blobs import Blobs
from longshore.registry.periods import Periods
from longshore.registry.uploads import Uploads
from longshore.storage.port import BlobStore, ObjectKey
from tests.integration.distribution.asgi import pieces

PATH = "app"
Store = TypeVar("Store", bound=BlobStore)


class FailingDatabase:
    """A database whose next writes may be refused as if it were away."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.refuse: list[bool] = []

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    def read(self, function: ReadFunction[Result]) -> Awaitable[Result]:
        return self.inner.read(function)

    def one(self, statement: Statement, **parameters: Any) -> Awaitable[Row | None]:
        return self.inner.one(statement, **parameters)

    async def write(self, function: WriteFunction[Result]) -> Result:
        if self.refuse and self.refuse.pop(0):
            raise ServiceUnavailable("The database is away.")
        return await self.inner.write(function)

    async def close(self) -> None:
        await self.inner.close()


class Desk(Generic[Store]):
    """Where uploads of one payload are received."""

    def __init__(self, database: FailingDatabase, store: Store, project_id: int, payload: bytes) -> None:
        self.database = database
        self.store = store
        self.project_id = project_id
        self.payload = payload
        self.digest = Digest.of(payload)
        self.periods = Periods()
        self.uploads = self.process()

    def process(self, periods: Periods | None = None) -> Uploads:
        """Another process."""
        chosen = periods or self.periods
        return Uploads(self.database, self.store, Blobs(self.database, chosen), chosen)

    async def start(self) -> str:
        return (await self.uploads.start(self.project_id, PATH)).id

    async def patch(
        self, session: str, *parts: bytes, content_range: ContentRange | None = None, uploads: Uploads | None = None
    ) -> int:
        used = uploads or self.uploads
        body = pieces(*parts)
        return (await used.receive(self.project_id, PATH, session, body, content_range=content_range)).received

    async def put(
        self, session: str, *parts: bytes, digest: Digest | None = None, uploads: Uploads | None = None
    ) -> None:
        await (uploads or self.uploads).finish(self.project_id, PATH, session, digest or self.digest, pieces(*parts))

    async def received(self, session: str) -> int:
        return (await self.uploads.status(self.project_id, PATH, session)).received

    async def rows(self, text: str) -> list[Row]:
        statement = Statement(text)

        async def read(connection: Connection) -> list[Row]:
            return await connection.all(statement)

        return await self.database.read(read)

    async def state(self) -> str | None:
        """The state of the only session; None when there is none."""
        rows = await self.rows("SELECT state FROM upload_sessions")
        return rows[0][0] if rows else None

    async def key(self) -> ObjectKey:
        return ObjectKey((await self.rows("SELECT key FROM upload_keys WHERE role = 'body'"))[0][0])

    async def is_over(self, session: str) -> None:
        """Nothing is left of the upload but what waits in the trash."""
        assert await self.rows("SELECT 1 FROM upload_sessions UNION ALL SELECT 1 FROM upload_keys") == []
        with pytest.raises(BlobUploadUnknown):
            await self.received(session)

    async def blob(self, digest: Digest | None = None) -> bytes:
        """The bytes of a blob of the repository."""
        found = await Blobs(self.database, self.periods).find(self.project_id, PATH, digest or self.digest)
        return await self.content(found.key)

    async def content(self, key: ObjectKey) -> bytes:
        reader = await self.store.open(key)
        try:
            return await reader.read(0, reader.size)
        finally:
            reader.close()
