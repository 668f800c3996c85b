# SPDX-License-Identifier: Apache-2.0
"""What belongs to the artifacts of a page, read for all of them at once: one statement for each kind of thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from longshore.artifacts import lists
from longshore.artifacts.models import Accessory, Platform, Reference, Tag, With
from longshore.database.connection import Connection, Row
from longshore.database.statement import Statement
from longshore.oci import mediatypes

_Tags = dict[int, list[Tag]]
_Accessories = dict[int, list[Accessory]]
_References = dict[int, tuple[Reference, ...]]


class _Entry(msgspec.Struct):
    digest: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None
    urls: tuple[str, ...] | None = None


class _Index(msgspec.Struct):
    manifests: tuple[_Entry, ...] | None = None


class Belongings(msgspec.Struct, frozen=True):
    """What belongs to artifacts, by their numbers."""

    tags: _Tags
    accessories: _Accessories
    inherited: _Accessories
    references: _References


_NOTHING: Final = Belongings({}, {}, {}, {})


async def belongings_of(connection: Connection, rows: Sequence[Row], wanted: With) -> Belongings:
    """What of these artifacts is wanted."""
    ids = [row["id"] for row in rows]
    if not ids:
        return _NOTHING
    referring = With.REFERENCES in wanted
    indexes = [row["id"] for row in rows if referring and mediatypes.is_index(row["media_type"])]
    return Belongings(
        tags=await _tags(connection, ids) if With.TAGS in wanted else {},
        accessories=await _accessories(connection, lists.ACCESSORIES_OF, ids) if With.ACCESSORIES in wanted else {},
        inherited=await _accessories(connection, lists.INHERITED_BY, ids)
        if With.INHERITED_ACCESSORIES in wanted
        else {},
        references=await _references(connection, indexes) if indexes else {},
    )


def tag_of(row: Row) -> Tag:
    """A tag from its row."""
    return Tag(row[0], row[1], row[2], row[3], row[4], row[5])


def accessory_of(row: Row) -> Accessory:
    """An accessory from its row."""
    return Accessory(
        id=row["id"],
        subject_id=row["subject_id"],
        subject_digest=row["subject_digest"],
        repository=f"{row['project']}/{row['path']}",
        digest=row["digest"],
        type=row["accessory_type"],
        artifact_type=row["type"],
        size=row["size"],
        icon=row["icon"],
        created_at=row["pushed_at"],
    )


async def _tags(connection: Connection, ids: list[int]) -> _Tags:
    found: _Tags = {}
    for row in await connection.all(lists.TAGS_OF, ids=ids):
        found.setdefault(row[2], []).append(tag_of(row))
    return found


async def _accessories(connection: Connection, statement: Statement, ids: list[int]) -> _Accessories:
    found: dict[int, dict[int, Accessory]] = {}
    for row in await connection.all(statement, ids=ids):
        # Two indexes may pass the same signature on.
        found.setdefault(row["owner"], {})[row["id"]] = accessory_of(row)
    return {owner: list(accessories.values()) for owner, accessories in found.items()}


async def _references(connection: Connection, indexes: list[int]) -> _References:
    children: dict[int, dict[str, int | None]] = {}
    for row in await connection.all(lists.CHILDREN_OF, ids=indexes):
        children.setdefault(row[0], {})[row[1]] = row[2]
    payloads = await connection.all(lists.PAYLOADS_OF, ids=indexes)
    return {row[0]: _references_in(row[0], bytes(row[1]), children.get(row[0], {})) for row in payloads}


def _references_in(parent_id: int, payload: bytes, children: dict[str, int | None]) -> tuple[Reference, ...]:
    """The children of an index in its own order, each once."""
    try:
        entries = {entry.digest: entry for entry in msgspec.json.decode(payload, type=_Index).manifests or ()}
    except msgspec.DecodeError:
        # A platform that isn't one doesn't make an index invalid. Its children are known by their digests.
        entries = {digest: _Entry(digest) for digest in children}
    return tuple(
        Reference(
            parent_id=parent_id,
            child_id=children[digest],
            child_digest=digest,
            platform=entry.platform,
            annotations=entry.annotations or {},
            urls=entry.urls or (),
        )
        for digest, entry in entries.items()
        if digest in children
    )
