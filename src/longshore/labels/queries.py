# SPDX-License-Identifier: Apache-2.0
"""Reading labels, and the condition that finds artifacts by them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.labels.models import Label, LabelFacts
from longshore.listing.columns import Column, Kind, Where
from longshore.listing.models import EVERYTHING, AllOf, Condition, Wanted
from longshore.listing.statements import List
from longshore.listing.totals import EVERYWHERE, total_of
from longshore.oci.errors import BadRequest

TOTAL: Final = "labels"
"""The list whose number of items is kept for the registry and for each project."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_MOST: Final = 20

_COLUMNS = "l.id, l.project_id, l.name, l.description, l.color, l.created_at, l.updated_at"
# Labels of a deleted project are out of reach until the project comes back.
_BY_ID = Statement(
    f"SELECT {_COLUMNS} FROM labels l LEFT JOIN projects p ON p.id = l.project_id"
    " WHERE l.id = :id AND p.deleted_at IS NULL"
)
_OF_ARTIFACTS = Statement(
    f"SELECT a.manifest_id, {_COLUMNS} FROM artifact_labels a JOIN labels l ON l.id = a.label_id"
    " WHERE a.manifest_id = ANY(:ids) ORDER BY a.manifest_id, l.id"
)


def _list(scope: str, parent: str) -> List:
    return List(
        source="labels l",
        scope=scope,
        key="l.id",
        columns={
            "id": Column("l.id", Kind.NUMBER, unique=True),
            "name": Column("l.name", unique=True),
            "description": Column("l.description"),
            "color": Column("l.color"),
            "creation_time": Column("l.created_at", Kind.TIME),
            "update_time": Column("l.updated_at", Kind.TIME),
        },
        order="id",
        rows=f"SELECT {_COLUMNS} FROM page JOIN labels l ON l.id = page.id",
        total=total_of(TOTAL, parent),
    )


_GLOBAL_LIST = _list("l.project_id IS NULL", str(EVERYWHERE))
_PROJECT_LIST = _list("l.project_id = :project_id", ":project_id")


class LabelQueries:
    """Reads labels, each call from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def label(self, label_id: int) -> Label | None:
        """A label by number; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_BY_ID, id=label_id))
        return None if row is None else _label(row)

    async def page(
        self, project_id: int | None, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100
    ) -> tuple[list[Label], int]:
        """The labels of a project, or of the registry (None), behind the first `offset`, and how many there are in all.

        They come by number unless `wanted` says otherwise.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """
        of = {} if project_id is None else {"project_id": project_id}
        items = _GLOBAL_LIST if project_id is None else _PROJECT_LIST

        async def read(connection: Connection) -> tuple[list[Label], int]:
            rows, total = await items.page(connection, wanted, offset=offset, limit=limit, **of)
            return [_label(row) for row in rows], total

        return await self._database.read(read)

    async def labels_of(self, manifest_ids: Collection[int]) -> dict[int, list[Label]]:
        """The labels of each of these manifests that has any, by its number; one statement for all of them."""
        if not manifest_ids:
            return {}
        rows = await self._database.read(lambda connection: connection.all(_OF_ARTIFACTS, ids=list(manifest_ids)))
        found: dict[int, list[Label]] = {}
        for row in rows:
            found.setdefault(row["manifest_id"], []).append(_label(row))
        return found


@dataclass(frozen=True, slots=True)
class HasLabels:
    """What `labels=(1 2)` asks of a list of artifacts: that they have all of these labels.

    Attributes:
        manifest_id: The column of the list with the number of the manifest.
    """

    manifest_id: str

    @property
    def sortable(self) -> str | None:
        """A list can't be sorted by its labels."""
        return None

    @property
    def unique(self) -> bool:
        """Artifacts share labels."""
        return False

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL.

        Raises:
            BadRequest: it isn't a list of numbers, all of which are wanted.
        """
        texts = tuple(dict.fromkeys(condition.texts)) if isinstance(condition, AllOf) else ()
        if not 1 <= len(texts) <= _MOST or not all(_NUMBER.fullmatch(text) for text in texts):
            raise BadRequest(f"q: {key} takes the numbers of 1 to {_MOST} labels, all of them wanted: {key}=(1 2).")
        values = {f"{name}_{place}": int(text) for place, text in enumerate(texts)}
        return " AND ".join(
            f"{self.manifest_id} IN (SELECT manifest_id FROM artifact_labels WHERE label_id = :{value})"
            for value in values
        ), dict(values)


def _label(row: Row) -> Label:
    return Label(
        id=row["id"],
        project_id=row["project_id"],
        facts=LabelFacts(name=row["name"], description=row["description"], color=row["color"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
