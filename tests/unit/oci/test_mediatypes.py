# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.oci import mediatypes
from longshore.oci.errors import ManifestInvalid


@pytest.mark.parametrize(
    ("media_type", "manifest", "index", "image", "schema1"),
    [
        (mediatypes.OCI_MANIFEST, True, False, True, False),
        (mediatypes.DOCKER_MANIFEST, True, False, True, False),
        (mediatypes.OCI_INDEX, True, True, False, False),
        (mediatypes.DOCKER_MANIFEST_LIST, True, True, False, False),
        (mediatypes.DOCKER_SCHEMA1, True, False, False, True),
        (mediatypes.DOCKER_SCHEMA1_SIGNED, True, False, False, True),
        (mediatypes.OCI_ARTIFACT_MANIFEST, True, False, False, False),
        (mediatypes.OCI_CONFIG, False, False, False, False),
        ("application/vnd.buildkit.cacheconfig.v0", False, False, False, False),
    ],
)
def test_kinds(media_type: str, *, manifest: bool, index: bool, image: bool, schema1: bool) -> None:
    """Each type is of the kinds it should be."""
    assert mediatypes.is_manifest(media_type) is manifest
    assert mediatypes.is_index(media_type) is index
    assert mediatypes.is_image_manifest(media_type) is image
    assert mediatypes.is_schema1(media_type) is schema1


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", True),
        ("application/vnd.oci.image.layer.v1.tar+gzip", False),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", False),
    ],
)
def test_non_distributable_layers(media_type: str, *, expected: bool) -> None:
    """Layers that may be forbidden to push are told from others."""
    assert mediatypes.is_non_distributable(media_type) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (mediatypes.OCI_INDEX, mediatypes.OCI_INDEX),
        (f" {mediatypes.OCI_INDEX} ; charset=utf-8", mediatypes.OCI_INDEX),
        ("Application/JSON;q=1", "application/json"),
    ],
)
def test_content_type(header: str, expected: str) -> None:
    """Parameters and case of a Content-Type don't matter."""
    assert mediatypes.parse_content_type(header) == expected


@pytest.mark.parametrize("header", ["", ";", "json", "a/b/c", "a/", "/b", "a b/c", "a/b, c/d", "a/b\r\n", "a/é", "*/*"])
def test_malformed_content_types_are_refused(header: str) -> None:
    """What isn't a media type is refused."""
    with pytest.raises(ManifestInvalid, match="is no media type"):
        mediatypes.parse_content_type(header)


@given(st.text())
def test_any_text_is_a_content_type_or_refused(header: str) -> None:
    """No header raises anything but the error for manifests."""
    try:
        found = mediatypes.parse_content_type(header)
    except ManifestInvalid:
        assert not mediatypes.is_media_type(header)
    else:
        assert mediatypes.is_media_type(found)
