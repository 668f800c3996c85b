# SPDX-License-Identifier: Apache-2.0
"""Artifacts, their tags, references and accessories, as the contract shows and takes them."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

import msgspec

from longshore.api.documents.label import Label, shown_label
from longshore.api.serialising import NEVER, Integer, Read, Shown, Time, listed, moment
from longshore.artifacts import models
from longshore.artifacts.icons import icon_of
from longshore.oci.errors import Unprocessable
from longshore.oci.names import TagName

_EMPTY = "{}"


class Tag(Shown, frozen=True, kw_only=True):
    """A tag."""

    id: int = 0
    repository_id: int = 0
    artifact_id: int = 0
    name: str = ""
    push_time: Time
    pull_time: Time
    immutable: bool


class NewTag(Read, frozen=True, kw_only=True):
    """A tag to make."""

    name: str | None = None

    def tag(self) -> TagName:
        """Its name.

        Raises:
            Unprocessable: it isn't told.
            TagInvalid: no tag can have it.
        """
        if self.name is None:
            raise Unprocessable("name in body is required: that of the tag to make.")
        return TagName.parse(self.name)


class AddedLabel(Read, frozen=True, kw_only=True):
    """A label to add; what is sent besides its number is ignored."""

    id: Integer | None = None

    def number(self) -> int:
        """Which one.

        Raises:
            Unprocessable: it isn't told.
        """
        if self.id is None:
            raise Unprocessable("id in body is required: the number of the label to add.")
        return self.id


class Platform(Shown, frozen=True, kw_only=True):
    """What a child of an index runs on. The contract has the quotes around two of its names."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="'os.version'")
    os_features: tuple[str, ...] | None = msgspec.field(name="'os.features'")
    variant: str = ""


class Reference(Shown, frozen=True, kw_only=True):
    """A child of an index."""

    parent_id: int = 0
    child_id: int = 0
    child_digest: str = ""
    platform: Platform | msgspec.UnsetType = msgspec.UNSET
    annotations: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    urls: tuple[str, ...] | None


class Accessory(Shown, frozen=True, kw_only=True):
    """An artifact that belongs to another one."""

    id: int = 0
    artifact_id: int
    subject_artifact_id: int = 0
    subject_artifact_digest: str
    subject_artifact_repo: str
    size: int
    digest: str
    type: str
    icon: str
    creation_time: Time


class AdditionLink(Shown, frozen=True, kw_only=True):
    """Where something more about an artifact is: a path on this registry."""

    href: str = ""


class Artifact(Shown, frozen=True, kw_only=True):
    """An artifact; arrays that weren't asked for are null."""

    id: int = 0
    type: str = ""
    media_type: str = ""
    manifest_media_type: str = ""
    artifact_type: str = ""
    project_id: int = 0
    repository_id: int = 0
    repository_name: str = ""
    digest: str = ""
    size: int = 0
    icon: str = ""
    push_time: Time
    pull_time: Time
    extra_attrs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    annotations: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    references: tuple[Reference, ...] | None
    tags: tuple[Tag, ...] | None
    addition_links: dict[str, AdditionLink] | msgspec.UnsetType = msgspec.UNSET
    labels: tuple[Label, ...] | None
    accessories: tuple[Accessory, ...] | None
    inherited_accessories: tuple[Accessory, ...] = ()


def artifact_path(repository: str, reference: str) -> str:
    """The path of an artifact in the API; a digest or a tag needs no encoding."""
    return f"{_artifacts_path(repository)}/{reference}"


def shown_artifact(artifact: models.Artifact) -> Artifact:
    """An artifact as the contract shows it."""
    links: dict[str, AdditionLink] = {}
    if artifact.additions:
        path = artifact_path(artifact.repository, artifact.digest)
        links = {name: AdditionLink(href=f"{path}/additions/{name}") for name in artifact.additions}
    return Artifact(
        id=artifact.id,
        type=artifact.type,
        media_type=artifact.media_type,
        manifest_media_type=artifact.manifest_media_type,
        artifact_type=artifact.artifact_type,
        project_id=artifact.project_id,
        repository_id=artifact.repository_id,
        repository_name=artifact.repository,
        digest=artifact.digest,
        size=artifact.size,
        icon=icon_of(artifact.type, artifact.icon),
        push_time=moment(artifact.pushed_at),
        pull_time=_when(artifact.pulled_at),
        extra_attrs=_object(artifact.extra_attributes),
        annotations=_object(artifact.annotations),
        references=listed(map(_shown_reference, artifact.references)),
        tags=listed(map(shown_tag, artifact.tags)),
        addition_links=links or msgspec.UNSET,
        labels=listed(map(shown_label, artifact.labels)),
        accessories=listed(map(shown_accessory, artifact.accessories)),
        inherited_accessories=tuple(map(shown_accessory, artifact.inherited_accessories)),
    )


def shown_tag(tag: models.Tag) -> Tag:
    """A tag as the contract shows it."""
    return Tag(
        id=tag.id,
        repository_id=tag.repository_id,
        artifact_id=tag.artifact_id,
        name=tag.name,
        push_time=moment(tag.pushed_at),
        pull_time=_when(tag.pulled_at),
        immutable=tag.immutable,
    )


def shown_accessory(accessory: models.Accessory) -> Accessory:
    """An accessory as the contract shows it."""
    return Accessory(
        id=accessory.id,
        artifact_id=accessory.id,
        subject_artifact_id=accessory.subject_id,
        subject_artifact_digest=accessory.subject_digest,
        subject_artifact_repo=accessory.repository,
        size=accessory.size,
        digest=accessory.digest,
        type=accessory.type,
        icon=icon_of(accessory.artifact_type, accessory.icon),
        creation_time=moment(accessory.created_at),
    )


@lru_cache(1024)
def _artifacts_path(repository: str) -> str:
    """The path of a repository's artifacts: its name is encoded twice, so that it is one segment."""
    project, _, path = repository.partition("/")
    encoded = quote(quote(path, safe=""), safe="")
    return f"/api/v2.0/projects/{project}/repositories/{encoded}/artifacts"


def _shown_reference(reference: models.Reference) -> Reference:
    platform = reference.platform
    return Reference(
        parent_id=reference.parent_id,
        child_id=reference.child_id or 0,
        child_digest=reference.child_digest,
        platform=msgspec.UNSET if platform is None else _shown_platform(platform),
        annotations=reference.annotations or msgspec.UNSET,
        urls=reference.urls or None,
    )


def _shown_platform(platform: models.Platform) -> Platform:
    return Platform(
        architecture=platform.architecture or "",
        os=platform.os or "",
        os_version=platform.os_version or "",
        os_features=platform.os_features or None,
        variant=platform.variant or "",
    )


def _when(microseconds: int | None) -> str:
    return NEVER if microseconds is None else moment(microseconds)


def _object(text: str) -> msgspec.Raw | msgspec.UnsetType:
    """A JSON object as it was stored; left out when it is empty."""
    return msgspec.UNSET if text == _EMPTY else msgspec.Raw(text)
