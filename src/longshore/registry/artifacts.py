# SPDX-License-Identifier: Apache-2.0
"""Keeping what lists show of manifests: rows of `artifacts`, and how many of them a repository and a project list.

Nothing here is computed when somebody looks. Whoever changes a manifest, a tag or an index says so in the same transaction,
under lock ①, and then settles by how much the number of listed artifacts changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.registry import ledger
from longshore.registry.facts import Facts
from longshore.registry.models import Repository

# Alive, no accessory, and tagged or in no index that is alive.
LISTED = """(accessory_type IS NULL
    AND EXISTS (SELECT 1 FROM manifests m WHERE m.id = artifacts.manifest_id AND m.deleted_at IS NULL)
    AND (EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = artifacts.manifest_id)
        OR NOT EXISTS (
            SELECT 1 FROM manifest_children c JOIN manifests p ON p.id = c.parent_id
            WHERE c.child_id = artifacts.manifest_id AND p.deleted_at IS NULL)))
"""
_CHILDREN_SIZE = "(SELECT coalesce(sum(k.size), 0) FROM artifacts k WHERE k.manifest_id = ANY(:children))"
# A manifest that is new is alive: whether it is listed needs no look at its own rows.
_INSERT = Statement(
    f"""
    INSERT INTO artifacts (manifest_id, repository_id, project_id, pushed_at, listed, tag_count, type, config_media_type,
        size, accessory_type, subject_digest, icon, additions, extra_attributes, described_at, describe_after)
    VALUES (:id, :repository_id, :project_id, {{now}},
        CAST(:accessory_type AS TEXT) IS NULL AND (CAST(:tag_count AS BIGINT) > 0 OR NOT EXISTS (
            SELECT 1 FROM manifest_children c JOIN manifests p ON p.id = c.parent_id
            WHERE c.child_id = :id AND p.deleted_at IS NULL)),
        :tag_count, :type, :config_media_type, :size + {_CHILDREN_SIZE}, :accessory_type, :subject_digest, :icon,
        :additions, :extra_attributes, CASE WHEN CAST(:complete AS BOOLEAN) THEN {{now}} END,
        CASE WHEN CAST(:complete AS BOOLEAN) THEN NULL ELSE {{now}} END)
    RETURNING listed
    """
)
# What a push tells again. That it was an accessory stays true: the tag that said so may not come with this push.
_UPSERT = Statement(
    f"""
    INSERT INTO artifacts (manifest_id, repository_id, project_id, pushed_at, tag_count, type, config_media_type, size,
        accessory_type, subject_digest, icon, additions, extra_attributes, described_at, describe_after)
    VALUES (:id, :repository_id, :project_id, {{now}}, :tag_count, :type, :config_media_type, :size + {_CHILDREN_SIZE},
        :accessory_type, :subject_digest, :icon, :additions, :extra_attributes,
        CASE WHEN CAST(:complete AS BOOLEAN) THEN {{now}} END,
        CASE WHEN CAST(:complete AS BOOLEAN) THEN NULL ELSE {{now}} END)
    ON CONFLICT (manifest_id) DO UPDATE SET
        pushed_at = CASE WHEN CAST(:revived AS BOOLEAN) THEN excluded.pushed_at ELSE artifacts.pushed_at END,
        tag_count = artifacts.tag_count + excluded.tag_count,
        size = excluded.size,
        accessory_type = coalesce(excluded.accessory_type, artifacts.accessory_type),
        subject_digest = coalesce(excluded.subject_digest, artifacts.subject_digest),
        type = CASE WHEN artifacts.described_at IS NULL THEN excluded.type ELSE artifacts.type END,
        config_media_type = excluded.config_media_type,
        icon = excluded.icon,
        additions = excluded.additions,
        extra_attributes = CASE WHEN excluded.described_at IS NULL THEN artifacts.extra_attributes
            ELSE excluded.extra_attributes END,
        described_at = coalesce(artifacts.described_at, excluded.described_at),
        describe_after = CASE WHEN artifacts.described_at IS NULL THEN excluded.describe_after END
    """
)
_GROW_PARENTS = Statement(
    "UPDATE artifacts SET size = size + (SELECT k.size FROM artifacts k WHERE k.manifest_id = :id)"
    " WHERE manifest_id IN (SELECT c.parent_id FROM manifest_children c WHERE c.child_id = :id)"
)
_COUNT_TAGS = Statement("UPDATE artifacts SET tag_count = tag_count + :change WHERE manifest_id = :id")
_UNTAG = Statement(
    f"UPDATE artifacts SET tag_count = tag_count - 1, listed = {LISTED} WHERE manifest_id = :id RETURNING listed"
)
_NO_TAGS = Statement("UPDATE artifacts SET tag_count = 0 WHERE manifest_id = ANY(:ids) AND tag_count > 0")
_REFRESH = Statement(
    f"""
    UPDATE artifacts SET listed = NOT listed
    WHERE manifest_id IN (
        SELECT m.id FROM manifests m WHERE m.id = ANY(:ids)
        UNION
        SELECT c.child_id FROM manifest_children c WHERE c.parent_id = ANY(:ids) AND c.child_id IS NOT NULL)
    AND listed <> {LISTED}
    RETURNING listed
    """
)
_TOUCH = Statement(
    "UPDATE repositories SET artifact_count = artifact_count + :change, updated_at = {now} WHERE id = :repository_id"
)
_COUNT = Statement("UPDATE repositories SET artifact_count = artifact_count + :change WHERE id = :repository_id")


async def insert(
    transaction: Transaction,
    repository: Repository,
    manifest_id: int,
    facts: Facts,
    *,
    children: Collection[int],
    tag_count: int,
    adopted: bool,
) -> int:
    """The row of a new manifest, after its edges and tags; by how many the listed artifacts changed.

    `children` are the manifests that an index contains, and `adopted` says that an index was there before it.
    """
    parameters = _parameters(repository, manifest_id, facts, children=children, tag_count=tag_count)
    listed = await transaction.value(_INSERT, **parameters)
    if adopted:
        await transaction.execute(_GROW_PARENTS, id=manifest_id)
    return int(bool(listed))


async def renew(
    transaction: Transaction,
    repository: Repository,
    manifest_id: int,
    facts: Facts,
    *,
    children: Collection[int],
    tag_count: int,
    revived: bool,
) -> None:
    """The row of a manifest that was pushed again, with so many tags that it hadn't. `refresh` follows."""
    parameters = _parameters(repository, manifest_id, facts, children=children, tag_count=tag_count)
    await transaction.execute(_UPSERT, **parameters, revived=revived)


async def refresh(transaction: Transaction, manifest_ids: Sequence[int]) -> int:
    """Looks again whether these manifests and the children of these are listed; by how many those changed."""
    if not manifest_ids:
        return 0
    rows = await transaction.all(_REFRESH, ids=list(manifest_ids))
    return sum(1 if row[0] else -1 for row in rows)


async def count_tags(transaction: Transaction, manifest_id: int, change: int) -> None:
    """The manifest has so many tags more. `refresh` follows."""
    await transaction.execute(_COUNT_TAGS, id=manifest_id, change=change)


async def untag(transaction: Transaction, manifest_id: int, *, was_listed: bool) -> int:
    """The manifest has lost a tag; by how many the listed artifacts changed."""
    listed = await transaction.value(_UNTAG, id=manifest_id)
    return 0 if listed is None else int(bool(listed)) - int(was_listed)


async def drop_tags(transaction: Transaction, manifest_ids: Sequence[int]) -> None:
    """The manifests have lost all their tags. `refresh` follows."""
    await transaction.execute(_NO_TAGS, ids=list(manifest_ids))


async def touch(transaction: Transaction, repository: Repository, change: int) -> None:
    """An artifact or a tag of the repository came or went: so many artifacts more are listed in it.

    The project's number is the ledger's, at the end of the transaction.
    """
    await transaction.execute(_TOUCH, repository_id=repository.id, change=change)


async def count(transaction: Transaction, repository: Repository, change: int) -> None:
    """So many artifacts more are listed, without anything having come or gone; the project's number is the caller's."""
    if change:
        await transaction.execute(_COUNT, repository_id=repository.id, change=change)


async def settle(transaction: Transaction, repository: Repository, change: int) -> None:
    """`touch`, and the project's number: the last statements of a transaction that changes no bytes."""
    await touch(transaction, repository, change)
    await ledger.change(transaction, repository.project_id, used=0, stored=0, artifacts=change)


def _parameters(
    repository: Repository, manifest_id: int, facts: Facts, *, children: Collection[int], tag_count: int
) -> dict[str, object]:
    return {
        "id": manifest_id,
        "repository_id": repository.id,
        "project_id": repository.project_id,
        "tag_count": tag_count,
        "type": facts.type,
        "config_media_type": facts.config_media_type,
        "size": facts.size,
        "children": list(children),
        "accessory_type": None if facts.accessory is None else facts.accessory.value,
        "subject_digest": None if facts.subject is None else str(facts.subject),
        "icon": None if facts.icon is None else str(facts.icon),
        "additions": msgspec.json.encode(facts.additions).decode(),
        "extra_attributes": facts.extra_attributes,
        "complete": facts.complete,
    }
