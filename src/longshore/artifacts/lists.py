# SPDX-License-Identifier: Apache-2.0
"""The lists of artifacts, tags and accessories: what they are filtered and sorted by, in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longshore.artifacts.models import Latest
from longshore.database.statement import Statement
from longshore.labels.queries import HasLabels
from longshore.listing.columns import Column, Filterable, Kind, Where
from longshore.listing.models import Condition, Exact, Fuzzy
from longshore.listing.statements import List
from longshore.oci.errors import BadRequest

NEVER: Final = -62_135_596_800_000_000
"""The first of January of the year 1: what was never pulled was pulled then, so that conditions and orders find it there."""

_TAGGED: Final = "*"
_UNTAGGED: Final = "nil"


@dataclass(frozen=True, slots=True)
class _HasTag:
    """`tags=*` (any), `tags=nil` (none), `tags=name`, and `tags=~part`, which minds the case as Harbor's does.

    Attributes:
        parent: Which tags `t` are below the list's parent: a name is looked up there, and nowhere else.
    """

    parent: str
    sortable: str | None = None
    unique: bool = False

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL.

        Raises:
            BadRequest: it is a list or a range.
        """
        match condition:
            case Exact(text) if text == _TAGGED:
                return "a.tag_count > 0", {}
            case Exact(text) if text == _UNTAGGED:
                return "a.tag_count = 0", {}
            case Exact(text):
                tagged = f"SELECT t.manifest_id FROM tags t WHERE {self.parent} AND t.name = :{name}"
                return f"a.manifest_id IN ({tagged})", {name: text}
            case Fuzzy(text):
                # LIKE minds the case on one database and not on the other; a part that can be taken out is there.
                return (
                    "EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = a.manifest_id"
                    f" AND (:{name} = '' OR replace(t.name, :{name}, '') <> t.name))"
                ), {name: text}
            case _:
                raise BadRequest(f"q: {key} takes *, nil, a name or ~part of one. Lists and ranges don't work on it.")


_TAGS_OF_REPOSITORY: Final = "t.repository_id = :repository_id"
_TAGS_OF_PROJECT: Final = (
    "t.repository_id IN (SELECT place.id FROM repositories place WHERE place.project_id = :project_id)"
)


def _artifact_columns(parent: str) -> dict[str, Filterable]:
    return {
        "id": Column("a.manifest_id", Kind.NUMBER, unique=True),
        "type": Column("a.type"),
        "media_type": Column("a.config_media_type"),
        "manifest_media_type": Column("m.media_type"),
        "artifact_type": Column("coalesce(m.artifact_type, '')"),
        "project_id": Column("a.project_id", Kind.NUMBER),
        "repository_id": Column("a.repository_id", Kind.NUMBER),
        "repository_name": Column(
            "(SELECT named.name || '/' || n.name FROM repositories n JOIN projects named ON named.id = n.project_id"
            " WHERE n.id = a.repository_id)",
            sorts=False,
        ),
        "digest": Column("m.digest"),
        "size": Column("a.size", Kind.NUMBER),
        "icon": Column("coalesce(a.icon, '')"),
        "push_time": Column("a.pushed_at", Kind.TIME),
        "pull_time": Column(f"coalesce(s.pulled_at, {NEVER})", Kind.TIME),
        "tags": _HasTag(parent),
        "labels": HasLabels("a.manifest_id"),
    }


_ARTIFACT = """
    SELECT a.manifest_id AS id, a.type, a.config_media_type, m.media_type, coalesce(m.artifact_type, '') AS artifact_type,
        a.project_id, a.repository_id, m.digest, a.size, a.icon, a.pushed_at, s.pulled_at, m.annotations,
        a.extra_attributes, a.additions, p.name AS project, r.name AS path
"""
_JOINED = """
    JOIN manifests m ON m.id = a.manifest_id JOIN repositories r ON r.id = a.repository_id
    JOIN projects p ON p.id = r.project_id LEFT JOIN manifest_pulls s ON s.manifest_id = a.manifest_id
"""
# Tables that neither a condition nor the order looks at are left out by both databases: only LEFT JOINs can be.
_PULLS = "LEFT JOIN manifest_pulls s ON s.manifest_id = a.manifest_id"
_LISTED = f"artifacts a LEFT JOIN manifests m ON m.id = a.manifest_id {_PULLS}"
# Every manifest that is alive, also those that only their index shows; by the manifests, whose index knows the live ones.
_ALIVE = f"manifests m JOIN artifacts a ON a.manifest_id = m.id {_PULLS}"
_NO_ACCESSORY = "m.purge_after IS NULL AND m.deleted_at IS NULL AND a.accessory_type IS NULL"
_OF_PROJECT = "r.project_id = :project_id AND r.listed_at IS NOT NULL AND r.deleted_at IS NULL"


def _artifacts(source: str, scope: str, tags: str, total: str | None = None) -> List:
    return List(
        source=source,
        scope=scope,
        key="a.manifest_id",
        columns=_artifact_columns(tags),
        order="-push_time,-id",
        rows=f"{_ARTIFACT} FROM page JOIN artifacts a ON a.manifest_id = page.id {_JOINED}",
        total=total,
    )


def _newest(condition: str) -> List:
    """Of each repository of a project the artifact that was pushed last of those that a condition leaves."""
    return _artifacts(
        "repositories r JOIN artifacts a ON a.manifest_id = (SELECT x.manifest_id FROM artifacts x"
        f" JOIN manifests y ON y.id = x.manifest_id WHERE x.repository_id = r.id AND x.listed AND {condition}"
        f" ORDER BY x.pushed_at DESC, x.manifest_id DESC LIMIT 1) LEFT JOIN manifests m ON m.id = a.manifest_id {_PULLS}",
        _OF_PROJECT,
        _TAGS_OF_PROJECT,
    )


OF_REPOSITORY: Final = _artifacts(
    _LISTED,
    "a.repository_id = :repository_id AND a.listed",
    _TAGS_OF_REPOSITORY,
    "SELECT artifact_count FROM repositories WHERE id = :repository_id",
)
OF_PROJECT: Final = _artifacts(
    _LISTED,
    # What a deleted repository holds keeps its rows as they were. The few of these are looked up once, not for each row.
    "a.project_id = :project_id AND a.listed AND a.repository_id NOT IN (SELECT gone.id FROM repositories gone"
    " WHERE gone.project_id = :project_id AND gone.purge_after IS NOT NULL)",
    _TAGS_OF_PROJECT,
    "SELECT artifact_count FROM project_usage WHERE project_id = :project_id",
)
ALL_OF_REPOSITORY: Final = _artifacts(
    _ALIVE, f"m.repository_id = :repository_id AND {_NO_ACCESSORY}", _TAGS_OF_REPOSITORY
)
ALL_OF_PROJECT: Final = _artifacts(
    f"repositories r JOIN manifests m ON m.repository_id = r.id JOIN artifacts a ON a.manifest_id = m.id {_PULLS}",
    f"{_OF_PROJECT} AND {_NO_ACCESSORY}",
    _TAGS_OF_PROJECT,
)
LATEST: Final = {
    Latest.MEDIA_TYPE: _newest("x.config_media_type = :latest"),
    Latest.ARTIFACT_TYPE: _newest("y.artifact_type = :latest"),
}

_IN_REPOSITORY = "m.repository_id = :repository_id AND m.deleted_at IS NULL"
BY_DIGEST: Final = Statement(f"{_ARTIFACT} FROM artifacts a {_JOINED} WHERE {_IN_REPOSITORY} AND m.digest = :reference")
BY_TAG: Final = Statement(
    f"{_ARTIFACT} FROM tags t JOIN artifacts a ON a.manifest_id = t.manifest_id {_JOINED}"
    f" WHERE t.repository_id = :repository_id AND t.name = :reference AND {_IN_REPOSITORY}"
)

_TAG = """
    SELECT t.id, t.repository_id, t.manifest_id, t.name, t.pushed_at, t.pulled_at
"""
TAGS: Final = List(
    source="tags t",
    scope="t.manifest_id = :manifest_id",
    key="t.id",
    columns={
        "id": Column("t.id", Kind.NUMBER, unique=True),
        "repository_id": Column("t.repository_id", Kind.NUMBER),
        "artifact_id": Column("t.manifest_id", Kind.NUMBER),
        "name": Column("t.name", unique=True),
        "push_time": Column("t.pushed_at", Kind.TIME),
        "pull_time": Column(f"coalesce(t.pulled_at, {NEVER})", Kind.TIME),
    },
    order="-push_time,-id",
    rows=f"{_TAG} FROM page JOIN tags t ON t.id = page.id",
    total="SELECT tag_count FROM artifacts WHERE manifest_id = :manifest_id",
)
TAGS_OF: Final = Statement(f"{_TAG} FROM tags t WHERE t.manifest_id = ANY(:ids) ORDER BY t.pushed_at DESC, t.id DESC")

_ACCESSORY = """
    SELECT a.manifest_id AS id, subject.id AS subject_id, subject.digest AS subject_digest, p.name AS project,
        r.name AS path, m.digest, a.accessory_type, a.type, a.size, a.icon, a.pushed_at
"""
_SUBJECTS = """
    JOIN artifacts a ON a.repository_id = subject.repository_id AND a.subject_digest = subject.digest
        AND a.accessory_type IS NOT NULL
    JOIN manifests m ON m.id = a.manifest_id AND m.deleted_at IS NULL
"""
_PLACES = "JOIN repositories r ON r.id = a.repository_id JOIN projects p ON p.id = r.project_id"
ACCESSORIES: Final = List(
    source=f"manifests subject {_SUBJECTS}",
    scope="subject.id = :manifest_id",
    key="a.manifest_id",
    columns={
        "id": Column("a.manifest_id", Kind.NUMBER, unique=True),
        "artifact_id": Column("a.manifest_id", Kind.NUMBER, unique=True),
        "type": Column("a.accessory_type"),
        "digest": Column("m.digest", unique=True),
        "size": Column("a.size", Kind.NUMBER),
        "creation_time": Column("a.pushed_at", Kind.TIME),
    },
    order="id",
    rows=(
        f"{_ACCESSORY} FROM page JOIN artifacts a ON a.manifest_id = page.id JOIN manifests m ON m.id = a.manifest_id"
        f" {_PLACES} JOIN manifests subject ON subject.id = :manifest_id"
    ),
)
ACCESSORIES_OF: Final = Statement(
    f"{_ACCESSORY}, subject.id AS owner FROM manifests subject {_SUBJECTS} {_PLACES}"
    " WHERE subject.id = ANY(:ids) ORDER BY a.manifest_id"
)
INHERITED_BY: Final = Statement(
    f"{_ACCESSORY}, c.child_id AS owner FROM manifest_children c"
    f" JOIN manifests subject ON subject.id = c.parent_id AND subject.deleted_at IS NULL {_SUBJECTS} {_PLACES}"
    " WHERE c.child_id = ANY(:ids) AND a.accessory_type IN ('signature.cosign', 'signature.notation')"
    " ORDER BY a.manifest_id"
)
CHILDREN_OF: Final = Statement(
    "SELECT parent_id, child_digest, child_id FROM manifest_children WHERE parent_id = ANY(:ids)"
)
PAYLOADS_OF: Final = Statement("SELECT id, payload FROM manifests WHERE id = ANY(:ids)")
