# SPDX-License-Identifier: Apache-2.0
"""How the bytes of a blob get to a client that may have them: the one place where a blob's GET is answered."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from longshore.distribution.elsewhere import Elsewhere, check_size
from longshore.distribution.hot import LARGEST, HotBlobs
from longshore.edge.request import Request
from longshore.edge.response import Give, Header, Response, Stream
from longshore.oci.digest import Digest
from longshore.oci.ranges import ByteRange
from longshore.registry.models import StoredBlob
from longshore.storage.port import BlobReader, BlobStore

# Pieces below the allocator's threshold for mapped memory: larger ones cost a map and an unmap each.
_PIECE = 64 * 1024


class Delivery:
    """Answers with a blob that was found in the database a moment ago, in the way that costs least."""

    def __init__(self, store: BlobStore, elsewhere: Elsewhere | None = None) -> None:
        self._store = store
        self._elsewhere = elsewhere
        self._hot = HotBlobs()

    async def answer(self, request: Request, blob: StoredBlob, part: ByteRange | None) -> Response:
        """The blob's bytes, or a part of them: by somebody else, from memory, read at once, or as a stream.

        Raises:
            StoreUnavailable: the store can't be read, or holds something else than the database says.
        """
        headers = [*identity(blob.digest), *DESCRIPTION]
        if self._elsewhere is not None:
            answer = await self._elsewhere.answer(request, blob, headers)
            if answer is not None:
                return answer
        if part is None:
            status, start, length = 200, 0, blob.size
        else:
            status, start, length = 206, part.start, part.length
            headers.append((b"content-range", part.content_range(blob.size).encode()))
        content = self._hot.get(blob.key)
        if content is not None:
            return Response(status, headers, content if part is None else content[start : start + length])
        reader = await self._store.open(blob.key, start, length)
        try:
            check_size(blob, reader.size)
        except BaseException:
            reader.close()
            raise
        if length > _PIECE:
            return Response(status, headers, length=length, stream=_pieces(reader, start, length), close=reader.close)
        try:
            body = await self._read(reader, blob, start, length)
        finally:
            reader.close()
        return Response(status, headers, body)

    async def _read(self, reader: BlobReader, blob: StoredBlob, start: int, length: int) -> bytes:
        """Small bodies need no stream: one read, mostly from the page cache, without a thread."""
        body = reader.read_cached(start, length)
        if body is None:
            body = await reader.read(start, length)
        if length == blob.size <= LARGEST:
            self._hot.keep(blob.key, body)
        return body


DESCRIPTION: tuple[Header, ...] = ((b"content-type", b"application/octet-stream"), (b"accept-ranges", b"bytes"))
"""What the headers say of every blob."""


@lru_cache(maxsize=4096)
def identity(digest: Digest) -> tuple[Header, ...]:
    """What the headers say of one blob, also where its bytes needn't be sent."""
    name = str(digest).encode()
    return (
        (b"docker-content-digest", name),
        (b"etag", b'"' + name + b'"'),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    )


def _pieces(reader: BlobReader, start: int, length: int) -> Stream:
    async def stream(give: Give) -> None:
        offset, end = start, start + length
        while offset < end:
            size = min(_PIECE, end - offset)
            piece = reader.read_cached(offset, size)
            if piece is None:
                piece = await reader.read(offset, size)
            await give(piece)
            offset += len(piece)
            # A client that takes everything at once must not keep the loop from everybody else.
            if not offset % (_PIECE * 16):
                await asyncio.sleep(0)

    return stream
