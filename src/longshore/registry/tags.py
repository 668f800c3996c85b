# SPDX-License-Identifier: Apache-2.0
"""Tags: names that move, and the journal of where they pointed (T of `docs/why/metadata.md`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestUnknown, PreconditionFailed
from longshore.oci.names import TagName
from longshore.registry import repositories
from longshore.registry.models import Repository
from longshore.registry.periods import Periods

# cosign 2 names what it says about a digest by a tag: such a tag makes its manifest a referrer of that digest.
_COSIGN = re.compile(r"(sha256)-([0-9a-f]{64})\.(?:sig|att|sbom)|(sha512)-([0-9a-f]{128})\.(?:sig|att|sbom)")

_CURRENT = Statement(
    "SELECT t.manifest_id, m.digest FROM tags t JOIN manifests m ON m.id = t.manifest_id"
    " WHERE t.repository_id = :repository_id AND t.name = :name"
)
_INSERT = Statement(
    "INSERT INTO tags (repository_id, name, manifest_id, subject_digest, pushed_at)"
    " VALUES (:repository_id, :name, :manifest_id, :subject_digest, {now})"
)
_MOVE = Statement(
    "UPDATE tags SET manifest_id = :manifest_id, version = version + 1, pushed_at = {now}"
    " WHERE repository_id = :repository_id AND name = :name"
)
_TOUCH = Statement("UPDATE tags SET pushed_at = {now} WHERE repository_id = :repository_id AND name = :name")
_DELETE = Statement("DELETE FROM tags WHERE repository_id = :repository_id AND name = :name")
_JOURNAL = Statement(
    "INSERT INTO tag_journal (repository_id, name, digest, deletion_id, action, actor, reason, at)"
    " VALUES (:repository_id, :name, :digest, :deletion_id, :action, :actor, :reason, {now})"
)
# Unconditionally: whoever drops a reference decides nothing, the review does.
_REVIEW = Statement(
    "UPDATE manifests SET review_after = (SELECT {now} + greatest(p.untagged_ttl, :grace) FROM projects p"
    " WHERE p.id = :project_id AND p.untagged_ttl IS NOT NULL) WHERE id = :id AND deleted_at IS NULL"
)
# The database makes the JSON: a hundred thousand names never become objects of ours.
_LIST = Statement(
    "SELECT CAST(json_agg(name) AS TEXT), count(*), max(name) FROM (SELECT name FROM tags"
    " WHERE repository_id = :repository_id AND name > :last ORDER BY name LIMIT :limit) AS page"
)
_MORE = Statement("SELECT 1 FROM tags WHERE repository_id = :repository_id AND name > :last LIMIT 1")


def cosign_subject(name: TagName) -> Digest | None:
    """The digest that a tag of cosign's tag scheme speaks of."""
    match = _COSIGN.fullmatch(str(name))
    return None if match is None else Digest.parse(f"{match[1] or match[3]}:{match[2] or match[4]}")


async def point(
    transaction: Transaction,
    repository: Repository,
    name: TagName,
    manifest_id: int,
    digest: Digest,
    *,
    actor: str,
    reason: str,
    periods: Periods,
) -> None:
    """Points the tag at a live manifest. The caller holds lock ①. The same digest again changes nothing but the time."""
    row = await transaction.one(_CURRENT, repository_id=repository.id, name=str(name))
    subject = cosign_subject(name)
    parameters = {"repository_id": repository.id, "name": str(name)}
    if row is not None and row[0] == manifest_id:
        await transaction.execute(_TOUCH, **parameters)
        return
    if row is None:
        await transaction.execute(
            _INSERT, **parameters, manifest_id=manifest_id, subject_digest=None if subject is None else str(subject)
        )
    else:
        await transaction.execute(_MOVE, **parameters, manifest_id=manifest_id)
        await review(transaction, repository, row[0], periods=periods)
    action = "created" if row is None else "moved"
    await journal(transaction, repository.id, str(name), str(digest), action=action, actor=actor, reason=reason)


async def review(transaction: Transaction, repository: Repository, manifest_id: int, *, periods: Periods) -> None:
    """Asks for a review of a manifest that lost a reference; without a rule for untagged manifests there is none."""
    await transaction.execute(_REVIEW, id=manifest_id, project_id=repository.project_id, grace=periods.grace)


async def journal(
    transaction: Transaction,
    repository_id: int,
    name: str,
    digest: str,
    *,
    action: str,
    actor: str,
    reason: str = "",
    deletion_id: str | None = None,
) -> None:
    """Writes one line of the tag's history: `created`, `moved`, `deleted` or `restored`."""
    await transaction.execute(
        _JOURNAL,
        repository_id=repository_id,
        name=name,
        digest=digest,
        deletion_id=deletion_id,
        action=action,
        actor=actor,
        reason=reason,
    )


@dataclass(frozen=True, slots=True)
class TagsPage:
    """Names as a JSON array, in the order of their bytes, and the name to go on after; None at the end."""

    names: bytes
    after: str | None


class Tags:
    """The tags of repositories."""

    def __init__(self, database: Database, periods: Periods) -> None:
        self._database = database
        self._periods = periods

    async def page(self, project_id: int, path: str, *, last: str, limit: int) -> TagsPage:
        """At most `limit` names that sort after `last`, byte by byte.

        Raises:
            NameUnknown: there is no such repository.
        """

        async def read(connection: Connection) -> TagsPage:
            repository = await repositories.require(connection, project_id, path)
            row = await connection.one(_LIST, repository_id=repository.id, last=last, limit=limit)
            if row is None or not row[1]:
                return TagsPage(b"[]", None)
            full = row[1] == limit
            more = full and await connection.value(_MORE, repository_id=repository.id, last=row[2])
            return TagsPage(row[0].encode(), row[2] if more else None)

        return await self._database.read(read)

    async def delete(
        self,
        project_id: int,
        path: str,
        name: TagName,
        *,
        actor: str,
        reason: str,
        expected: Digest | None = None,
    ) -> None:
        """Takes the name away; the manifest stays, by digest. With `expected` only while it points to that digest.

        Raises:
            NameUnknown, ManifestUnknown: there is no such repository or tag.
            PreconditionFailed: the tag points to something else than `expected` by now.
        """

        async def run(transaction: Transaction) -> None:
            repository = await repositories.lock(transaction, project_id, path)
            row = await transaction.one(_CURRENT, repository_id=repository.id, name=str(name))
            if row is None:
                raise ManifestUnknown(f"The repository has no tag {str(name)!r}. Look at its tags list.")
            if expected is not None and row[1] != str(expected):
                raise PreconditionFailed(
                    f"The tag {str(name)!r} points to {row[1]} by now, not to {expected}. Look again."
                )
            await transaction.execute(_DELETE, repository_id=repository.id, name=str(name))
            await journal(transaction, repository.id, str(name), row[1], action="deleted", actor=actor, reason=reason)
            await review(transaction, repository, row[0], periods=self._periods)
            payload = {
                "repository_id": repository.id,
                "repository": path,
                "tag": str(name),
                "digest": row[1],
                "actor": actor,
                "reason": reason,
            }
            await append(transaction, kind=EventKind.TAG_DELETED, project_id=project_id, payload=payload)

        await self._database.write(run)
