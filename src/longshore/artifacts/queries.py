# SPDX-License-Identifier: Apache-2.0
"""Reading artifacts, their tags and their accessories.

What a list shows was stored when the manifest was pushed; what belongs to the rows of a page is read for all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from longshore.artifacts import lists
from longshore.artifacts.belongings import Belongings, accessory_of, belongings_of, tag_of
from longshore.artifacts.models import Accessory, Artifact, Latest, Tag, With
from longshore.database.connection import Connection, Database, Row
from longshore.labels.models import Label
from longshore.labels.queries import LabelQueries
from longshore.listing.models import EVERYTHING, Exact, Wanted
from longshore.listing.statements import List
from longshore.oci.digest import Digest
from longshore.oci.errors import BadRequest, NotFound
from longshore.oci.names import TagName
from longshore.registry import repositories
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.models import Repository

_BASE: Final = "base"
_ADDITIONS: Final = re.compile(r'"([^"]+)"')

_Page = tuple[list[Artifact], int]


class ArtifactQueries:
    """Reads artifacts, each call from the database."""

    def __init__(self, database: Database, labels: LabelQueries, immutable: ImmutableTags | None = None) -> None:
        self._database = database
        self._labels = labels
        self._immutable = immutable or NoImmutableTags()

    async def page(
        self,
        project_id: int,
        path: str,
        wanted: Wanted = EVERYTHING,
        along: With = With.NOTHING,
        *,
        offset: int = 0,
        limit: int = 100,
    ) -> _Page:
        """The artifacts of a repository behind the first `offset`, and how many it lists; none if there is no such one.

        The newest come first unless `wanted` says otherwise. Accessories are never among them, and manifests that only their
        index shows are with the condition `base=*`.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """
        chosen = lists.ALL_OF_REPOSITORY if _asks_for_children(wanted) else lists.OF_REPOSITORY

        async def read(connection: Connection) -> tuple[list[Row], int, Belongings]:
            repository = await repositories.find(connection, project_id, path)
            if repository is None:
                # What is wrong with the conditions is wrong without a repository too.
                chosen.statements(wanted)
                return [], 0, await belongings_of(connection, [], along)
            rows, total = await chosen.page(connection, wanted, offset=offset, limit=limit, repository_id=repository.id)
            return rows, total, await self._belongings(connection, rows, along)

        rows, total, belongings = await self._database.read(read)
        return await self._complete(rows, belongings, along), total

    async def page_of_project(
        self,
        project_id: int,
        wanted: Wanted = EVERYTHING,
        along: With = With.NOTHING,
        *,
        latest: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> _Page:
        """The artifacts of all repositories of a project behind the first `offset`, and how many there are.

        `latest` leaves of each repository only the newest of the media type or artifact type that `wanted` names.

        Raises:
            BadRequest: a condition doesn't fit its key, or `latest` has no such condition.
        """
        chosen, parameters = _list_of_project(wanted, latest=latest)

        async def read(connection: Connection) -> tuple[list[Row], int, Belongings]:
            rows, total = await chosen.page(
                connection, wanted, offset=offset, limit=limit, project_id=project_id, **parameters
            )
            return rows, total, await self._belongings(connection, rows, along)

        rows, total, belongings = await self._database.read(read)
        return await self._complete(rows, belongings, along), total

    async def artifact(
        self, project_id: int, path: str, reference: Digest | TagName, along: With = With.NOTHING
    ) -> Artifact:
        """The artifact that has the digest, or that the tag points to; also an accessory.

        Raises:
            NotFound: there is none.
        """
        statement = lists.BY_DIGEST if isinstance(reference, Digest) else lists.BY_TAG

        async def read(connection: Connection) -> tuple[list[Row], Belongings]:
            repository = await repositories.find(connection, project_id, path)
            row = None
            if repository is not None:
                row = await connection.one(statement, repository_id=repository.id, reference=str(reference))
            rows = [] if row is None else [row]
            return rows, await self._belongings(connection, rows, along)

        rows, belongings = await self._database.read(read)
        if not rows:
            raise NotFound(f"artifact {path}{_separator(reference)}{reference} not found")
        (found,) = await self._complete(rows, belongings, along)
        return found

    async def tags(
        self, artifact: Artifact, wanted: Wanted = EVERYTHING, along: With = With.NOTHING, *, offset: int, limit: int
    ) -> tuple[list[Tag], int]:
        """The tags of an artifact behind the first `offset`, and how many it has; the newest come first.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """

        async def read(connection: Connection) -> tuple[list[Tag], int]:
            rows, total = await lists.TAGS.page(connection, wanted, offset=offset, limit=limit, manifest_id=artifact.id)
            found = {artifact.id: [tag_of(row) for row in rows]}
            if With.IMMUTABLE_STATUS in along:
                place = Repository(artifact.repository_id, artifact.project_id, _path(artifact.repository))
                found = await self._judged(connection, {artifact.id: place}, found)
            return found[artifact.id], total

        return await self._database.read(read)

    async def accessories(
        self, artifact: Artifact, wanted: Wanted = EVERYTHING, *, offset: int, limit: int
    ) -> tuple[list[Accessory], int]:
        """The accessories of an artifact behind the first `offset`, and how many it has; the oldest come first.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """

        async def read(connection: Connection) -> tuple[list[Accessory], int]:
            rows, total = await lists.ACCESSORIES.page(
                connection, wanted, offset=offset, limit=limit, manifest_id=artifact.id
            )
            return [accessory_of(row) for row in rows], total

        return await self._database.read(read)

    async def _belongings(self, connection: Connection, rows: Sequence[Row], along: With) -> Belongings:
        found = await belongings_of(connection, rows, along)
        if With.IMMUTABLE_STATUS not in along or not found.tags:
            return found
        places = {row["id"]: Repository(row["repository_id"], row["project_id"], row["path"]) for row in rows}
        return msgspec.structs.replace(found, tags=await self._judged(connection, places, found.tags))

    async def _judged(
        self, connection: Connection, places: dict[int, Repository], tags: dict[int, list[Tag]]
    ) -> dict[int, list[Tag]]:
        """The same tags, each saying whether it may still change; the rules are asked once for each repository."""
        names: dict[Repository, set[str]] = {}
        for manifest_id, found in tags.items():
            names.setdefault(places[manifest_id], set()).update(tag.name for tag in found)
        kept = {place: await self._immutable.among(connection, place, asked) for place, asked in names.items()}
        return {
            manifest_id: [
                msgspec.structs.replace(tag, immutable=tag.name in kept[places[manifest_id]]) for tag in found
            ]
            for manifest_id, found in tags.items()
        }

    async def _complete(self, rows: Sequence[Row], belongings: Belongings, along: With) -> list[Artifact]:
        wanted = With.LABELS in along
        labels = await self._labels.labels_of([row["id"] for row in rows]) if wanted else {}
        return [_artifact(row, belongings, labels) for row in rows]


def _asks_for_children(wanted: Wanted) -> bool:
    condition = wanted.conditions.get(_BASE)
    if condition is not None and condition != Exact("*"):
        raise BadRequest("q: base takes * only, for also the manifests that only their index shows.")
    return condition is not None


def _list_of_project(wanted: Wanted, *, latest: bool) -> tuple[List, dict[str, str]]:
    everything = _asks_for_children(wanted)
    if not latest:
        return (lists.ALL_OF_PROJECT if everything else lists.OF_PROJECT), {}
    named = [kind for kind in Latest if kind.value in wanted.conditions]
    condition = wanted.conditions[named[0].value] if len(named) == 1 else None
    if not isinstance(condition, Exact):
        raise BadRequest(
            "latest_in_repository needs exactly one of media_type and artifact_type in q, such as q=media_type=…"
        )
    return lists.LATEST[named[0]], {"latest": condition.text}


def _artifact(row: Row, belongings: Belongings, labels: dict[int, list[Label]]) -> Artifact:
    number = row["id"]
    return Artifact(
        id=number,
        type=row["type"],
        media_type=row["config_media_type"],
        manifest_media_type=row["media_type"],
        artifact_type=row["artifact_type"],
        project_id=row["project_id"],
        repository_id=row["repository_id"],
        repository=f"{row['project']}/{row['path']}",
        digest=row["digest"],
        size=row["size"],
        icon=row["icon"],
        pushed_at=row["pushed_at"],
        pulled_at=row["pulled_at"] or None,
        annotations=row["annotations"],
        extra_attributes=row["extra_attributes"],
        additions=tuple(_ADDITIONS.findall(row["additions"])),
        tags=tuple(belongings.tags.get(number, ())),
        labels=tuple(labels.get(number, ())),
        references=belongings.references.get(number, ()),
        accessories=tuple(belongings.accessories.get(number, ())),
        inherited_accessories=tuple(belongings.inherited.get(number, ())),
    )


def _path(repository: str) -> str:
    return repository.partition("/")[2]


def _separator(reference: Digest | TagName) -> str:
    return "@" if isinstance(reference, Digest) else ":"
