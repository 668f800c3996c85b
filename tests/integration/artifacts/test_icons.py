# SPDX-License-Identifier: Apache-2.0
"""Icons of types, and those that artifacts bring."""

from __future__ import annotations

import pytest

from longshore.artifacts.contents import Contents
from longshore.artifacts.icons import Icons, icon_of
from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.errors import NotFound
from tests.builders import World


def icons(world: World) -> Icons:
    return Icons(world.database, Contents(world.database, world.store, world.blobs))


async def bring(world: World, project: int, picture: bytes) -> Digest:
    """Pushes an artifact with an icon of its own."""
    await world.upload(project, picture)
    await world.upload(project, b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.acme.rocket.config.v1+json",
            "digest": str(Digest.of(b"{}")),
            "size": 2,
        },
        "layers": [
            {
                "mediaType": "text/html",
                "digest": str(Digest.of(picture)),
                "size": len(picture),
                "annotations": {"io.goharbor.artifact.v1alpha1.icon": ""},
            }
        ],
    }
    await world.push(project, document)
    return Digest.of(picture)


async def test_every_type_has_an_icon(world: World) -> None:
    """Its own picture, and any other type that of the unknown ones."""
    kinds = ["IMAGE", "CHART", "CNAB", "WASM", "CNAI", "SBOM", "UNKNOWN"]
    assert len({icon_of(kind, None) for kind in kinds}) == len(kinds)
    assert icon_of("ROCKET", None) == icon_of("UNKNOWN", None)
    for kind in kinds:
        icon = await icons(world).read(Digest.parse(icon_of(kind, None)))
        assert icon.content_type == "image/png"
        assert icon.content.startswith(b"\x89PNG")
        assert icon.content[16:24] == (50).to_bytes(4) * 2, "50 by 50"


@pytest.mark.parametrize(
    ("begin", "content_type"),
    [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF89a", "image/gif"), (b"\xff\xd8\xff\xe0", "image/jpeg")],
)
async def test_an_artifact_may_bring_its_own(world: World, begin: bytes, content_type: str) -> None:
    """What it is the bytes say, not the media type that somebody gave the layer."""
    project = await world.project()
    digest = await bring(world, project, begin + b"picture")
    assert await world.value("SELECT icon FROM artifacts") == str(digest) == icon_of("ROCKET", str(digest))
    icon = await icons(world).read(digest)
    assert (icon.content_type, icon.content) == (content_type, begin + b"picture")


async def test_no_blob_can_be_read_as_an_icon(world: World) -> None:
    """Neither one that no artifact calls its icon, nor one that is no picture, nor one that is too large."""
    project = await world.project()
    secret = await world.upload(project, b"\x89PNG\r\n\x1a\nsecret")
    await world.image(project, b"\x89PNG\r\n\x1a\nsecret", upload=False)
    page = await bring(world, project, b"<script>")
    large = await bring(world, project, b"GIF89a" + bytes(1024 * 1024))
    for digest in (secret, page, large, Digest.of(b"nothing")):
        with pytest.raises(NotFound, match="no icon"):
            await icons(world).read(digest)
