# SPDX-License-Identifier: Apache-2.0
"""Icons: one for each type of artifacts, and those that artifacts bring themselves. An icon is known by its digest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from longshore.artifacts.contents import Contents
from longshore.database.connection import Database
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, NotFound, Unprocessable
from longshore.registry.facts import CHART, CNAB, IMAGE, MODEL, SBOM, UNKNOWN, WASM

_LARGEST: Final = 1024 * 1024
_DRAWN: Final = (IMAGE, CHART, CNAB, WASM, MODEL, SBOM, UNKNOWN)
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
)
_OWNER = Statement("SELECT manifest_id FROM artifacts WHERE icon IS NOT NULL AND icon = :digest LIMIT 1")


@dataclass(frozen=True, slots=True)
class Icon:
    """A picture and its media type."""

    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Pictures:
    digests: dict[str, str]
    contents: dict[str, bytes]


class Icons:
    """Finds icons by their digests."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._contents = contents

    async def read(self, digest: Digest) -> Icon:
        """One of ours, or one that an artifact names as its icon; anybody may see it who knows the digest.

        Raises:
            NotFound: no type and no artifact has this icon, or it is no picture of at most 1 MB (GIF, PNG or JPEG).
            ServiceUnavailable: it can't be read at this moment.
        """
        ours = _pictures().contents.get(str(digest))
        if ours is not None:
            return Icon("image/png", ours)
        row = await self._database.one(_OWNER, digest=str(digest))
        if row is None:
            raise _unknown(digest)
        try:
            content = await self._contents.of_manifest(row[0], digest, most=_LARGEST)
        except (BlobUnknown, Unprocessable) as error:
            raise _unknown(digest) from error
        # What it is decides the picture's own first bytes, not what its layer says it is.
        for magic, content_type in _MAGIC:
            if content.startswith(magic):
                return Icon(content_type, content)
        raise _unknown(digest)


def icon_of(kind: str, own: str | None) -> str:
    """The digest of an artifact's icon: its own, or that of its type."""
    if own is not None:
        return own
    digests = _pictures().digests
    return digests.get(kind) or digests[UNKNOWN]


@cache
def _pictures() -> _Pictures:
    folder = files("longshore.artifacts").joinpath("pictures")
    drawn = {kind: folder.joinpath(f"{kind.lower()}.png").read_bytes() for kind in _DRAWN}
    digests = {kind: str(Digest.of(content)) for kind, content in drawn.items()}
    return _Pictures(digests, {digests[kind]: content for kind, content in drawn.items()})


def _unknown(digest: Digest) -> NotFound:
    return NotFound(f"There is no icon {digest}. Look at the icon of an artifact.")
