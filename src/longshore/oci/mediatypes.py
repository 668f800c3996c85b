# SPDX-License-Identifier: Apache-2.0
"""Media types of manifests and of what they list (OCI image specification 1.1, "OCI Image Media Types"; Docker's)."""

from __future__ import annotations

import re
from typing import Final

from longshore.oci.errors import ManifestInvalid

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_ARTIFACT_MANIFEST: Final = "application/vnd.oci.artifact.manifest.v1+json"
"""Part of release candidates of OCI 1.1 and withdrawn before it was published; early ORAS pushed it."""

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_FOREIGN_LAYER: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"

NON_DISTRIBUTABLE_PREFIX: Final = "application/vnd.oci.image.layer.nondistributable."

IMAGE_MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
SCHEMA1_MANIFESTS: Final = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
_MANIFESTS: Final = IMAGE_MANIFESTS | INDEXES | SCHEMA1_MANIFESTS | {OCI_ARTIFACT_MANIFEST}

# RFC 6838, section 4.2: restricted names.
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE: Final = re.compile(rf"{_NAME}/{_NAME}")


def is_manifest(media_type: str) -> bool:
    """Whether this type, in lower case, is of a manifest rather than a blob, be it of one that can't be pushed."""
    return media_type in _MANIFESTS


def is_index(media_type: str) -> bool:
    """Whether this type, in lower case, is of an OCI index or a Docker manifest list."""
    return media_type in INDEXES


def is_image_manifest(media_type: str) -> bool:
    """Whether this type, in lower case, is of an OCI or Docker schema 2 image manifest."""
    return media_type in IMAGE_MANIFESTS


def is_schema1(media_type: str) -> bool:
    """Whether this type, in lower case, is of a Docker schema 1 manifest, which no registry should take any more."""
    return media_type in SCHEMA1_MANIFESTS


def is_non_distributable(media_type: str) -> bool:
    """Whether this type, in lower case, is of a layer that a licence may forbid to push, so that it may be missing."""
    return media_type == DOCKER_FOREIGN_LAYER or media_type.startswith(NON_DISTRIBUTABLE_PREFIX)


def is_media_type(text: str) -> bool:
    """Whether the text is `type/subtype`, in any case and without parameters (RFC 6838, section 4.2)."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def parse_content_type(header: str) -> str:
    """The media type in the value of a Content-Type header: lower case, without parameters.

    Raises:
        ManifestInvalid: The value is no media type.
    """
    media_type = header.partition(";")[0].strip(" \t")
    if not is_media_type(media_type):
        raise ManifestInvalid(
            f"The Content-Type {header[:200]!a} is no media type: send the manifest's own, such as {OCI_MANIFEST}."
        )
    return media_type.lower()
