# SPDX-License-Identifier: Apache-2.0
"""Blobs: GET, HEAD and DELETE (distribution specification 1.1, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from longshore.access.models import ARTIFACT_DELETE, REPOSITORY_PULL, Caller
from longshore.distribution.delivery import check_size
from longshore.distribution.services import Services
from longshore.edge.request import Request
from longshore.edge.response import Header, Response
from longshore.oci.digest import Digest
from longshore.oci.names import RepositoryName
from longshore.oci.ranges import ByteRange, etag_matches
from longshore.registry.models import StoredBlob
from longshore.storage.port import BlobReader

# Pieces below the allocator's threshold for mapped memory: larger ones cost a map and an unmap each.
_PIECE = 64 * 1024
_OCTETS: Header = (b"content-type", b"application/octet-stream")


async def head(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """Whether the blob is there; a yes promises it for half of the grace period."""
    digest = Digest.parse(tail)
    request.digest = tail
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    blob = await services.blobs.promise(project.id, name.path, digest)
    headers = [_OCTETS, *_identity(blob), (b"content-length", str(blob.size).encode()), (b"accept-ranges", b"bytes")]
    return Response(200, headers)


async def get(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """The blob's bytes, or a range of them."""
    digest = Digest.parse(tail)
    request.digest = tail
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    blob = await services.blobs.find(project.id, name.path, digest)
    known = request.header(b"if-none-match")
    if known is not None and etag_matches(known, digest):
        return Response(304, _identity(blob))
    elsewhere = await services.delivery.elsewhere(request, blob, _identity(blob))
    if elsewhere is not None:
        return elsewhere
    part = _part(request, blob)
    start, length = (0, blob.size) if part is None else (part.start, part.length)
    headers = [_OCTETS, *_identity(blob), (b"content-length", str(length).encode()), (b"accept-ranges", b"bytes")]
    if part is not None:
        headers.append((b"content-range", part.content_range(blob.size).encode()))
    status = 200 if part is None else 206
    reader = await services.store.open(blob.key, start, length)
    try:
        check_size(blob, reader.size)
    except BaseException:
        reader.close()
        raise
    if length <= _PIECE:
        # Small bodies need no stream: one read, mostly from the page cache, without a thread.
        try:
            body = reader.read_cached(start, length)
            return Response(status, headers, body if body is not None else await reader.read(start, length))
        finally:
            reader.close()
    return Response(status, headers, stream=_pieces(reader, start, length), close=reader.close)


def _part(request: Request, blob: StoredBlob) -> ByteRange | None:
    """The range asked for; None for the whole, also where it was to be of another content (RFC 9110, 13.1.5)."""
    wanted = request.header(b"range")
    if wanted is None:
        return None
    condition = request.header(b"if-range")
    if condition is not None and not etag_matches(condition, blob.digest):
        return None
    return ByteRange.parse(wanted, blob.size)


async def delete(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """Makes the blob invisible at once; refused while a live manifest needs it."""
    digest = Digest.parse(tail)
    request.digest = tail
    project = await services.access.authorise(caller, ARTIFACT_DELETE, name)
    await services.blobs.delete(project.id, name.path, digest)
    return Response(202)


def _identity(blob: StoredBlob) -> list[Header]:
    digest = str(blob.digest).encode()
    return [
        (b"docker-content-digest", digest),
        (b"etag", b'"' + digest + b'"'),
        (b"cache-control", b"private, max-age=31536000, immutable"),
    ]


def _pieces(
    reader: BlobReader, start: int, length: int
) -> Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]:
    async def stream(send: Callable[[bytes], Awaitable[None]]) -> None:
        offset, end = start, start + length
        while offset < end:
            size = min(_PIECE, end - offset)
            piece = reader.read_cached(offset, size)
            if piece is None:
                piece = await reader.read(offset, size)
            await send(piece)
            offset += len(piece)
            # A client that takes everything at once must not keep the loop from everybody else.
            if not offset % (_PIECE * 16):
                await asyncio.sleep(0)

    return stream
