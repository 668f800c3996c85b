# SPDX-License-Identifier: Apache-2.0
"""Descriptors: how one piece of content names another (OCI image specification 1.1, "Content Descriptors")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from longshore.oci.digest import Digest
from longshore.oci.document import Element
from longshore.oci.errors import DigestInvalid
from longshore.oci.mediatypes import is_non_distributable

_LONGEST_TYPE: Final = 255
_MEMBERS: Final = frozenset(
    {"mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a manifest says about a piece of content: its type, its digest and its size in bytes.

    `data` is the content itself where the manifest embeds it, already checked against digest and size. It doesn't stand
    in for the content: clients may ignore it and fetch the blob, so the blob must exist like any other.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: bytes | None = None
    platform: Mapping[str, object] | None = field(default=None, hash=False)
    artifact_type: str | None = None

    @property
    def is_optional_layer(self) -> bool:
        """Whether a layer so described may be missing: its licence may forbid to push it, or `urls` say where it is."""
        return bool(self.urls) or is_non_distributable(self.media_type.lower())


def parse_descriptor(element: Element) -> Descriptor:
    """The descriptor that an element of a manifest is. Members that the specification doesn't know are ignored.

    Raises:
        ManifestInvalid: A member is missing or malformed; the message names it by its path.
    """
    element.check_spelling(_MEMBERS)
    media_type = parse_type(element.required("mediaType"))
    digest = parse_digest(element.required("digest"))
    size = _parse_size(element.required("size"))
    urls = element.member("urls")
    annotations = element.member("annotations")
    data = element.member("data")
    platform = element.member("platform")
    artifact_type = element.member("artifactType")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        urls=() if urls is None else tuple(url.text() for url in urls.items()),
        annotations={} if annotations is None else annotations.texts(),
        data=None if data is None else _parse_data(data, digest, size),
        platform=None if platform is None else platform.members(),
        artifact_type=None if artifact_type is None else parse_optional_type(artifact_type),
    )


def parse_type(element: Element) -> str:
    """A media type as it stands: any text of 1 to 255 printable characters, since artifacts bring their own.

    Raises:
        ManifestInvalid: The element isn't such a text.
    """
    text = element.text()
    if not text or len(text) > _LONGEST_TYPE or not text.isprintable():
        element.fail(f"must be a media type of 1 to {_LONGEST_TYPE} printable characters.")
    return text


def parse_optional_type(element: Element) -> str | None:
    """As `parse_type`, but the empty text counts as absent, as the specification has it for artifact types.

    Raises:
        ManifestInvalid: The element isn't such a text.
    """
    return None if element.value == "" else parse_type(element)


def parse_digest(element: Element) -> Digest:
    """A digest of a supported algorithm.

    Raises:
        ManifestInvalid: The element isn't a string, or not such a digest.
    """
    text = element.text()
    try:
        return Digest.parse(text)
    except DigestInvalid as error:
        element.fail(error.message)


def _parse_size(element: Element) -> int:
    size = element.integer()
    if size < 0:
        element.fail(f"must be a number of bytes, not {size}.")
    return size


def _parse_data(element: Element, digest: Digest, size: int) -> bytes:
    try:
        content = base64.b64decode(element.text(), validate=True)
    except (binascii.Error, ValueError):
        element.fail("isn't base64 (RFC 4648, section 4).")
    if len(content) != size:
        element.fail(f"decodes to {len(content)} bytes, but the descriptor's size is {size}.")
    if Digest.of(content, digest.algorithm) != digest:
        element.fail(f"decodes to content that hasn't the descriptor's digest {digest}.")
    return content
