# SPDX-License-Identifier: Apache-2.0
"""Manifests: pushing them (W of `docs/why/metadata.md`), and reading them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestBlobUnknown, ManifestUnknown
from longshore.oci.names import TagName
from longshore.registry import repositories
from longshore.registry.models import PushedManifest, Repository, StoredManifest
from longshore.registry.periods import Periods
from longshore.registry.quota import tells_when_full
from longshore.registry.storing import ManifestPush, store_manifests

_BY_TAG = Statement(
    "SELECT m.id, m.digest, m.media_type, m.payload FROM repositories r"
    " JOIN tags t ON t.repository_id = r.id JOIN manifests m ON m.id = t.manifest_id"
    " WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL"
    " AND t.name = :reference AND m.deleted_at IS NULL"
)
_BY_DIGEST = Statement(
    "SELECT m.id, m.digest, m.media_type, m.payload FROM repositories r JOIN manifests m ON m.repository_id = r.id"
    " WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL"
    " AND m.digest = :reference AND m.deleted_at IS NULL"
)

_FOREIGN_KEY_ATTEMPTS = 5

Check = Callable[[Connection, Repository], Awaitable[None]]


class Manifests:
    """The manifests of repositories."""

    def __init__(self, database: Database, periods: Periods) -> None:
        self._database = database
        self._periods = periods

    async def find(self, project_id: int, path: str, reference: Digest | TagName) -> StoredManifest:
        """The manifest that a tag points to, or that has the digest.

        Raises:
            ManifestUnknown: there is no such repository, tag or live manifest.
        """
        statement = _BY_DIGEST if isinstance(reference, Digest) else _BY_TAG
        row = await self._database.one(statement, project_id=project_id, path=path, reference=str(reference))
        if row is None:
            raise ManifestUnknown(f"The repository has no manifest {str(reference)!r}. Look at its tags list.")
        return StoredManifest(row[0], row[1], row[2], row[3])

    async def push(self, project_id: int, path: str, pushed: ManifestPush) -> PushedManifest:
        """W: everything the manifest refers to is there and from now on held; its tags point to it.

        Raises:
            ManifestBlobUnknown: a blob or a child is missing in the repository.
            ManifestInvalid: a blob has another size than the manifest says.
            QuotaExceeded: the project is full.
            NameUnknown: the project is gone.
        """
        await self.push_together(project_id, path, (pushed,))
        subject = pushed.manifest.subject
        return PushedManifest(
            digest=pushed.digest, subject=None if subject is None else subject.digest, tags=pushed.tags
        )

    @tells_when_full
    async def push_together(
        self,
        project_id: int,
        path: str,
        pushes: Sequence[ManifestPush],
        *,
        before: Check | None = None,
    ) -> None:
        """W for several manifests at once, children before what contains them: nobody sees a part of them.

        `before` may refuse by raising, under lock ①.

        Raises:
            ManifestBlobUnknown, ManifestInvalid, QuotaExceeded, NameUnknown: as `push`.
        """

        async def run(transaction: Transaction) -> None:
            repository = await repositories.lock_or_create(transaction, project_id, path)
            if before is not None:
                await before(transaction, repository)
            await store_manifests(transaction, repository, pushes, periods=self._periods)

        for _ in range(_FOREIGN_KEY_ATTEMPTS):
            try:
                await self._database.write(run)
            except ForeignKeyViolation:
                # A membership or a child was collected between our look and our edge: the next look says so.
                continue
            return
        raise ManifestBlobUnknown(
            "Something that the manifest refers to is being deleted at this moment. Push it again, then the manifest."
        )
