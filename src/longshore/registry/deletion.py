# SPDX-License-Identifier: Apache-2.0
"""Deleting a manifest together with what exists only for it (D of `docs/why/metadata.md`).

A deletion takes along what nobody could reach afterwards: the platforms of an index, the signatures of an image. It takes
nothing that something alive outside of it still needs, and all of it comes back by the one id of the deletion.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.events import service as events
from longshore.events.models import EventKind
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestUnknown
from longshore.registry import artifacts, ledger, repositories
from longshore.registry.closure import Member, closure
from longshore.registry.errors import Held, PartOfIndex
from longshore.registry.holdings import held_blobs
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.project_periods import project_periods

_FIND = Statement(
    "SELECT id, digest, size, hold FROM manifests"
    " WHERE repository_id = :repository_id AND digest = :digest AND deleted_at IS NULL"
)
_LIVE_PARENT = Statement(
    "SELECT p.digest FROM manifest_children c JOIN manifests p ON p.id = c.parent_id"
    " WHERE c.child_id = :manifest_id AND p.deleted_at IS NULL ORDER BY p.id LIMIT 1"
)
_TAGS = Statement("SELECT name FROM tags WHERE manifest_id = ANY(:manifest_ids) ORDER BY name")
_MARK = Statement(
    "UPDATE manifests SET deleted_at = {now}, purge_after = {now} + :window, review_after = NULL,"
    " deletion_id = :deletion_id WHERE id = ANY(:manifest_ids)"
)
_JOURNAL = Statement(
    "INSERT INTO tag_journal (repository_id, name, digest, deletion_id, action, actor, reason, at)"
    " SELECT t.repository_id, t.name, m.digest, :deletion_id, 'deleted', :actor, :reason, {now}"
    " FROM tags t JOIN manifests m ON m.id = t.manifest_id WHERE t.manifest_id = ANY(:manifest_ids) ORDER BY t.name"
)
_DROP_TAGS = Statement("DELETE FROM tags WHERE manifest_id = ANY(:manifest_ids)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What one deletion took away, and the id that brings it back.

    Attributes:
        id: what `Undelete` takes.
        manifests: the digests that went, the one that was asked for first.
        tags: the names that went.
        freed_after: microseconds until the bytes may go; 0 when there is no way back.
    """

    id: str
    manifests: tuple[str, ...]
    tags: tuple[str, ...]
    freed_after: int


class ManifestDeletion:
    """Deletes manifests for people and policies."""

    def __init__(self, database: Database, periods: Periods, immutable: ImmutableTags | None = None) -> None:
        self._database = database
        self._periods = periods
        self._immutable = immutable or NoImmutableTags()

    async def delete(self, project_id: int, path: str, digest: Digest, *, actor: str, reason: str) -> Deletion:
        """Deletes the manifest of that digest, with everything that exists only for it. It can be undeleted for a while.

        Raises:
            NameUnknown: there is no such repository.
            ManifestUnknown: it has no such manifest, or it is deleted already.
            Held: a hold, an immutable tag, or a live index (`PartOfIndex`) needs it.
        """

        async def run(transaction: Transaction) -> Deletion:
            repository = await repositories.lock(transaction, project_id, path)
            return await delete_manifest(
                transaction,
                repository,
                digest,
                actor=actor,
                reason=reason,
                periods=self._periods,
                immutable=self._immutable,
            )

        return await self._database.write(run)


async def delete_manifest(
    transaction: Transaction,
    repository: Repository,
    digest: Digest,
    *,
    actor: str,
    reason: str,
    periods: Periods,
    immutable: ImmutableTags,
) -> Deletion:
    """D, for a caller that holds lock ① on the repository; it ends with the ledger, so nothing may follow it.

    Raises:
        ManifestUnknown: the repository has no such live manifest.
        Held: a hold, an immutable tag, or a live index needs it.
    """
    target = await transaction.one(_FIND, repository_id=repository.id, digest=str(digest))
    if target is None:
        raise ManifestUnknown(
            f"The repository has no manifest {digest}. It may have been deleted already; list its tags to see what there is."
        )
    await _refuse(transaction, repository, target, immutable)
    members = await closure(transaction, Member(target[0], target[1], target[2]))
    manifest_ids = [member.id for member in members]
    window = (await project_periods(transaction, repository.project_id, periods)).window
    deletion_id = uuid.uuid4().hex
    tags = await drop_tags(transaction, manifest_ids, deletion_id=deletion_id, actor=actor, reason=reason)
    await transaction.execute(_MARK, manifest_ids=manifest_ids, deletion_id=deletion_id, window=window)
    deletion = Deletion(
        id=deletion_id, manifests=tuple(member.digest for member in members), tags=tags, freed_after=window
    )
    await _announce(transaction, repository, deletion, actor=actor, reason=reason)
    # What of an index stays behind is listed from now on.
    change = await artifacts.refresh(transaction, manifest_ids)
    await artifacts.touch(transaction, repository, change)
    blob_ids = await held_blobs(transaction, manifest_ids)
    used = sum(member.size for member in members)
    await ledger.uncount(transaction, repository.project_id, blob_ids, used=used, artifacts=change)
    return deletion


async def drop_tags(
    transaction: Transaction, manifest_ids: Sequence[int], *, deletion_id: str | None, actor: str, reason: str
) -> tuple[str, ...]:
    """Takes the tags off the manifests and writes them into the journal; their names, in order."""
    names = tuple(row[0] for row in await transaction.all(_TAGS, manifest_ids=manifest_ids))
    if names:
        await transaction.execute(
            _JOURNAL, manifest_ids=manifest_ids, deletion_id=deletion_id, actor=actor, reason=reason
        )
        await transaction.execute(_DROP_TAGS, manifest_ids=manifest_ids)
        await artifacts.drop_tags(transaction, manifest_ids)
    return names


async def _refuse(connection: Connection, repository: Repository, target: Row, immutable: ImmutableTags) -> None:
    manifest_id, digest = target[0], target[1]
    if target[3]:
        raise Held(f"The manifest {digest} is on hold. Lift the hold before deleting it.")
    parent = await connection.value(_LIVE_PARENT, manifest_id=manifest_id)
    if parent is not None:
        raise PartOfIndex(
            f"The manifest {digest} belongs to the index {parent} of this repository. Delete that index first; it takes"
            " along what belongs to it alone.",
            detail={"index": parent},
        )
    names = [row[0] for row in await connection.all(_TAGS, manifest_ids=[manifest_id])]
    kept = sorted(await immutable.among(connection, repository, names))
    if kept:
        raise Held(
            f"the tag {kept[0]} configured as immutable, cannot be deleted. Change the project's immutability rules, or"
            f" keep the manifest {digest}.",
            detail={"tags": kept},
        )


async def _announce(
    transaction: Transaction, repository: Repository, deletion: Deletion, *, actor: str, reason: str
) -> None:
    await events.append(
        transaction,
        kind=EventKind.MANIFEST_DELETED,
        project_id=repository.project_id,
        payload={
            "repository_id": repository.id,
            "repository": repository.path,
            "digest": deletion.manifests[0],
            "manifests": deletion.manifests,
            "tags": deletion.tags,
            "deletion_id": deletion.id,
            "actor": actor,
            "reason": reason,
        },
    )
