# SPDX-License-Identifier: Apache-2.0
"""Small blobs of artifacts, read whole: configs, charts, icons."""

from __future__ import annotations

from longshore.database.connection import Database, Row
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, ServiceUnavailable, Unprocessable
from longshore.registry.blobs import Blobs
from longshore.storage.port import BlobStore, ObjectKey

# By the manifest's own edges: whoever may see the artifact may see what it holds.
_OF_MANIFEST = Statement(
    "SELECT b.size, b.key, b.damaged FROM manifest_blobs mb JOIN blobs b ON b.id = mb.blob_id"
    " WHERE mb.manifest_id = :manifest_id AND b.digest = :digest"
)


class Contents:
    """Reads blobs whole, up to a size that the caller names."""

    def __init__(self, database: Database, store: BlobStore, blobs: Blobs) -> None:
        self._database = database
        self._store = store
        self._blobs = blobs

    async def of_manifest(self, manifest_id: int, digest: Digest, *, most: int) -> bytes:
        """The blob of that digest, which the manifest refers to.

        Raises:
            BlobUnknown: the manifest doesn't have it: it names another one, or a proxy has not fetched it yet.
            Unprocessable: it has more than `most` bytes.
            ServiceUnavailable: its bytes can't be read.
        """
        row = await self._database.one(_OF_MANIFEST, manifest_id=manifest_id, digest=str(digest))
        return await self._read(_known(row, digest), digest, most)

    async def in_repository(self, project_id: int, path: str, digest: Digest, *, most: int) -> bytes:
        """The blob of that digest that a repository has, whether a manifest names it or not.

        Raises:
            BlobUnknown: the repository doesn't have it.
            Unprocessable: it has more than `most` bytes.
            ServiceUnavailable: its bytes can't be read.
        """
        blob = await self._blobs.find(project_id, path, digest)
        return await self._read((blob.size, blob.key), digest, most)

    async def _read(self, place: tuple[int, ObjectKey], digest: Digest, most: int) -> bytes:
        size, key = place
        if size > most:
            raise Unprocessable(
                f"The blob {digest} has {size:,} bytes; what is shown of an artifact is taken from at most {most:,}."
            )
        reader = await self._store.open(key, 0, size)
        try:
            content = reader.read_cached(0, size)
            return await reader.read(0, size) if content is None else content
        finally:
            reader.close()


def _known(row: Row | None, digest: Digest) -> tuple[int, ObjectKey]:
    if row is None:
        raise BlobUnknown(f"The artifact has no blob {digest} here. Push it again.")
    if row[2]:
        raise ServiceUnavailable(
            f"The bytes of blob {digest} are damaged in the store. Push it again from a copy: that heals it."
        )
    return row[0], ObjectKey(row[1])
