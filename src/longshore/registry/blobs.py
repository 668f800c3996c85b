# SPDX-License-Identifier: Apache-2.0
"""Blobs in repositories: looking them up, mounting them, deleting them (H, M and B of `docs/why/metadata.md`).

A blob is *visible* in a repository when its membership isn't hidden, the blob isn't damaged, and something keeps it there:
a manifest, a lease that is not over, an edge of any manifest, or a manifest that waits for its digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, ServiceUnavailable, Unsupported
from longshore.registry import ledger, repositories
from longshore.registry.models import Repository, StoredBlob
from longshore.registry.periods import Periods
from longshore.registry.quota import tells_when_full
from longshore.storage.port import ObjectKey

REFERENCED = (
    "EXISTS (SELECT 1 FROM manifest_blobs mb WHERE mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id)"
)
WANTED = "EXISTS (SELECT 1 FROM manifest_wants mw WHERE mw.repository_id = rb.repository_id AND mw.digest = b.digest)"
_KEPT = f"(rb.lease_until IS NULL OR rb.lease_until > {{now}} OR {REFERENCED} OR {WANTED})"
_SEEN = "rb.hidden_at IS NULL AND " + _KEPT
_FIND = Statement(
    "SELECT b.id, b.size, b.key, b.damaged, rb.lease_until FROM repositories r"
    " JOIN repository_blobs rb ON rb.repository_id = r.id JOIN blobs b ON b.id = rb.blob_id"
    f" WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL AND b.digest = :digest AND {_SEEN}",
    lasting="lease_until",
)
_PROMISE = Statement(
    "SELECT b.id, b.size, b.key, b.damaged, r.id, "
    f" (rb.lease_until IS NULL OR rb.lease_until > {{now}} + :half OR {REFERENCED} OR {WANTED}) AS promised, rb.lease_until"
    " FROM repositories r JOIN repository_blobs rb ON rb.repository_id = r.id JOIN blobs b ON b.id = rb.blob_id"
    f" WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL AND b.digest = :digest AND {_SEEN}",
    lasting="lease_until",
)
_RENEW = Statement(
    "UPDATE repository_blobs SET lease_until = CASE WHEN lease_until IS NULL THEN NULL ELSE {now} + :grace END"
    " WHERE repository_id = :repository_id AND blob_id = :blob_id AND hidden_at IS NULL"
    " AND (lease_until IS NULL OR lease_until > {now})"
)
_MOUNTABLE = Statement(
    "SELECT b.id, b.size FROM repositories r"
    " JOIN repository_blobs rb ON rb.repository_id = r.id JOIN blobs b ON b.id = rb.blob_id"
    " WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL"
    f" AND b.digest = :digest AND NOT b.damaged AND {_SEEN} FOR KEY SHARE OF b"
)
# Where the digest lives: same project first, then public ones; whether the principal may read them is decided outside.
_CANDIDATES = Statement(
    "SELECT r.project_id, r.name, p.name FROM blobs b JOIN repository_blobs rb ON rb.blob_id = b.id"
    " JOIN repositories r ON r.id = rb.repository_id JOIN projects p ON p.id = r.project_id"
    " WHERE b.digest = :digest AND r.deleted_at IS NULL AND p.deleted_at IS NULL"
    f" AND (r.project_id = :project_id OR p.public) AND {_SEEN}"
    " ORDER BY CASE WHEN r.project_id = :project_id THEN 0 ELSE 1 END, r.id LIMIT 50"
)
_LINK_PROJECT = Statement(
    "INSERT INTO project_blobs (project_id, blob_id, size, counted) VALUES (:project_id, :blob_id, :size, false)"
    " ON CONFLICT (project_id, blob_id) DO NOTHING"
)
_LINK_REPOSITORY = Statement(
    "INSERT INTO repository_blobs (repository_id, blob_id, project_id, lease_until)"
    " VALUES (:repository_id, :blob_id, :project_id, {now} + :grace)"
    " ON CONFLICT (repository_id, blob_id) DO UPDATE SET hidden_at = NULL, lease_until = excluded.lease_until"
)
# A manifest holds the blobs of its edges and the memberships that its wants name.
_NEEDED_BY = Statement(
    """
    SELECT m.digest FROM blobs b
    JOIN manifest_blobs mb ON mb.repository_id = :repository_id AND mb.blob_id = b.id
    JOIN manifests m ON m.id = mb.manifest_id
    WHERE b.digest = :digest AND m.deleted_at IS NULL
    UNION ALL
    SELECT m.digest FROM blobs b
    JOIN repository_blobs rb ON rb.repository_id = :repository_id AND rb.blob_id = b.id AND rb.hidden_at IS NULL
    JOIN manifest_wants mw ON mw.repository_id = rb.repository_id AND mw.digest = b.digest
    JOIN manifests m ON m.id = mw.manifest_id
    WHERE b.digest = :digest AND m.deleted_at IS NULL
    LIMIT 1
    """
)
_HIDE = Statement(
    "UPDATE repository_blobs SET hidden_at = {now}, lease_until = {now} WHERE repository_id = :repository_id"
    " AND blob_id = (SELECT id FROM blobs WHERE digest = :digest) AND hidden_at IS NULL RETURNING blob_id"
)
_LOCK_BLOB = Statement("SELECT id FROM blobs WHERE digest = :digest FOR KEY SHARE")


@dataclass(frozen=True, slots=True)
class MountSource:
    """A repository that holds a blob."""

    project_id: int
    path: str
    project: str


class Blobs:
    """The blobs of repositories."""

    def __init__(self, database: Database, periods: Periods) -> None:
        self._database = database
        self._periods = periods

    async def find(self, project_id: int, path: str, digest: Digest) -> StoredBlob:
        """The blob, for reading it.

        Raises:
            BlobUnknown: it isn't visible in the repository.
            ServiceUnavailable: its bytes are known to be damaged.
        """
        row = await self._database.one(_FIND, project_id=project_id, path=path, digest=str(digest))
        return _blob(row, digest)

    async def promise(self, project_id: int, path: str, digest: Digest) -> StoredBlob:
        """H: does it exist? A yes promises the blob for half of the grace period, to push a manifest that names it."""
        parameters = {"project_id": project_id, "path": path, "digest": str(digest), "half": self._periods.grace // 2}
        row = await self._database.one(_PROMISE, **parameters)
        if row is not None and row[3]:
            # A damaged blob doesn't exist for who asks before a push, so that the push uploads it again and heals it.
            raise unknown(digest)
        blob = _blob(row, digest)
        if row is not None and not row[5]:

            async def renew(transaction: Transaction) -> int:
                return await transaction.execute(
                    _RENEW, repository_id=row[4], blob_id=row[0], grace=self._periods.grace
                )

            if not await self._database.write(renew):
                raise unknown(digest)
        return blob

    async def sources(self, project_id: int, digest: Digest) -> list[MountSource]:
        """Repositories that a mount without `from` may take the blob from, if the principal may read them."""

        async def read(connection: Connection) -> list[MountSource]:
            rows = await connection.all(_CANDIDATES, project_id=project_id, digest=str(digest))
            return [MountSource(row[0], row[1], row[2]) for row in rows]

        return await self._database.read(read)

    @tells_when_full
    async def mount(self, project_id: int, path: str, digest: Digest, source: MountSource) -> bool:
        """M: makes a blob of `source` visible here as well, for the grace period. False when it isn't visible there.

        Raises:
            QuotaExceeded: the project is full.
        """

        async def run(transaction: Transaction) -> bool:
            row = await transaction.one(_MOUNTABLE, project_id=source.project_id, path=source.path, digest=str(digest))
            if row is None:
                return False
            repository = await repositories.find_or_create(transaction, project_id, path)
            await link(transaction, repository, row[0], row[1], grace=self._periods.grace)
            return True

        return await repositories.put_into(self._database, run)

    async def delete(self, project_id: int, path: str, digest: Digest) -> None:
        """B: hides the blob from every reader at once; its bytes are collected later.

        Raises:
            BlobUnknown: it isn't there.
            Unsupported: a live manifest needs it (405, naming the manifest).
        """

        async def run(transaction: Transaction) -> None:
            repository = await repositories.lock(transaction, project_id, path)
            await transaction.value(_LOCK_BLOB, digest=str(digest))
            parameters = {"repository_id": repository.id, "digest": str(digest)}
            needed_by = await transaction.value(_NEEDED_BY, **parameters)
            if needed_by is not None:
                raise Unsupported(
                    f"The blob {digest} belongs to the manifest {needed_by} of this repository. Delete that manifest first."
                )
            row = await transaction.one(_HIDE, **parameters)
            if row is None:
                raise unknown(digest)
            await ledger.uncount(transaction, project_id, [row[0]])

        await self._database.write(run)


async def link(transaction: Transaction, repository: Repository, blob_id: int, size: int, *, grace: int) -> None:
    """Makes the blob a member of the repository for the grace period, also where a manifest holds it already.

    That manifest may be a deleted one; the collector puts a lease back that isn't needed.
    """
    project_id = repository.project_id
    inserted = await transaction.execute(_LINK_PROJECT, project_id=project_id, blob_id=blob_id, size=size)
    await transaction.execute(
        _LINK_REPOSITORY, repository_id=repository.id, blob_id=blob_id, project_id=project_id, grace=grace
    )
    await ledger.count(transaction, project_id, [blob_id], stored=size if inserted else 0)


def unknown(digest: Digest) -> BlobUnknown:
    """The answer for a blob that isn't visible."""
    return BlobUnknown(f"The repository has no blob {digest}. Push it, or mount it from a repository that has it.")


def _blob(row: Row | None, digest: Digest) -> StoredBlob:
    if row is None:
        raise unknown(digest)
    if row[3]:
        raise ServiceUnavailable(
            f"The bytes of blob {digest} are damaged in the store. Push it again from a copy: that heals it."
        )
    return StoredBlob(row[0], digest, row[1], _object_key(row[2]))


@lru_cache(maxsize=4096)
def _object_key(text: str) -> ObjectKey:
    """The same few blobs are asked for again and again, and a key is checked whenever it is made."""
    return ObjectKey(text)
