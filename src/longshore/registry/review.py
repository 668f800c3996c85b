# SPDX-License-Identifier: Apache-2.0
"""Looking at manifests that lost a reference (R of `docs/why/metadata.md`)."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.registry.deletion import delete_manifest
from longshore.registry.errors import Held
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.locking import lock_by_id
from longshore.registry.periods import Periods
from longshore.registry.policy import ReviewFacts, Verdict, review
from longshore.registry.step import MINUTE, Progress, QueueStep, count_due

_RETRY = 10 * MINUTE
_ACTOR = "longshore"
_DUE = Statement(
    "SELECT id, repository_id FROM manifests WHERE review_after IS NOT NULL AND review_after < (SELECT {now})"
    " ORDER BY review_after LIMIT :limit"
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM manifests WHERE review_after IS NOT NULL AND review_after < (SELECT {now})"
    " LIMIT :limit) AS due"
)
# A tag of cosign's scheme makes its manifest a referrer; a subject inside the manifest's own tree can't keep it, since it is
# the manifest that keeps the tree.
_FACTS = Statement(
    """
    WITH RECURSIVE tree (id) AS (
        SELECT id FROM manifests WHERE id = :manifest_id
        UNION
        SELECT c.child_id FROM tree JOIN manifest_children c ON c.parent_id = tree.id WHERE c.child_id IS NOT NULL)
    SELECT m.digest, m.hold, p.untagged_ttl,
        EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = m.id AND t.subject_digest IS NULL) AS tagged,
        EXISTS (SELECT 1 FROM manifest_children c WHERE c.child_id = m.id) AS has_parent,
        (EXISTS (
            SELECT 1 FROM manifests s WHERE s.repository_id = m.repository_id AND s.digest = m.subject_digest
            AND s.id NOT IN (SELECT id FROM tree))
        OR EXISTS (
            SELECT 1 FROM tags t JOIN manifests s ON s.repository_id = t.repository_id AND s.digest = t.subject_digest
            WHERE t.manifest_id = m.id AND s.id NOT IN (SELECT id FROM tree))) AS has_subject
    FROM manifests m JOIN repositories r ON r.id = m.repository_id JOIN projects p ON p.id = r.project_id
    WHERE m.id = :manifest_id AND m.deleted_at IS NULL AND m.review_after < {now}
    """
)
_SETTLED = Statement("UPDATE manifests SET review_after = NULL WHERE id = :manifest_id")
_POSTPONE = Statement(
    "UPDATE manifests SET review_after = {now} + :delay WHERE id = :manifest_id AND review_after < {now}"
)


@dataclass(frozen=True, slots=True)
class Due:
    """A manifest whose time has come."""

    manifest_id: int
    repository_id: int


class Review(QueueStep[Due]):
    """Deletes manifests that nothing refers to any more, when the project has a rule for them."""

    name = "review"

    def __init__(
        self, database: Database, periods: Periods, immutable: ImmutableTags | None = None, *, concurrency: int = 2
    ) -> None:
        super().__init__(database, concurrency=concurrency)
        self._periods = periods
        self._immutable = immutable or NoImmutableTags()

    async def due(self, limit: int) -> list[Due]:
        """Manifests to look at, the longest waiting first."""

        async def run(connection: Connection) -> list[Due]:
            return [Due(row[0], row[1]) for row in await connection.all(_DUE, limit=limit)]

        return await self._database.read(run)

    async def depth(self) -> int:
        """How many are due."""
        return await count_due(self._database, _DEPTH)

    async def settle(self, item: Due) -> Progress:
        """Decides about one manifest."""

        async def run(transaction: Transaction) -> bool:
            return await review_manifest(transaction, item, periods=self._periods, immutable=self._immutable)

        return Progress(handled=int(await self._database.write(run)))

    async def postpone(self, item: Due) -> None:
        """Looks again in ten minutes."""

        async def run(transaction: Transaction) -> int:
            return await transaction.execute(_POSTPONE, manifest_id=item.manifest_id, delay=_RETRY)

        await self._database.write(run)


async def review_manifest(transaction: Transaction, item: Due, *, periods: Periods, immutable: ImmutableTags) -> bool:
    """R: keeps the manifest, or deletes it as a person would. False when there was nothing to decide."""
    locked = await lock_by_id(transaction, item.repository_id)
    if locked is None:
        return False
    if locked.deleted:
        # What is decided about the repository decides about its manifests; if it comes back, they are looked at again.
        await transaction.execute(_POSTPONE, manifest_id=item.manifest_id, delay=max(periods.grace, _RETRY))
        return False
    row = await transaction.one(_FACTS, manifest_id=item.manifest_id)
    if row is None:
        return False
    facts = ReviewFacts(
        hold=bool(row["hold"]),
        tagged=bool(row["tagged"]),
        has_parent=bool(row["has_parent"]),
        has_subject=bool(row["has_subject"]),
        untagged_ttl=row["untagged_ttl"],
    )
    verdict = review(facts)
    if verdict is not Verdict.DELETE:
        await transaction.execute(_SETTLED, manifest_id=item.manifest_id)
        return True
    try:
        await delete_manifest(
            transaction,
            locked.repository,
            Digest.parse(row["digest"]),
            actor=_ACTOR,
            reason=verdict.value,
            periods=periods,
            immutable=immutable,
        )
    except Held:
        # An immutable tag that doesn't count as a tag: the rules may change, so ask again.
        await transaction.execute(_POSTPONE, manifest_id=item.manifest_id, delay=max(periods.grace, _RETRY))
    return True
