# SPDX-License-Identifier: Apache-2.0
"""Taking a deletion back (U of `docs/why/metadata.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from longshore.database.connection import Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.events import service as events
from longshore.events.models import EventKind
from longshore.oci.errors import NotFound
from longshore.oci.names import TagName
from longshore.registry import artifacts, ledger, repositories
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.revive import revive
from longshore.registry.tags import insert, journal

_MANIFESTS = Statement(
    "SELECT id FROM manifests WHERE deletion_id = :deletion_id AND repository_id = :repository_id ORDER BY id"
)
# What became of each tag that the deletion took: the manifest, whether the name is taken, whether its history went on.
_TAGS = Statement(
    """
    SELECT j.name, j.digest,
        (SELECT m.id FROM manifests m
         WHERE m.repository_id = j.repository_id AND m.digest = j.digest AND m.deleted_at IS NULL) AS manifest_id,
        EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = j.repository_id AND t.name = j.name) AS taken,
        EXISTS (SELECT 1 FROM tag_journal later
         WHERE later.repository_id = j.repository_id AND later.name = j.name AND later.id > j.id) AS newer
    FROM tag_journal j
    WHERE j.deletion_id = :deletion_id AND j.repository_id = :repository_id AND j.action = 'deleted' ORDER BY j.id
    """
)


class NotRestored(Enum):
    """Why a tag did not come back."""

    MANIFEST_GONE = "the manifest it pointed to is gone for good or deleted by another deletion"
    NAME_TAKEN = "the name is in use again"
    CHANGED_SINCE = "the name was used again after the deletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What came back: digests and tags, and which tags did not and why."""

    manifests: tuple[str, ...]
    tags: tuple[str, ...]
    not_restored: tuple[tuple[str, NotRestored], ...]


class Undelete:
    """Brings deleted manifests and tags back until they are purged."""

    def __init__(self, database: Database, periods: Periods) -> None:
        self._database = database
        self._periods = periods

    async def undelete(self, project_id: int, path: str, deletion_id: str, *, actor: str) -> Restoration:
        """Takes back everything that one deletion took, as far as it is still there.

        Raises:
            NameUnknown: there is no such repository (a deleted one is restored first).
            NotFound: no manifest and no tag of that deletion is left.
            QuotaExceeded: the project has no room for what would come back.
        """

        async def run(transaction: Transaction) -> Restoration:
            repository = await repositories.lock(transaction, project_id, path)
            return await _undelete(transaction, repository, deletion_id, actor=actor, periods=self._periods)

        return await self._database.write(run)


async def _undelete(
    transaction: Transaction, repository: Repository, deletion_id: str, *, actor: str, periods: Periods
) -> Restoration:
    parameters = {"deletion_id": deletion_id, "repository_id": repository.id}
    manifest_ids = [row[0] for row in await transaction.all(_MANIFESTS, **parameters)]
    revived = await revive(transaction, repository, manifest_ids, periods=periods)
    # Read after the revival: a tag comes back only to a manifest that is alive.
    tags = await transaction.all(_TAGS, **parameters)
    if not manifest_ids and not tags:
        raise NotFound(
            "Nothing of that deletion is left in this repository: it was taken back already, or its time to restore is over."
        )
    restored, left = [], []
    for tag in tags:
        reason = _why_not(tag)
        if reason is None:
            await _restore_tag(transaction, repository, tag, actor=actor)
            restored.append(tag[0])
        else:
            left.append((tag[0], reason))
    restoration = Restoration(manifests=revived.digests, tags=tuple(restored), not_restored=tuple(left))
    if restoration.manifests or restoration.tags:
        await _announce(transaction, repository, restoration, deletion_id=deletion_id, actor=actor)
        # Also the manifests that only a tag came back to.
        tagged = {tag["manifest_id"] for tag in tags if tag[0] in restored}
        change = await artifacts.refresh(transaction, sorted({*revived.ids, *tagged}))
        await artifacts.touch(transaction, repository, change)
    else:
        change = 0
    await ledger.count(
        transaction, repository.project_id, revived.blob_ids, used=revived.manifest_bytes, artifacts=change
    )
    return restoration


def _why_not(tag: Row) -> NotRestored | None:
    if tag["taken"]:
        return NotRestored.NAME_TAKEN
    if tag["newer"]:
        return NotRestored.CHANGED_SINCE
    if tag["manifest_id"] is None:
        return NotRestored.MANIFEST_GONE
    return None


async def _restore_tag(transaction: Transaction, repository: Repository, tag: Row, *, actor: str) -> None:
    line = await journal(
        transaction, repository.id, tag["name"], tag["digest"], action="restored", actor=actor, reason="undelete"
    )
    await insert(transaction, repository, TagName(tag["name"]), tag["manifest_id"], line)
    await artifacts.count_tags(transaction, tag["manifest_id"], 1)


async def _announce(
    transaction: Transaction, repository: Repository, restoration: Restoration, *, deletion_id: str, actor: str
) -> None:
    await events.append(
        transaction,
        kind=EventKind.MANIFEST_RESTORED,
        project_id=repository.project_id,
        payload={
            "repository_id": repository.id,
            "repository": repository.path,
            "manifests": restoration.manifests,
            "tags": restoration.tags,
            "deletion_id": deletion_id,
            "actor": actor,
        },
    )
