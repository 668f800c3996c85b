# SPDX-License-Identifier: Apache-2.0
"""Copying artifacts between repositories: blobs are mounted, so no byte moves.

The parts come in an order in which nobody ever sees half of it: first the blobs, as memberships with a lease; then what is
never listed, signatures and other accessories; then, in one transaction, the artifact with its children and all its tags. A
copy that stops on the way leaves leases, which end, and is simply asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestBlobUnknown, ManifestUnknown, Unprocessable
from longshore.oci.manifest import parse_manifest
from longshore.oci.names import TagName
from longshore.registry import repositories
from longshore.registry.blobs import Blobs, MountSource
from longshore.registry.errors import Held
from longshore.registry.facts import Accessory, Facts
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.manifests import Manifests
from longshore.registry.models import Repository
from longshore.registry.proxies import refuse_proxy
from longshore.registry.storing import ManifestPush

MOST_MANIFESTS: Final = 5_000
"""Children and accessories that one copy takes along."""

_ROOT = Statement(
    "SELECT id FROM manifests WHERE repository_id = :repository_id AND digest = :digest AND deleted_at IS NULL"
)
_BY_TAG = Statement("SELECT manifest_id FROM tags WHERE repository_id = :repository_id AND name = :name")
_CHILDREN = Statement(
    "SELECT c.parent_id, c.child_id FROM manifest_children c JOIN manifests m ON m.id = c.child_id"
    " WHERE c.parent_id = ANY(:ids) AND m.deleted_at IS NULL ORDER BY c.parent_id, c.child_id LIMIT :limit"
)
_ACCESSORIES = Statement(
    "SELECT s.id, a.manifest_id FROM manifests s"
    " JOIN artifacts a ON a.repository_id = s.repository_id AND a.subject_digest = s.digest"
    " AND a.accessory_type IS NOT NULL"
    " JOIN manifests m ON m.id = a.manifest_id"
    " WHERE s.id = ANY(:ids) AND m.deleted_at IS NULL ORDER BY a.manifest_id LIMIT :limit"
)
_MANIFEST = Statement(
    """
    SELECT m.digest, m.media_type, m.payload, a.type, a.config_media_type, a.size, a.accessory_type, a.subject_digest,
        a.icon, a.additions, a.extra_attributes, a.described_at
    FROM manifests m JOIN artifacts a ON a.manifest_id = m.id WHERE m.id = :id
    """
)
_OWN_SIZE = Statement(
    "SELECT a.size - coalesce((SELECT sum(k.size) FROM manifest_children c JOIN artifacts k ON k.manifest_id = c.child_id"
    " WHERE c.parent_id = a.manifest_id), 0) FROM artifacts a WHERE a.manifest_id = :id"
)
_BYTES = Statement("SELECT sum(size) FROM manifests WHERE id = ANY(:ids)")
_TAGS = Statement("SELECT name FROM tags WHERE manifest_id = :id ORDER BY name")
_BLOBS = Statement(
    "SELECT DISTINCT b.digest FROM manifest_blobs mb JOIN blobs b ON b.id = mb.blob_id"
    " WHERE mb.manifest_id = ANY(:ids) ORDER BY b.digest"
)
_ELSEWHERE = Statement(
    "SELECT t.name FROM tags t JOIN manifests m ON m.id = t.manifest_id"
    " WHERE t.repository_id = :repository_id AND t.name = ANY(:names) AND m.digest <> :digest"
)

_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, by its project and the path below it; `project` is the project's name."""

    project_id: int
    project: str
    path: str


@dataclass(frozen=True, slots=True)
class _Tree:
    """What is copied, by the ids of the source, children before parents; each accessory with what it contains."""

    content: tuple[int, ...]
    accessories: tuple[tuple[int, ...], ...]


class Copying:
    """Copies artifacts."""

    def __init__(
        self, database: Database, manifests: Manifests, blobs: Blobs, immutable: ImmutableTags | None = None
    ) -> None:
        self._database = database
        self._manifests = manifests
        self._blobs = blobs
        self._immutable = immutable or NoImmutableTags()

    async def copy(self, source: Place, reference: Digest | TagName, target: Place, *, actor: str) -> Digest:
        """Copies an artifact with its children, its accessories, and **all** its tags, whichever it was named by; its digest.

        The caller has authorised both sides.

        Raises:
            NameUnknown, ManifestUnknown: the source isn't there, or goes meanwhile.
            ManifestBlobUnknown: a blob of the source goes meanwhile.
            Unsupported: the target's project is a proxy.
            Held: a tag of the target is immutable and would move.
            QuotaExceeded: the target's project has no room.
            Unprocessable: there is too much to be copied at once.
        """
        tree = await self._database.read(lambda connection: _tree(connection, source, reference, target))
        everything = [manifest_id for group in (*tree.accessories, tree.content) for manifest_id in group]
        await self._mount(source, target, everything)
        for group in tree.accessories:
            parts = [await self._push(manifest_id, actor) for manifest_id in group]
            await self._manifests.push_together(target.project_id, target.path, parts)
        pushes = [await self._push(manifest_id, actor) for manifest_id in tree.content]
        # The children's own tags stay where they are: only the artifact that was asked for brings its names.
        pushes = [*(_untagged(push) for push in pushes[:-1]), pushes[-1]]

        async def check(connection: Connection, repository: Repository) -> None:
            await self._refuse_immutable(connection, repository, pushes[-1])

        await self._manifests.push_together(target.project_id, target.path, pushes, before=check)
        return pushes[-1].digest

    async def _mount(self, source: Place, target: Place, manifest_ids: Sequence[int]) -> None:
        async def read(connection: Connection) -> list[Digest]:
            return [Digest.parse(row[0]) for row in await connection.all(_BLOBS, ids=list(manifest_ids))]

        place = MountSource(source.project_id, source.path, source.project)
        for digest in await self._database.read(read):
            if not await self._blobs.mount(target.project_id, target.path, digest, place):
                raise ManifestBlobUnknown(f"The source has no blob {digest} any more. Push it there again, then copy.")

    async def _push(self, manifest_id: int, actor: str) -> ManifestPush:
        async def read(connection: Connection) -> tuple[Row | None, int, tuple[TagName, ...]]:
            tags = tuple(TagName.parse(row[0]) for row in await connection.all(_TAGS, id=manifest_id))
            size = await connection.value(_OWN_SIZE, id=manifest_id)
            return await connection.one(_MANIFEST, id=manifest_id), size, tags

        row, size, tags = await self._database.read(read)
        if row is None:
            raise _gone()
        payload = bytes(row["payload"])
        return ManifestPush(
            manifest=parse_manifest(payload, row["media_type"]),
            digest=Digest.parse(row["digest"]),
            payload=payload,
            tags=tags,
            actor=actor,
            facts=_facts(row, size),
        )

    async def _refuse_immutable(self, connection: Connection, repository: Repository, push: ManifestPush) -> None:
        names = [str(tag) for tag in push.tags]
        rows = await connection.all(_ELSEWHERE, repository_id=repository.id, names=names, digest=str(push.digest))
        kept = sorted(await self._immutable.among(connection, repository, [row[0] for row in rows]))
        if kept:
            raise Held(f"the tag {kept[0]} configured as immutable, cannot be updated", detail={"tags": kept})


async def _tree(connection: Connection, source: Place, reference: Digest | TagName, target: Place) -> _Tree:
    await refuse_proxy(connection, target.project_id)
    repository = await repositories.require(connection, source.project_id, source.path)
    if isinstance(reference, Digest):
        root = await connection.value(_ROOT, repository_id=repository.id, digest=str(reference))
    else:
        root = await connection.value(_BY_TAG, repository_id=repository.id, name=str(reference))
    if root is None:
        raise ManifestUnknown(f"The source has no artifact {reference}. Look at the artifacts of its repository.")
    content = await _below(connection, [root])
    accessories: list[tuple[int, ...]] = []
    frontier: list[int] = content
    seen = set(content)
    while frontier:
        rows = await connection.all(_ACCESSORIES, ids=frontier, limit=MOST_MANIFESTS + 1)
        fresh = list(dict.fromkeys(row[1] for row in rows if row[1] not in seen))
        # An accessory may be an index, and have accessories of its own.
        indexes = {row[0] for row in await connection.all(_CHILDREN, ids=fresh, limit=MOST_MANIFESTS + 1)}
        frontier = []
        for root in fresh:
            group = [root] if root not in indexes else await _below(connection, [root])
            accessories.append(tuple(found for found in group if found not in seen))
            frontier.extend(accessories[-1])
            seen.update(group)
        _check_size(seen)
    if (await connection.value(_BYTES, ids=sorted(seen)) or 0) > _MOST_BYTES:
        raise _too_much()
    return _Tree(tuple(content), tuple(accessories))


async def _below(connection: Connection, roots: list[int]) -> list[int]:
    """These manifests and all that they contain, what is contained first."""
    levels: list[list[int]] = []
    level, total = roots, 0
    while level:
        levels.append(level)
        total += len(level)
        _check_size(range(total))
        rows = await connection.all(_CHILDREN, ids=level, limit=MOST_MANIFESTS + 1)
        level = list(dict.fromkeys(row[1] for row in rows))
    # What is on several levels belongs before the first that contains it: to the deepest.
    return list(dict.fromkeys(found for level in reversed(levels) for found in level))


def _check_size(found: Sequence[int] | set[int] | range) -> None:
    if len(found) > MOST_MANIFESTS:
        raise _too_much()


def _too_much() -> Unprocessable:
    return Unprocessable(
        f"The artifact has more than {MOST_MANIFESTS:,} children and accessories, or too large ones. Copy it with a client."
    )


def _facts(row: Row, size: int) -> Facts:
    return Facts(
        type=row["type"],
        config_media_type=row["config_media_type"],
        size=size,
        accessory=None if row["accessory_type"] is None else Accessory(row["accessory_type"]),
        subject=None if row["subject_digest"] is None else Digest.parse(row["subject_digest"]),
        icon=None if row["icon"] is None else Digest.parse(row["icon"]),
        additions=tuple(msgspec.json.decode(row["additions"])),
        extra_attributes=row["extra_attributes"],
        complete=row["described_at"] is not None,
    )


def _untagged(push: ManifestPush) -> ManifestPush:
    return ManifestPush(
        manifest=push.manifest,
        digest=push.digest,
        payload=push.payload,
        tags=(),
        actor=push.actor,
        facts=push.facts,
    )


def _gone() -> ManifestUnknown:
    return ManifestUnknown("The source was deleted while it was being copied.")
