# SPDX-License-Identifier: Apache-2.0
"""Referrers and the catalog: lists in pages by key, whose last page costs what the first does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.registry import repositories
from longshore.registry.models import ReferrerDescriptor

PAGE_BYTES = 3 * 1024 * 1024
"""How much the entries of one page of referrers may have; clients read answers up to 4 MiB. One entry always fits."""

# What an entry has beside its annotations, roughly.
_ENTRY_BYTES = 400
_REFERRERS = Statement(
    f"""
    SELECT id, media_type, digest, size, artifact_type, annotations, found FROM (
        SELECT id, media_type, digest, size, artifact_type, annotations, row_number() OVER (ORDER BY id) AS position,
            sum(length(annotations) + {_ENTRY_BYTES}) OVER (ORDER BY id) AS total, count(*) OVER () AS found
        FROM (
            SELECT id, media_type, digest, size, artifact_type, annotations FROM manifests
            WHERE repository_id = :repository_id AND subject_digest = :subject AND deleted_at IS NULL AND id > :after
            AND (CAST(:artifact_type AS TEXT) IS NULL OR artifact_type = :artifact_type)
            ORDER BY id LIMIT :limit
        ) AS listed
    ) AS measured
    WHERE position = 1 OR total <= :most_bytes ORDER BY id
    """
)
_CATALOG = Statement(
    "SELECT p.name, r.name FROM projects p JOIN repositories r ON r.project_id = p.id"
    " WHERE (CAST(:everything AS BOOLEAN) OR (CAST(:public AS BOOLEAN) AND p.public) OR p.id = ANY(:project_ids))"
    " AND p.deleted_at IS NULL AND r.deleted_at IS NULL AND r.listed_at IS NOT NULL"
    " AND (p.name, r.name) > (:project, :path) ORDER BY p.name, r.name LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class ReferrersPage:
    """Some referrers, and the key to go on after; None at the end."""

    referrers: tuple[ReferrerDescriptor, ...]
    after: int | None


class Listings:
    """Lists over repositories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def referrers(
        self, project_id: int, path: str, subject: Digest, *, artifact_type: str | None, after: int, limit: int
    ) -> ReferrersPage:
        """Manifests whose subject is the digest, in the order of their first push; the subject need not exist."""

        async def read(connection: Connection) -> ReferrersPage:
            repository = await repositories.find(connection, project_id, path)
            if repository is None:
                return ReferrersPage((), None)
            rows = await connection.all(
                _REFERRERS,
                repository_id=repository.id,
                subject=str(subject),
                after=after,
                artifact_type=artifact_type,
                limit=limit + 1,
                most_bytes=PAGE_BYTES,
            )
            shown = rows[:limit]
            return ReferrersPage(
                tuple(
                    ReferrerDescriptor(
                        media_type=row[1],
                        digest=row[2],
                        size=row[3],
                        artifact_type=row[4],
                        annotations=msgspec.json.decode(row[5]),
                    )
                    for row in shown
                ),
                shown[-1][0] if shown and shown[0][6] > len(shown) else None,
            )

        return await self._database.read(read)

    async def catalog(
        self, *, everything: bool, public: bool, project_ids: Collection[int], last: str, limit: int
    ) -> list[str]:
        """Full names of repositories after `last`: of all projects, of public ones, of those with the ids."""
        project, _, path = last.partition("/")

        async def read(connection: Connection) -> list[str]:
            rows = await connection.all(
                _CATALOG,
                everything=everything,
                public=public,
                project_ids=sorted(project_ids),
                project=project,
                path=path,
                limit=limit,
            )
            return [f"{row[0]}/{row[1]}" for row in rows]

        return await self._database.read(read)
