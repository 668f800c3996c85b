# SPDX-License-Identifier: Apache-2.0
"""What exists only for a manifest: the set that a deletion takes along (D of `docs/why/metadata.md`).

A manifest joins when everything alive that holds it (the indexes that list it, the subjects it speaks of) is in the set.
Each manifest is asked about once and each edge is looked at once, however long a chain of referrers somebody has pushed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longshore.database.connection import Connection
from longshore.database.statement import Statement

# Children and referrers that are alive, without hold and without a tag. A tag of cosign's scheme (tags.subject_digest is
# set) makes its manifest a referrer and doesn't count as a tag.
_DEPENDENTS = Statement(
    """
    SELECT m.id, m.digest, m.size FROM manifests m
    WHERE m.id IN (
        SELECT c.child_id FROM manifest_children c WHERE c.parent_id = ANY(:members) AND c.child_id IS NOT NULL
        UNION
        SELECT r.id FROM manifests s JOIN manifests r
        ON r.repository_id = s.repository_id AND r.subject_digest = s.digest AND r.subject_digest IS NOT NULL
        WHERE s.id = ANY(:members)
        UNION
        SELECT t.manifest_id FROM manifests s JOIN tags t
        ON t.repository_id = s.repository_id AND t.subject_digest = s.digest AND t.subject_digest IS NOT NULL
        WHERE s.id = ANY(:members))
    AND m.deleted_at IS NULL AND NOT m.hold
    AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = m.id AND t.subject_digest IS NULL)
    ORDER BY m.id
    """
)
_HOLDERS = Statement(
    """
    SELECT c.child_id, p.id FROM manifest_children c JOIN manifests p ON p.id = c.parent_id
    WHERE c.child_id = ANY(:ids) AND p.deleted_at IS NULL
    UNION
    SELECT m.id, s.id FROM manifests m JOIN manifests s ON s.repository_id = m.repository_id AND s.digest = m.subject_digest
    WHERE m.id = ANY(:ids) AND s.deleted_at IS NULL AND s.id <> m.id
    UNION
    SELECT t.manifest_id, s.id FROM tags t JOIN manifests s ON s.repository_id = t.repository_id AND s.digest = t.subject_digest
    WHERE t.manifest_id = ANY(:ids) AND s.deleted_at IS NULL AND s.id <> t.manifest_id
    """
)


@dataclass(frozen=True, slots=True)
class Member:
    """A manifest of the set; `size` in bytes of its payload."""

    id: int
    digest: str
    size: int


async def closure(connection: Connection, root: Member) -> list[Member]:
    """The root and, in the order in which they join, all that exist only for it."""
    members = [root]
    joined = {root.id}
    candidates: dict[int, Member] = {}
    held_by: dict[int, set[int]] = {}
    frontier: Sequence[Member] = members
    while frontier:
        found = await connection.all(_DEPENDENTS, members=[member.id for member in frontier])
        fresh = {
            row[0]: Member(row[0], row[1], row[2]) for row in found if row[0] not in candidates and row[0] not in joined
        }
        candidates |= fresh
        if fresh:
            held_by |= {manifest_id: set() for manifest_id in fresh}
            for row in await connection.all(_HOLDERS, ids=list(fresh)):
                if row[1] not in joined:
                    held_by[row[0]].add(row[1])
        # Those that were met before may have waited for exactly what joined in the last round.
        asked = {row[0] for row in found}
        newly = {member.id for member in frontier}
        frontier = []
        for manifest_id in sorted(asked & held_by.keys()):
            held_by[manifest_id] -= newly
            if not held_by[manifest_id]:
                del held_by[manifest_id]
                joined.add(manifest_id)
                frontier.append(candidates[manifest_id])
        members.extend(frontier)
    return members
