# SPDX-License-Identifier: Apache-2.0
"""Putting manifests into a repository with everything they refer to: the transaction W of `docs/why/metadata.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestBlobUnknown, ManifestInvalid
from longshore.oci.manifest import Manifest
from longshore.oci.names import TagName
from longshore.registry import artifacts, ledger, tags
from longshore.registry.facts import Facts, facts_of
from longshore.registry.models import Repository, Sparse
from longshore.registry.periods import Periods
from longshore.registry.revive import NOTHING, Revived, revive

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The manifest's row: whether this push made it, what bytes of it that adds, and what came back to life with it."""

    id: int
    created: bool
    used: int
    revived: Revived


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What one manifest adds: its blobs, the used and stored bytes, listed artifacts, and whether anything came or went."""

    blob_ids: frozenset[int]
    used: int
    stored: int
    listed: int
    moved: bool


async def store_manifests(
    transaction: Transaction, repository: Repository, pushes: Sequence[ManifestPush], *, periods: Periods
) -> None:
    """W, for one manifest or for several that appear at once, children before what contains them.

    The caller holds lock ①. It ends with the ledger, so nothing may follow it.

    Raises:
        ManifestBlobUnknown: a blob or a child is missing in the repository.
        ManifestInvalid: a blob has another size than the manifest says.
        QuotaExceeded: the project is full.
    """
    place = await transaction.one(_PLACE, repository_id=repository.id)
    sparse, listed = (Sparse.NONE, True) if place is None else (Sparse(place[0]), bool(place[1]))
    stored = [await _store(transaction, repository, pushed, sparse, periods) for pushed in pushes]
    change = sum(one.listed for one in stored)
    if any(one.moved for one in stored):
        await artifacts.touch(transaction, repository, change)
    if not listed:
        await transaction.execute(_LISTED, repository_id=repository.id)
    await ledger.count(
        transaction,
        repository.project_id,
        sorted(frozenset[int]().union(*(one.blob_ids for one in stored))),
        used=sum(one.used for one in stored),
        stored=sum(one.stored for one in stored),
        artifacts=change,
    )
    if not listed:
        await ledger.change_repository_count(transaction, repository.project_id, 1)


async def _store(
    transaction: Transaction, repository: Repository, pushed: ManifestPush, sparse: Sparse, periods: Periods
) -> _Stored:
    held, wanted = await _resolve_blobs(transaction, repository, pushed.manifest, sparse)
    known, missing = await _resolve_children(transaction, repository, pushed.manifest, sparse)
    row = await _upsert(transaction, repository, pushed, known, periods)
    parameters = {"id": row.id, "repository_id": repository.id}
    blob_ids = list(held.values())
    if blob_ids:
        await transaction.execute(_EDGES, **parameters, blob_ids=blob_ids)
        await transaction.execute(_HOLD, repository_id=repository.id, blob_ids=blob_ids)
        if not row.created:
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
    return _Stored(
        blob_ids=frozenset(blob_ids) | frozenset(row.revived.blob_ids),
        used=row.used + row.revived.manifest_bytes,
        stored=row.used,
        listed=change,
        moved=bool(row.created or row.revived.ids or added or change),
    )


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
