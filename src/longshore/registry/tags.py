# SPDX-License-Identifier: Apache-2.0
"""Tags: names that move, and the journal of where they pointed (T of `docs/why/metadata.md`)."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.digest import Digest
from longshore.oci.errors import Conflict, ManifestUnknown, PreconditionFailed
from longshore.oci.names import TagName
from longshore.registry import artifacts, repositories
from longshore.registry.cosign import cosign_subject
from longshore.registry.errors import Held
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.proxies import refuse_proxy

_CURRENT = Statement(
    "SELECT t.manifest_id, m.digest, a.listed FROM tags t JOIN manifests m ON m.id = t.manifest_id"
    " LEFT JOIN artifacts a ON a.manifest_id = t.manifest_id WHERE t.repository_id = :repository_id AND t.name = :name"
)
_INSERT = Statement(
    "INSERT INTO tags (repository_id, name, manifest_id, subject_digest, pushed_at, id)"
    " VALUES (:repository_id, :name, :manifest_id, :subject_digest, {now}, :id)"
)
_MOVE = Statement(
    "UPDATE tags SET manifest_id = :manifest_id, version = version + 1, pushed_at = {now}"
    " WHERE repository_id = :repository_id AND name = :name"
)
_TOUCH = Statement("UPDATE tags SET pushed_at = {now} WHERE repository_id = :repository_id AND name = :name")
_DELETE = Statement("DELETE FROM tags WHERE repository_id = :repository_id AND name = :name")
_JOURNAL = Statement(
    "INSERT INTO tag_journal (repository_id, name, digest, deletion_id, action, actor, reason, at)"
    " VALUES (:repository_id, :name, :digest, :deletion_id, :action, :actor, :reason, {now}) RETURNING id"
)
_LIVE = Statement(
    "SELECT id FROM manifests WHERE repository_id = :repository_id AND digest = :digest AND deleted_at IS NULL"
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


@dataclass(frozen=True, slots=True)
class Pointed:
    """What pointing a tag did: whether its manifest has it newly, and by how many the *other* listed artifacts changed."""

    added: bool
    others: int


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
) -> Pointed:
    """Points the tag at a live manifest. The caller holds lock ①. The same digest again changes nothing but the time.

    The manifest's own row of `artifacts` is the caller's.
    """
    row = await transaction.one(_CURRENT, repository_id=repository.id, name=str(name))
    parameters = {"repository_id": repository.id, "name": str(name)}
    if row is not None and row[0] == manifest_id:
        await transaction.execute(_TOUCH, **parameters)
        return Pointed(added=False, others=0)
    action = "created" if row is None else "moved"
    line = await journal(transaction, repository.id, str(name), str(digest), action=action, actor=actor, reason=reason)
    if row is None:
        await insert(transaction, repository, name, manifest_id, line)
        return Pointed(added=True, others=0)
    await transaction.execute(_MOVE, **parameters, manifest_id=manifest_id)
    await review(transaction, repository, row[0], periods=periods)
    return Pointed(added=True, others=await artifacts.untag(transaction, row[0], was_listed=bool(row[2])))


async def insert(transaction: Transaction, repository: Repository, name: TagName, manifest_id: int, line: int) -> None:
    """A tag that wasn't there, made by that line of the journal, which gives it its id."""
    subject = cosign_subject(name)
    await transaction.execute(
        _INSERT,
        repository_id=repository.id,
        name=str(name),
        manifest_id=manifest_id,
        subject_digest=None if subject is None else str(subject),
        id=line,
    )


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
) -> int:
    """Writes one line of the tag's history: `created`, `moved`, `deleted` or `restored`; its id."""
    line: int = await transaction.value(
        _JOURNAL,
        repository_id=repository_id,
        name=name,
        digest=digest,
        deletion_id=deletion_id,
        action=action,
        actor=actor,
        reason=reason,
    )
    return line


@dataclass(frozen=True, slots=True)
class TagsPage:
    """Names as a JSON array, in the order of their bytes, and the name to go on after; None at the end."""

    names: bytes
    after: str | None


class Tags:
    """The tags of repositories."""

    def __init__(self, database: Database, periods: Periods, immutable: ImmutableTags | None = None) -> None:
        self._database = database
        self._periods = periods
        self._immutable = immutable or NoImmutableTags()

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

    async def create(self, project_id: int, path: str, name: TagName, digest: Digest, *, actor: str) -> None:
        """Gives a manifest a name that the repository doesn't have yet.

        Raises:
            NameUnknown, ManifestUnknown: there is no such repository or live manifest.
            Conflict: the repository has a tag of that name, on whichever manifest.
            Unsupported: the project is a proxy, whose tags are those of its upstream.
        """

        async def run(transaction: Transaction) -> None:
            repository = await repositories.lock(transaction, project_id, path)
            await refuse_proxy(transaction, project_id)
            manifest_id = await transaction.value(_LIVE, repository_id=repository.id, digest=str(digest))
            if manifest_id is None:
                raise ManifestUnknown(f"The repository has no manifest {digest}. Look at its artifacts.")
            if await transaction.one(_CURRENT, repository_id=repository.id, name=str(name)) is not None:
                raise Conflict(f"The repository has a tag {name} already. Delete it first, or take another name.")
            line = await journal(
                transaction, repository.id, str(name), str(digest), action="created", actor=actor, reason="API"
            )
            await insert(transaction, repository, name, manifest_id, line)
            await artifacts.count_tags(transaction, manifest_id, 1)
            change = await artifacts.refresh(transaction, [manifest_id])
            payload = {
                "repository_id": repository.id,
                "repository": path,
                "tag": str(name),
                "digest": str(digest),
                "actor": actor,
            }
            await append(transaction, kind=EventKind.TAG_CREATED, project_id=project_id, payload=payload)
            await artifacts.settle(transaction, repository, change)

        await self._database.write(run)

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
            Held: the tag is immutable.
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
            if await self._immutable.among(transaction, repository, [str(name)]):
                raise Held(
                    f"the tag {name} configured as immutable, cannot be deleted. Change the project's immutability rules,"
                    " or keep it.",
                    detail={"tags": [str(name)]},
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
            change = await artifacts.untag(transaction, row[0], was_listed=bool(row[2]))
            await artifacts.settle(transaction, repository, change)

        await self._database.write(run)
