# SPDX-License-Identifier: Apache-2.0
"""Artifacts and repositories as lists show them. Times are microseconds since 1970; None is never."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto

import msgspec

from longshore.labels.models import Label


class With(Flag):
    """What may be read along with artifacts, one statement each for a whole page."""

    NOTHING = 0
    REFERENCES = auto()
    TAGS = auto()
    LABELS = auto()
    ACCESSORIES = auto()
    INHERITED_ACCESSORIES = auto()
    IMMUTABLE_STATUS = auto()


class Latest(Enum):
    """Of each repository only the newest artifact that has the same of this."""

    MEDIA_TYPE = "media_type"
    ARTIFACT_TYPE = "artifact_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRepository:
    """A repository as lists show it; `path` is its name below the project."""

    id: int
    project_id: int
    project: str
    path: str
    description: str
    artifact_count: int
    pull_count: int
    created_at: int
    updated_at: int

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.project}/{self.path}"


class Tag(msgspec.Struct, frozen=True, gc=False):
    """A tag of an artifact."""

    id: int
    repository_id: int
    artifact_id: int
    name: str
    pushed_at: int
    pulled_at: int | None
    immutable: bool = False


class Platform(msgspec.Struct, frozen=True, gc=False):
    """What a child of an index runs on, as the index says."""

    architecture: str | None = None
    os: str | None = None
    os_version: str | None = msgspec.field(default=None, name="os.version")
    os_features: tuple[str, ...] | None = msgspec.field(default=None, name="os.features")
    variant: str | None = None


class Reference(msgspec.Struct, frozen=True):
    """A child of an index; `child_id` is None while a sparse project lacks the child."""

    parent_id: int
    child_id: int | None
    child_digest: str
    platform: Platform | None
    annotations: dict[str, str]
    urls: tuple[str, ...]


class Accessory(msgspec.Struct, frozen=True, gc=False):
    """An artifact that belongs to another one, its subject; `icon` is None unless it brought one."""

    id: int
    subject_id: int
    subject_digest: str
    repository: str
    digest: str
    type: str
    artifact_type: str
    size: int
    icon: str | None
    created_at: int


class Artifact(msgspec.Struct, frozen=True):
    """An artifact; what belongs to it is empty where it wasn't asked for.

    Attributes:
        media_type: its config's, an index's own.
        manifest_media_type: of the manifest.
        repository: the whole name.
        icon: the digest of the icon that it brought, if any.
        annotations: a JSON object.
        extra_attributes: a JSON object: what stands in its config, as Harbor shows it.
        additions: the names of what it can be asked for besides.
    """

    id: int
    type: str
    media_type: str
    manifest_media_type: str
    artifact_type: str
    project_id: int
    repository_id: int
    repository: str
    digest: str
    size: int
    icon: str | None
    pushed_at: int
    pulled_at: int | None
    annotations: str
    extra_attributes: str
    additions: tuple[str, ...]
    tags: tuple[Tag, ...] = ()
    labels: tuple[Label, ...] = ()
    references: tuple[Reference, ...] = ()
    accessories: tuple[Accessory, ...] = ()
    inherited_accessories: tuple[Accessory, ...] = ()
