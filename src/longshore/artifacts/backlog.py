# SPDX-License-Identifier: Apache-2.0
"""Describing what a push could not: artifacts from before there were descriptions, and those whose config wasn't at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from longshore.artifacts.contents import Contents
from longshore.artifacts.describing import LARGEST_CONFIG, NOT_THERE, describe
from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.oci.descriptor import Descriptor
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestUnknown
from longshore.oci.manifest import Manifest, parse_manifest
from longshore.oci.names import TagName
from longshore.registry import artifacts, ledger
from longshore.registry.facts import Facts, facts_of
from longshore.registry.locking import lock_by_id
from longshore.registry.step import MINUTE, Progress, QueueStep, count_due

_LATER: Final = 10 * MINUTE
_MUCH_LATER: Final = 24 * 60 * MINUTE
_DUE = Statement(
    "SELECT a.manifest_id, a.repository_id FROM artifacts a"
    " WHERE a.describe_after IS NOT NULL AND a.describe_after < (SELECT {now})"
    " ORDER BY a.describe_after, a.manifest_id LIMIT :limit"
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM artifacts WHERE describe_after IS NOT NULL AND describe_after < (SELECT {now})"
    " LIMIT :limit) AS due"
)
_MANIFEST = Statement("SELECT payload, media_type FROM manifests WHERE id = :manifest_id")
_BELOW = Statement(
    "SELECT m.payload, m.media_type, m.id FROM manifest_children c JOIN manifests m ON m.id = c.child_id"
    " WHERE c.parent_id = :manifest_id AND c.child_digest = :digest"
)
_TAGS = Statement("SELECT name FROM tags WHERE manifest_id = :manifest_id AND subject_digest IS NOT NULL")
_POSTPONE = Statement(
    "UPDATE artifacts SET describe_after = {now} + :delay WHERE manifest_id = :manifest_id AND describe_after IS NOT NULL"
)
_SIZE = Statement("SELECT size FROM artifacts WHERE manifest_id = :manifest_id AND describe_after IS NOT NULL")
_WRITE = Statement(
    """
    UPDATE artifacts SET type = :type, config_media_type = :config_media_type, icon = :icon, additions = :additions,
        size = :size + (SELECT coalesce(sum(k.size), 0) FROM manifest_children c JOIN artifacts k ON k.manifest_id = c.child_id
            WHERE c.parent_id = :manifest_id),
        accessory_type = coalesce(:accessory_type, accessory_type),
        subject_digest = coalesce(:subject_digest, subject_digest),
        extra_attributes = :extra_attributes, described_at = {now}, describe_after = NULL
    WHERE manifest_id = :manifest_id RETURNING size
    """
)
# An index that was described before what it contains has the sizes that were known then.
_GROW_PARENTS = Statement(
    "UPDATE artifacts SET size = size + :change"
    " WHERE manifest_id IN (SELECT c.parent_id FROM manifest_children c WHERE c.child_id = :manifest_id)"
)


@dataclass(frozen=True, slots=True)
class Due:
    """An artifact that waits to be described."""

    manifest_id: int
    repository_id: int


class DescribeArtifacts(QueueStep[Due]):
    """Reads what is still to be read of artifacts, one transaction each, in the order in which they came."""

    name = "describe"

    def __init__(self, database: Database, contents: Contents, *, concurrency: int = 2) -> None:
        super().__init__(database, concurrency=concurrency)
        self._contents = contents

    async def due(self, limit: int) -> list[Due]:
        """Artifacts to describe, the longest waiting first."""

        async def run(connection: Connection) -> list[Due]:
            return [Due(row[0], row[1]) for row in await connection.all(_DUE, limit=limit)]

        return await self._database.read(run)

    async def depth(self) -> int:
        """How many are due."""
        return await count_due(self._database, _DEPTH)

    async def settle(self, item: Due) -> Progress:
        """Describes one. What it refers to may come later, in a proxy: then it is looked at again once a day."""
        try:
            facts = await self._facts(item.manifest_id)
        except NOT_THERE:
            await self._postpone(item, _MUCH_LATER)
            return Progress(handled=1)
        if facts is None:
            return Progress()

        async def run(transaction: Transaction) -> None:
            await _write(transaction, item, facts)

        await self._database.write(run)
        return Progress(handled=1)

    async def postpone(self, item: Due) -> None:
        """Tries again in ten minutes."""
        await self._postpone(item, _LATER)

    async def _postpone(self, item: Due, delay: int) -> None:
        async def run(transaction: Transaction) -> int:
            return await transaction.execute(_POSTPONE, manifest_id=item.manifest_id, delay=delay)

        await self._database.write(run)

    async def _facts(self, manifest_id: int) -> Facts | None:
        async def read(connection: Connection) -> tuple[Row | None, list[TagName]]:
            tags = await connection.all(_TAGS, manifest_id=manifest_id)
            return await connection.one(_MANIFEST, manifest_id=manifest_id), [TagName.parse(tag[0]) for tag in tags]

        row, tags = await self._database.read(read)
        if row is None:
            return None
        owner = manifest_id

        async def blob(descriptor: Descriptor) -> bytes:
            return await self._contents.of_manifest(owner, descriptor.digest, most=LARGEST_CONFIG)

        async def below(digest: Digest) -> Manifest:
            nonlocal owner
            child = await self._child(manifest_id, digest)
            owner = child[2]
            return parse_manifest(bytes(child[0]), child[1])

        manifest = parse_manifest(bytes(row[0]), row[1])
        return await describe(facts_of(manifest, tags), manifest, blob, below)

    async def _child(self, manifest_id: int, digest: Digest) -> Row:
        row = await self._database.one(_BELOW, manifest_id=manifest_id, digest=str(digest))
        if row is None:
            raise ManifestUnknown(f"The index has no manifest {digest} yet.")
        return row


async def _write(transaction: Transaction, item: Due, facts: Facts) -> None:
    """Under lock ①, since what turns out to be an accessory leaves the lists."""
    locked = await lock_by_id(transaction, item.repository_id)
    before = await transaction.value(_SIZE, manifest_id=item.manifest_id)
    if locked is None or before is None:
        return
    size = await transaction.value(
        _WRITE,
        manifest_id=item.manifest_id,
        type=facts.type,
        config_media_type=facts.config_media_type,
        icon=None if facts.icon is None else str(facts.icon),
        additions=msgspec.json.encode(facts.additions).decode(),
        size=facts.size,
        accessory_type=None if facts.accessory is None else facts.accessory.value,
        subject_digest=None if facts.subject is None else str(facts.subject),
        extra_attributes=facts.extra_attributes,
    )
    if size != before:
        await transaction.execute(_GROW_PARENTS, manifest_id=item.manifest_id, change=size - before)
    change = await artifacts.refresh(transaction, [item.manifest_id])
    await artifacts.count(transaction, locked.repository, change)
    if not locked.deleted:
        await ledger.change(transaction, locked.repository.project_id, used=0, stored=0, artifacts=change)
