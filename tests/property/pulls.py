# SPDX-License-Identifier: Apache-2.0
"""PULL: everything below every tag can be read and has its digest, at any moment."""

from __future__ import annotations

import random
import time
from contextlib import closing

from longshore.database.connection import Row
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import LongshoreError
from longshore.oci.manifest import parse_manifest
from longshore.oci.names import TagName
from longshore.registry.models import StoredManifest
from tests.property.notes import Notes, Place
from tests.property.registry import Registry

# A tag, what it points to, and how far its history goes: when all three are the same again, it never moved in between.
_TAGS = Statement(
    """
    SELECT t.name, t.manifest_id, p.sparse,
        (SELECT max(j.id) FROM tag_journal j WHERE j.repository_id = t.repository_id AND j.name = t.name) AS history
    FROM tags t JOIN repositories r ON r.id = t.repository_id JOIN projects p ON p.id = r.project_id
    WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL AND (t.name = :name OR :name = '')
    ORDER BY t.name
    """
)
_HAS_EDGE = Statement(
    """
    SELECT 1 FROM manifest_blobs mb JOIN blobs b ON b.id = mb.blob_id
    JOIN repository_blobs rb ON rb.repository_id = mb.repository_id AND rb.blob_id = mb.blob_id
    WHERE mb.manifest_id = :manifest_id AND b.digest = :digest AND rb.hidden_at IS NULL
    """
)
_HAS_CHILD = Statement(
    "SELECT 1 FROM manifest_children WHERE parent_id = :manifest_id AND child_digest = :digest AND child_id IS NOT NULL"
)


class Pull:
    """Pulls of one process."""

    def __init__(self, registry: Registry, notes: Notes, choice: random.Random) -> None:
        self._registry = registry
        self._notes = notes
        self._choice = choice

    async def pull(self, place: Place) -> None:
        """Pulls one tag of the repository with everything below it."""
        tags = await self._tags(place, "")
        if not tags:
            return
        tag = self._choice.choice(tags)
        for _ in range(10):
            began = time.monotonic()
            wrong = await self._look_below(place, tag)
            if wrong is None:
                self._notes.count("pulls")
                return
            now = await self._tags(place, tag["name"])
            same = bool(now) and now[0]["manifest_id"] == tag["manifest_id"] and now[0]["history"] == tag["history"]
            if not same:
                return
            if not self._notes.disturbed(place, began):
                self._notes.violation(f"PULL of {tag['name']} in {place}: {wrong}")
                return

    async def _tags(self, place: Place, name: str) -> list[Row]:
        return await self._registry.rows(_TAGS, project_id=place.project_id, path=place.path, name=name)

    async def _look_below(self, place: Place, tag: Row) -> str | None:
        """What is wrong with the tag, None when all is well."""
        try:
            stored = await self._registry.manifests.find(place.project_id, place.path, TagName.parse(tag["name"]))
        except LongshoreError as error:
            return f"manifest: {error}"
        return await self._look_at(place, stored, sparse=tag["sparse"])

    async def _look_at(self, place: Place, stored: StoredManifest, *, sparse: str) -> str | None:
        digest = Digest.parse(stored.digest)
        if Digest.of(stored.payload, digest.algorithm) != digest:
            return f"manifest {digest} has other bytes"
        manifest = parse_manifest(stored.payload, stored.media_type)
        # What a sparse manifest lacks may come at any moment: only what it had before it was asked for has to be there.
        for blob in manifest.blobs:
            parameters = {"manifest_id": stored.id, "digest": str(blob.digest)}
            had = sparse != "any" or await self._registry.value(_HAS_EDGE, **parameters) is not None
            wrong = await self._read(place, blob.digest, blob.size)
            if wrong is not None and had:
                return wrong
        for child in manifest.children:
            parameters = {"manifest_id": stored.id, "digest": str(child.digest)}
            had = sparse == "none" or await self._registry.value(_HAS_CHILD, **parameters) is not None
            try:
                found = await self._registry.manifests.find(place.project_id, place.path, child.digest)
            except LongshoreError as error:
                if not had:
                    continue
                return f"child of {digest}: {error}"
            wrong = await self._look_at(place, found, sparse=sparse)
            if wrong is not None:
                return wrong
        return None

    async def _read(self, place: Place, digest: Digest, size: int) -> str | None:
        try:
            blob = await self._registry.blobs.find(place.project_id, place.path, digest)
            with closing(await self._registry.store.open(blob.key)) as reader:
                payload = await reader.read(0, size + 1)
        except LongshoreError as error:
            return f"blob {digest}: {type(error).__name__}: {error}"
        if Digest.of(payload, digest.algorithm) != digest:
            return f"blob {digest} has other bytes: {len(payload)} instead of {size}"
        return None
