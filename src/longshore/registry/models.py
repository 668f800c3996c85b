# SPDX-License-Identifier: Apache-2.0
"""The values that the registry's services take and give."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from longshore.oci.digest import Digest
from longshore.oci.names import TagName
from longshore.storage.port import ObjectKey


class Sparse(Enum):
    """What a manifest may refer to without its being there, per project."""

    NONE = "none"
    CHILDREN = "children"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as the rows name it."""

    id: int
    project_id: int
    path: str


class StoredBlob(msgspec.Struct, frozen=True, gc=False):
    """A blob that can be read: `size` in bytes, and the key of its bytes."""

    id: int
    digest: Digest
    size: int
    key: ObjectKey


class StoredManifest(msgspec.Struct, frozen=True, gc=False):
    """A manifest as it was pushed, byte for byte."""

    id: int
    digest: str
    media_type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way: `received` bytes are durable."""

    id: str
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedManifest:
    """What a push of a manifest did."""

    digest: Digest
    subject: Digest | None
    tags: tuple[TagName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerDescriptor:
    """One entry of the referrers list."""

    media_type: str
    digest: str
    size: int
    artifact_type: str | None
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimable:
    """An artifact that nobody would miss by a name; `path` is its repository's below the project, `size` in bytes."""

    path: str
    digest: str
    size: int
