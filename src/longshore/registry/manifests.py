# SPDX-License-Identifier: Apache-2.0
"""Manifests: pushing them with everything they refer to (W of `docs/why/metadata.md`), and reading them."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from longshore.database.connection import Database, Transaction
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestBlobUnknown, ManifestInvalid, ManifestUnknown
from longshore.oci.manifest import Manifest
from longshore.oci.names import TagName
from longshore.registry import artifacts, ledger, repositories, tags
from longshore.registry.facts import Facts, facts_of
from longshore.registry.models import PushedManifest, Repository, Sparse, StoredManifest
from longshore.registry.periods import Periods
from longshore.registry.quota import tells_when_full
from longshore.registry.revive import NOTHING, Revived, revive

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
_BLOBS = Statement("SELECT id, digest, size FROM blobs WHERE digest = ANY(:digests) ORDER BY id FOR KEY SHARE")
_MEMBERSHIPS = Statement(
    """
    SELECT rb.blob_id,
        (rb.lease_until IS NULL OR rb.lease_until > {now} OR EXISTS (
            SELECT 1 FROM manifest_blobs mb WHERE mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id)
         OR EXISTS (
            SELECT 1 FROM manifest_wants mw WHERE mw.repository_id = rb.repository_id AND mw.digest = b.digest)) AS kept
    FROM repository_blobs rb JOIN blobs b ON b.id = rb.blob_id
    WHERE rb.repository_id = :repository_id AND rb.blob_id = ANY(:ids) AND rb.hidden_at IS NULL AND NOT b.damaged
    """
)
_CHILDREN = Statement(
    "SELECT id, digest FROM manifests WHERE repository_id = :repository_id AND digest = ANY(:digests)"
)
_EXISTING = Statement(
    "SELECT id, deleted_at FROM manifests WHERE repository_id = :repository_id AND digest = :digest FOR UPDATE"
)
_INSERT = Statement(
    """
    INSERT INTO manifests (repository_id, digest, media_type, artifact_type, subject_digest, payload, size, annotations,
        pushed_at, review_after)
    VALUES (:repository_id, :digest, :media_type, :artifact_type, :subject_digest, :payload, :size, :annotations, {now},
        (SELECT {now} + greatest(p.untagged_ttl, :grace) FROM projects p
         WHERE p.id = :project_id AND p.untagged_ttl IS NOT NULL))
    RETURNING id
    """
)
_TOUCH = Statement(
    """
    UPDATE manifests SET pushed_at = {now}, media_type = :media_type,
        review_after = (SELECT {now} + greatest(p.untagged_ttl, :grace) FROM projects p
         WHERE p.id = :project_id AND p.untagged_ttl IS NOT NULL)
    WHERE id = :id
    """
)
_EDGES = Statement(
    "INSERT INTO manifest_blobs (manifest_id, repository_id, blob_id)"
    " SELECT :id, rb.repository_id, rb.blob_id FROM repository_blobs rb"
    " WHERE rb.repository_id = :repository_id AND rb.blob_id = ANY(:blob_ids) ON CONFLICT DO NOTHING"
)
_HOLD = Statement(
    "UPDATE repository_blobs SET lease_until = NULL WHERE repository_id = :repository_id AND blob_id = ANY(:blob_ids)"
    " AND lease_until IS NOT NULL"
)
# A manifest that is pushed again may have a blob that couldn't be seen: hidden while it was deleted, or damaged.
_WANT = Statement(
    "INSERT INTO manifest_wants (manifest_id, repository_id, digest)"
    " SELECT CAST(:id AS BIGINT), CAST(:repository_id AS BIGINT), each.value FROM {each:digests} WHERE NOT EXISTS ("
    "SELECT 1 FROM manifest_blobs mb JOIN blobs b ON b.id = mb.blob_id WHERE mb.manifest_id = :id AND b.digest = each.value)"
    " ON CONFLICT DO NOTHING"
)
_WANT_NO_MORE = Statement("DELETE FROM manifest_wants WHERE manifest_id = :id AND digest = ANY(:digests)")
_KNOWN_CHILDREN = Statement(
    "INSERT INTO manifest_children (parent_id, repository_id, child_digest, child_id)"
    " SELECT :id, m.repository_id, m.digest, m.id FROM manifests m"
    " WHERE m.repository_id = :repository_id AND m.digest = ANY(:digests) ON CONFLICT DO NOTHING"
)
_MISSING_CHILDREN = Statement(
    "INSERT INTO manifest_children (parent_id, repository_id, child_digest)"
    " SELECT CAST(:id AS BIGINT), CAST(:repository_id AS BIGINT), each.value FROM {each:digests} WHERE true"
    " ON CONFLICT DO NOTHING"
)
_ADOPT = Statement(
    "UPDATE manifest_children SET child_id = :id"
    " WHERE repository_id = :repository_id AND child_digest = :digest AND child_id IS NULL"
)
_LISTED = Statement("UPDATE repositories SET listed_at = {now} WHERE id = :repository_id AND listed_at IS NULL")
_PLACE = Statement(
    "SELECT p.sparse, r.listed_at IS NOT NULL FROM repositories r JOIN projects p ON p.id = r.project_id"
    " WHERE r.id = :repository_id"
)

_FOREIGN_KEY_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPush:
    """A manifest that arrived: parsed, with its digest checked against the payload."""

    manifest: Manifest
    digest: Digest
    payload: bytes
    tags: tuple[TagName, ...]
    actor: str
    facts: Facts | None = None
    """With what stands in the config, where it could be read; None: what the manifest itself tells."""


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

    @tells_when_full
    async def push(self, project_id: int, path: str, pushed: ManifestPush) -> PushedManifest:
        """W: everything the manifest refers to is there and from now on held; its tags point to it.

        Raises:
            ManifestBlobUnknown: a blob or a child is missing in the repository.
            ManifestInvalid: a blob has another size than the manifest says.
            QuotaExceeded: the project is full.
            NameUnknown: the project is gone.
        """

        async def run(transaction: Transaction) -> PushedManifest:
            repository = await repositories.find_or_create(transaction, project_id, path)
            repository = await repositories.lock(transaction, project_id, path)
            return await _push(transaction, repository, pushed, self._periods)

        for _ in range(_FOREIGN_KEY_ATTEMPTS):
            try:
                return await self._database.write(run)
            except ForeignKeyViolation:
                # A membership or a child was collected between our look and our edge: the next look says so.
                continue
        raise ManifestBlobUnknown(
            "Something that the manifest refers to is being deleted at this moment. Push it again, then the manifest."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The manifest's row: whether this push made it, what bytes of it that adds, and what came back to life with it."""

    id: int
    created: bool
    used: int
    revived: Revived


async def _push(
    transaction: Transaction, repository: Repository, pushed: ManifestPush, periods: Periods
) -> PushedManifest:
    manifest = pushed.manifest
    place = await transaction.one(_PLACE, repository_id=repository.id)
    sparse, listed = (Sparse.NONE, True) if place is None else (Sparse(place[0]), bool(place[1]))
    held, wanted = await _resolve_blobs(transaction, repository, manifest, sparse)
    known, missing = await _resolve_children(transaction, repository, manifest, sparse)
    row = await _upsert(transaction, repository, pushed, known, periods)
    parameters = {"id": row.id, "repository_id": repository.id}
    blob_ids = list(held.values())
    if blob_ids:
        await transaction.execute(_EDGES, **parameters, blob_ids=blob_ids)
        await transaction.execute(_HOLD, repository_id=repository.id, blob_ids=blob_ids)
        await transaction.execute(_WANT_NO_MORE, id=row.id, digests=list(held))
    if wanted:
        await transaction.execute(_WANT, **parameters, digests=wanted)
    if known:
        await transaction.execute(_KNOWN_CHILDREN, **parameters, digests=list(known))
    if missing:
        await transaction.execute(_MISSING_CHILDREN, **parameters, digests=missing)
    adopted = await transaction.execute(_ADOPT, **parameters, digest=str(pushed.digest))
    added, change = await _point_tags(transaction, repository, row.id, pushed, periods)
    change += await _describe(transaction, repository, row, pushed, known, tag_count=added, adopted=bool(adopted))
    await _announce(transaction, repository, pushed)
    if row.created or row.revived.ids or added or change:
        await artifacts.touch(transaction, repository, change)
    if not listed:
        await transaction.execute(_LISTED, repository_id=repository.id)
    blobs = sorted({*blob_ids, *row.revived.blob_ids})
    used = row.used + row.revived.manifest_bytes
    await ledger.count(transaction, repository.project_id, blobs, used=used, stored=row.used, artifacts=change)
    if not listed:
        await ledger.change_repository_count(transaction, repository.project_id, 1)
    subject = None if manifest.subject is None else manifest.subject.digest
    return PushedManifest(digest=pushed.digest, subject=subject, tags=pushed.tags)


async def _point_tags(
    transaction: Transaction, repository: Repository, manifest_id: int, pushed: ManifestPush, periods: Periods
) -> tuple[int, int]:
    """How many tags the manifest has newly, and by how many the other listed artifacts changed."""
    added = others = 0
    for tag in pushed.tags:
        pointed = await tags.point(
            transaction,
            repository,
            tag,
            manifest_id,
            pushed.digest,
            actor=pushed.actor,
            reason="push",
            periods=periods,
        )
        added += pointed.added
        others += pointed.others
    return added, others


async def _describe(
    transaction: Transaction,
    repository: Repository,
    row: _Row,
    pushed: ManifestPush,
    children: dict[str, int],
    *,
    tag_count: int,
    adopted: bool,
) -> int:
    """Writes what lists show of the manifest; by how many the listed artifacts changed."""
    facts = pushed.facts or facts_of(pushed.manifest, pushed.tags)
    below = children.values()
    if not row.created:
        await artifacts.renew(
            transaction,
            repository,
            row.id,
            facts,
            children=below,
            tag_count=tag_count,
            revived=row.id in row.revived.ids,
        )
        return await artifacts.refresh(transaction, [row.id, *row.revived.ids])
    change = await artifacts.insert(
        transaction, repository, row.id, facts, children=below, tag_count=tag_count, adopted=adopted
    )
    # An index hides what it contains.
    return change + (await artifacts.refresh(transaction, [row.id, *row.revived.ids]) if below else 0)


async def _announce(transaction: Transaction, repository: Repository, pushed: ManifestPush) -> None:
    await append(
        transaction,
        kind=EventKind.MANIFEST_PUSHED,
        project_id=repository.project_id,
        payload={
            "repository_id": repository.id,
            "repository": repository.path,
            "digest": str(pushed.digest),
            "tags": [str(tag) for tag in pushed.tags],
            "media_type": pushed.manifest.media_type,
            "actor": pushed.actor,
        },
    )


async def _resolve_blobs(
    transaction: Transaction, repository: Repository, manifest: Manifest, sparse: Sparse
) -> tuple[dict[str, int], list[str]]:
    """Which blobs the manifest will hold, digest by id, and which it wants (in a sparse project only)."""
    needed = {str(blob.digest): blob.size for blob in manifest.blobs}
    optional = {str(blob.digest): blob.size for blob in manifest.optional_blobs}
    if not needed and not optional:
        return {}, []
    rows = await transaction.all(_BLOBS, digests=[*needed, *optional])
    found = {row[1]: (row[0], row[2]) for row in rows}
    # In a new statement: a lock in a join would keep the old snapshot of the memberships.
    memberships = await transaction.all(_MEMBERSHIPS, repository_id=repository.id, ids=[row[0] for row in rows])
    kept = {row[0]: bool(row[1]) for row in memberships}
    held: dict[str, int] = {}
    missing: list[str] = []
    for digest, size in {**optional, **needed}.items():
        blob_id, actual = found.get(digest, (None, None))
        if blob_id is not None and (kept.get(blob_id) or (blob_id in kept and sparse is Sparse.ANY)):
            if actual != size:
                raise ManifestInvalid(
                    f"The manifest says that {digest} has {size} bytes, but the blob has {actual}. Build the manifest anew."
                )
            held[digest] = blob_id
        elif digest in needed:
            missing.append(digest)
    if missing and sparse is not Sparse.ANY:
        raise _blob_unknown("blob", missing)
    return held, missing


async def _resolve_children(
    transaction: Transaction, repository: Repository, manifest: Manifest, sparse: Sparse
) -> tuple[dict[str, int], list[str]]:
    digests = [str(child.digest) for child in manifest.children]
    if not digests:
        return {}, []
    rows = await transaction.all(_CHILDREN, repository_id=repository.id, digests=digests)
    known = {row[1]: row[0] for row in rows}
    missing = [digest for digest in digests if digest not in known]
    if missing and sparse is Sparse.NONE:
        raise _blob_unknown("manifest", missing)
    return known, missing


async def _upsert(
    transaction: Transaction, repository: Repository, pushed: ManifestPush, children: dict[str, int], periods: Periods
) -> _Row:
    manifest = pushed.manifest
    existing = await transaction.one(_EXISTING, repository_id=repository.id, digest=str(pushed.digest))
    if existing is None:
        size = len(pushed.payload)
        manifest_id: int = await transaction.value(
            _INSERT,
            repository_id=repository.id,
            digest=str(pushed.digest),
            media_type=manifest.media_type,
            artifact_type=manifest.artifact_type,
            subject_digest=None if manifest.subject is None else str(manifest.subject.digest),
            payload=pushed.payload,
            size=size,
            annotations=msgspec.json.encode(dict(manifest.annotations)).decode(),
            grace=periods.grace,
            project_id=repository.project_id,
        )
        revived = NOTHING
        if children:
            revived = await revive(transaction, repository, list(children.values()), periods=periods)
        return _Row(id=manifest_id, created=True, used=size, revived=revived)
    manifest_id = existing[0]
    revived = await revive(transaction, repository, [manifest_id, *children.values()], periods=periods)
    await transaction.execute(
        _TOUCH,
        id=manifest_id,
        media_type=manifest.media_type,
        project_id=repository.project_id,
        grace=periods.grace,
    )
    return _Row(id=manifest_id, created=False, used=0, revived=revived)


def _blob_unknown(kind: str, digests: list[str]) -> ManifestBlobUnknown:
    shown = ", ".join(digests[:5]) + (f" and {len(digests) - 5} more" if len(digests) > 5 else "")
    return ManifestBlobUnknown(
        f"The manifest refers to {kind}s that the repository doesn't have: {shown}. Push them first.",
        detail=[{"digest": digest} for digest in digests[:100]],
    )
