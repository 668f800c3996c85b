# SPDX-License-Identifier: Apache-2.0
"""Building registries for tests with the product's own push: projects, blobs, images, indexes, referrers."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longshore.artifacts.contents import Contents
from longshore.artifacts.describing import Describer
from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.manifest import parse_manifest
from longshore.oci.names import TagName
from longshore.registry import totals
from longshore.registry.blobs import Blobs
from longshore.registry.manifests import Manifests
from longshore.registry.periods import Periods
from longshore.registry.storing import ManifestPush
from longshore.registry.uploads import Uploads
from longshore.storage.port import ObjectKey, OpenedStore
from tests.shelves import Shelf

HOUR = 3600 * 1_000_000
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_PROJECT = Statement(
    "INSERT INTO projects (name, quota_bytes, undelete_window, untagged_ttl, sparse, created_at, updated_at)"
    " VALUES (:name, :quota_bytes, :undelete_window, :untagged_ttl, :sparse, {now}, {now}) RETURNING id"
)
_USAGE = Statement("INSERT INTO project_usage (project_id) VALUES (:project_id)")


@dataclass(slots=True)
class World:
    """A registry whose rows and bytes come from the product's own code.

    Nothing in it waits for time to pass: `sql` moves a clock's hand by moving what was written. With `describes` off it pushes
    as if no config could be read.
    """

    database: Database
    store: OpenedStore
    shelf: Shelf | None = None
    periods: Periods = field(default_factory=lambda: Periods(grace=HOUR, window=HOUR, delay=HOUR))
    describes: bool = True
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def blobs(self) -> Blobs:
        return Blobs(self.database, self.periods)

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.database, self.store, self.blobs, self.periods)

    @property
    def describer(self) -> Describer:
        return Describer(Contents(self.database, self.store, self.blobs), self.manifests)

    @property
    def manifests(self) -> Manifests:
        return Manifests(self.database, self.periods)

    async def project(
        self,
        name: str = "demo",
        *,
        quota_bytes: int | None = None,
        undelete_window: int | None = None,
        untagged_ttl: int | None = None,
        sparse: str = "none",
    ) -> int:
        """A project; its id."""
        parameters = {
            "name": name,
            "quota_bytes": quota_bytes,
            "undelete_window": undelete_window,
            "untagged_ttl": untagged_ttl,
            "sparse": sparse,
        }

        async def run(transaction: Transaction) -> int:
            project_id: int = await transaction.value(_PROJECT, **parameters)
            await transaction.execute(_USAGE, project_id=project_id)
            await totals.count_project(transaction, project_id, 1)
            return project_id

        return await self.database.write(run)

    async def upload(self, project_id: int, payload: bytes, path: str = "app") -> Digest:
        """Uploads a blob, whether it is there or not."""
        digest = Digest.of(payload)
        upload = await self.uploads.start(project_id, path)
        await self.finish(project_id, upload.id, payload, path)
        return digest

    async def finish(self, project_id: int, session_id: str, payload: bytes, path: str = "app") -> None:
        """Ends an upload with all of its bytes."""

        async def body() -> AsyncIterator[bytes]:
            yield payload

        await self.uploads.finish(project_id, path, session_id, Digest.of(payload), body())

    async def push(
        self,
        project_id: int,
        document: Mapping[str, Any],
        path: str = "app",
        *,
        tags: Sequence[str] = (),
    ) -> Digest:
        """Pushes a manifest as it stands."""
        payload = json.dumps(document, sort_keys=True).encode()
        digest = self.digest_of(document)
        manifest = parse_manifest(payload, document["mediaType"])
        names = tuple(TagName.parse(tag) for tag in tags)
        pushed = ManifestPush(
            manifest=manifest,
            digest=digest,
            payload=payload,
            tags=names,
            actor="test",
            facts=await self.describer.facts(project_id, path, manifest, names) if self.describes else None,
        )
        await self.manifests.push(project_id, path, pushed)
        return digest

    async def image(
        self,
        project_id: int,
        *layers: bytes,
        path: str = "app",
        tags: Sequence[str] = (),
        subject: Digest | None = None,
        note: str | None = None,
        upload: bool = True,
    ) -> Digest:
        """Pushes an image of these layers. Equal arguments give the equal digest; `note` makes another one."""
        document = self.document(*layers, subject=subject, note=note)
        if upload:
            for layer in layers:
                await self.upload(project_id, layer, path)
        return await self.push(project_id, document, path, tags=tags)

    def digest_of(self, document: Mapping[str, Any]) -> Digest:
        """The digest that `push` gives the document."""
        return Digest.of(json.dumps(document, sort_keys=True).encode())

    def document(self, *layers: bytes, subject: Digest | None = None, note: str | None = None) -> dict[str, Any]:
        """An image manifest whose config is its first layer's blob."""
        descriptors = [{"mediaType": LAYER, "digest": str(Digest.of(layer)), "size": len(layer)} for layer in layers]
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": mediatypes.OCI_MANIFEST,
            "config": {**descriptors[0], "mediaType": mediatypes.OCI_CONFIG},
            "layers": descriptors,
        }
        if subject is not None:
            document["subject"] = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(subject), "size": 2}
        if note is not None:
            document["annotations"] = {"note": note}
        return document

    async def index(
        self,
        project_id: int,
        *children: Digest,
        path: str = "app",
        tags: Sequence[str] = (),
        subject: Digest | None = None,
        note: str | None = None,
    ) -> Digest:
        """Pushes an index of these manifests."""
        entries = [{"mediaType": mediatypes.OCI_MANIFEST, "digest": str(child), "size": 2} for child in children]
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": entries}
        if subject is not None:
            document["subject"] = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(subject), "size": 2}
        if note is not None:
            document["annotations"] = {"note": note}
        return await self.push(project_id, document, path, tags=tags)

    def layer(self, size: int = 100) -> bytes:
        """Bytes that no other layer has."""
        return f"layer {next(self._numbers)} ".encode().ljust(size, b"x")

    async def sql(self, text: str, **parameters: Any) -> int:
        """Changes rows behind the product's back: how tests move time."""
        statement = Statement(text)

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(statement, **parameters)

        return await self.database.write(run)

    async def rows(self, text: str, **parameters: Any) -> list[Row]:
        """Reads rows."""
        statement = Statement(text)

        async def run(connection: Connection) -> list[Row]:
            return await connection.all(statement, **parameters)

        return await self.database.read(run)

    async def value(self, text: str, **parameters: Any) -> Any:
        """Reads one value, None when there is no row."""
        rows = await self.rows(text, **parameters)
        return rows[0][0] if rows else None

    async def live(self) -> set[str]:
        """The digests of the manifests that are alive."""
        rows = await self.rows(
            "SELECT m.digest FROM manifests m JOIN repositories r ON r.id = m.repository_id"
            " WHERE m.deleted_at IS NULL AND r.deleted_at IS NULL"
        )
        return {row[0] for row in rows}

    async def usage(self, project_id: int) -> tuple[int, int]:
        """Used and stored bytes."""
        rows = await self.rows(
            "SELECT used_bytes, stored_bytes FROM project_usage WHERE project_id = :id", id=project_id
        )
        return rows[0][0], rows[0][1]

    async def later(self) -> None:
        """Everything that waits becomes due: leases, sessions, reviews, purges, sweeps."""
        for statement in (
            "UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL",
            "UPDATE upload_sessions SET expires_at = 1, owner_until = 1",
            "UPDATE manifests SET review_after = 1 WHERE review_after IS NOT NULL",
            "UPDATE manifests SET purge_after = 1 WHERE purge_after IS NOT NULL",
            "UPDATE repositories SET purge_after = 1 WHERE purge_after IS NOT NULL",
            "UPDATE projects SET purge_after = 1 WHERE purge_after IS NOT NULL",
            "UPDATE trash SET purge_after = 1",
        ):
            await self.sql(statement)

    async def key_of(self, digest: Digest) -> str:
        """The key of a blob."""
        key: str = await self.value("SELECT key FROM blobs WHERE digest = :digest", digest=str(digest))
        return key

    @property
    def behind(self) -> Shelf:
        """The store as somebody else sees it."""
        assert self.shelf is not None
        return self.shelf

    async def bytes_of(self, digest: Digest) -> bytes | None:
        """What the store holds for a blob, None when it has no row or no bytes."""
        key = await self.value("SELECT key FROM blobs WHERE digest = :digest", digest=str(digest))
        if key is None or await self.store.size(ObjectKey(key)) is None:
            return None
        reader = await self.store.open(ObjectKey(key))
        try:
            return await reader.read(0, reader.size)
        finally:
            reader.close()
