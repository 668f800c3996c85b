# SPDX-License-Identifier: Apache-2.0
"""Images, artifacts and indexes (OCI image specification, "Image Manifest", "Image Index"; Docker's schema 2).

Of the manifest's own media type, OCI's and Docker's four are known. Any other `application/…+json` is taken when the
body itself declares it as `mediaType` and has the shape of an image manifest or of an index; an index entry of such a
type counts as a blob. Everything else is refused, since what we can't read we can't keep the parts of. A body that
could be read as both shapes is refused whatever its type (CVE-2021-41190).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from longshore.oci import mediatypes
from longshore.oci.descriptor import Descriptor, parse_descriptor, parse_optional_type
from longshore.oci.digest import Digest
from longshore.oci.document import Element, parse_document
from longshore.oci.errors import ManifestInvalid

_MOST_DESCRIPTORS: Final = 20_000
_MEMBERS: Final = frozenset(
    {
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "fsLayers",
    }
)
_KNOWN: Final = ", ".join(sorted(mediatypes.IMAGE_MANIFESTS | mediatypes.INDEXES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says. Made by `parse_manifest`, which guarantees that it is well-formed.

    Attributes:
        media_type: The manifest's own type, in lower case: what a GET answers as Content-Type.
        is_index: Whether it lists other manifests rather than a config and layers.
        artifact_type: As the referrers API shows it: `artifactType`, else, unless it is an index, the config's type.
        config: The config; None for an index.
        layers: The layers as listed.
        entries: The entries of an index as listed.
        children: The entries that are manifests, each digest once.
        blobs: Every blob that must exist, each digest once: the config, layers, and entries that aren't manifests
            (BuildKit's cache).
        optional_blobs: Layers that may be missing, each digest once and none that is in `blobs`. The manifest needs
            those that do exist all the same.
        subject: The manifest that this one refers to; it need not exist.
        annotations: The manifest's own annotations.
        size: The length of the payload in bytes.
    """

    media_type: str
    is_index: bool
    artifact_type: str | None
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    entries: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    optional_blobs: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str] = field(hash=False)
    size: int


def parse_manifest(payload: bytes, content_type: str | None) -> Manifest:
    """The manifest that the payload is, by the value of the Content-Type header it came with, if any.

    The caller limits the length of the payload, and compares its digest with the one it was pushed by.

    Raises:
        ManifestInvalid: Payload or Content-Type are malformed, contradict each other, or are of a kind that isn't
            supported. The message names the offending member by its path.
    """
    announced = None if content_type is None else mediatypes.parse_content_type(content_type)
    _refuse_withdrawn(announced)
    document = parse_document(payload)
    document.check_spelling(_MEMBERS)
    media_type = _media_type(document, announced)
    _check_schema_version(document)
    is_index = _has_index_shape(document, media_type)
    config = None if is_index else parse_descriptor(document.required("config"))
    listed = _listed(document, "manifests" if is_index else "layers")
    subject = document.member("subject")
    referred = None if subject is None else parse_descriptor(subject)
    _check_sizes(descriptor for descriptor in (config, *listed, referred) if descriptor is not None)
    annotations = document.member("annotations")
    artifact_type = document.member("artifactType")
    own_type = None if artifact_type is None else parse_optional_type(artifact_type)
    blobs = _blobs(config, listed)
    return Manifest(
        media_type=media_type,
        is_index=is_index,
        artifact_type=own_type or (config.media_type if config else None),
        config=config,
        layers=() if is_index else listed,
        entries=listed if is_index else (),
        children=_once(entry for entry in listed if _is_child(entry)) if is_index else (),
        blobs=blobs,
        optional_blobs=() if is_index else _optional_blobs(listed, blobs),
        subject=referred,
        annotations={} if annotations is None else annotations.texts(),
        size=len(payload),
    )


def _refuse_withdrawn(media_type: str | None) -> None:
    if media_type is None:
        return
    if mediatypes.is_schema1(media_type):
        raise ManifestInvalid(_SCHEMA1)
    if media_type == mediatypes.OCI_ARTIFACT_MANIFEST:
        raise ManifestInvalid(
            f"Manifests of type {media_type} were withdrawn before OCI 1.1: push an image manifest "
            f"({mediatypes.OCI_MANIFEST}) with an artifactType, as current versions of ORAS and others do."
        )


_SCHEMA1: Final = (
    "Docker schema 1 manifests aren't supported: they are obsolete and insecure. Push the image again with a newer "
    "client (Docker 1.10 or later, or any that writes OCI images)."
)


def _media_type(document: Element, announced: str | None) -> str:
    member = document.member("mediaType")
    declared = None if member is None else member.text().lower()
    if member is not None and declared is not None and not mediatypes.is_media_type(declared):
        member.fail("is no media type.")
    _refuse_withdrawn(declared)
    if announced is None and declared is None:
        raise ManifestInvalid("The manifest has no mediaType and came without Content-Type: send one of them.")
    if member is not None and announced is not None and declared != announced:
        member.fail(f"is {declared}, but the manifest was sent as Content-Type {announced}: they must be the same.")
    media_type = announced or declared or ""
    if mediatypes.is_image_manifest(media_type) or mediatypes.is_index(media_type):
        return media_type
    if declared is None or not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise ManifestInvalid(
            f"Manifests of type {media_type} aren't supported: send {_KNOWN}, or any application/…+json that the "
            "manifest itself declares as its mediaType."
        )
    return media_type


def _check_schema_version(document: Element) -> None:
    element = document.required("schemaVersion")
    version = element.integer()
    if version == 1:
        raise ManifestInvalid(_SCHEMA1)
    if version != 2:
        element.fail(f"must be 2, not {version}.")


def _has_index_shape(document: Element, media_type: str) -> bool:
    image_members = [name for name in ("config", "layers", "fsLayers") if document.member(name)]
    has_manifests = document.member("manifests") is not None
    is_index = mediatypes.is_index(media_type) or (not mediatypes.is_image_manifest(media_type) and has_manifests)
    if is_index and "manifests" not in document.members():
        Element(None, "manifests").fail("is missing: an index needs it, be it empty.")
    if is_index and image_members:
        document.fail(f"is an index and has {' and '.join(image_members)}, which only image manifests have.")
    if not is_index and has_manifests:
        document.fail("is an image manifest and has manifests, which only an index has.")
    return is_index


def _listed(document: Element, name: str) -> tuple[Descriptor, ...]:
    member = document.member(name)
    items = () if member is None else tuple(member.items())
    if len(items) >= _MOST_DESCRIPTORS:
        document.fail(
            f"has {len(items):,} {name}: {_MOST_DESCRIPTORS:,} descriptors are the most, the config included."
        )
    return tuple(parse_descriptor(item) for item in items)


def _is_child(entry: Descriptor) -> bool:
    return mediatypes.is_manifest(entry.media_type.lower())


def _blobs(config: Descriptor | None, listed: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    if config is None:
        return _once(entry for entry in listed if not _is_child(entry))
    return _once((config, *(layer for layer in listed if not layer.is_optional_layer)))


def _optional_blobs(layers: Iterable[Descriptor], blobs: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    needed = {blob.digest for blob in blobs}
    return _once(layer for layer in layers if layer.digest not in needed)


def _once(descriptors: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    first: dict[Digest, Descriptor] = {}
    for descriptor in descriptors:
        first.setdefault(descriptor.digest, descriptor)
    return tuple(first.values())


def _check_sizes(descriptors: Iterable[Descriptor]) -> None:
    sizes: dict[Digest, int] = {}
    for descriptor in descriptors:
        if sizes.setdefault(descriptor.digest, descriptor.size) != descriptor.size:
            raise ManifestInvalid(
                f"The manifest lists {descriptor.digest} with the sizes {sizes[descriptor.digest]} and "
                f"{descriptor.size}: content has one size."
            )
