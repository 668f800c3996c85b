# SPDX-License-Identifier: Apache-2.0
"""Reads one object from a store that answers ranges: one request for what was announced, others for anything else."""

from __future__ import annotations

import asyncio
from typing import Self

from longshore.storage.parts.client import Body, ObjectClient, RangeBeyondEnd
from longshore.storage.port import ObjectKey, ObjectMissing, StoreUnavailable

_REPAIRS = 5
_PROGRESS = 8 * 1024 * 1024


class PartsReader:
    """Reads one object; see ``BlobReader``.

    Nothing is fetched before it is asked for: beyond the piece in hand only the connection's own buffers fill, so a
    client that stalls costs next to nothing.
    """

    def __init__(self, client: ObjectClient, key: ObjectKey, offset: int, length: int | None) -> None:
        self._client = client
        self._key = key
        self._size = 0
        self._stream: _Stream | None = None if length == 0 else _Stream(client, key, offset, length)
        self._busy = asyncio.Lock()
        self._closed = False

    async def begin(self) -> Self:
        """Ask for the range that was announced; raises ``ObjectMissing``."""
        try:
            if self._stream is not None:
                self._size = await self._stream.begin()
                return self
        except RangeBeyondEnd:
            self._stream = None
        # No byte of the object is in the range, and only its size is of interest.
        size = await self._client.size(str(self._key))
        if size is None:
            raise missing(self._key)
        self._size = size
        return self

    @property
    def size(self) -> int:
        """Bytes in the object when it was opened."""
        return self._size

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """Return the bytes if they have arrived already."""
        expected = self._expected(offset, length)
        if not expected:
            return b""
        stream = self._stream
        if stream is None or stream.position != offset or self._busy.locked():
            return None
        return stream.take(expected) if stream.waiting >= expected else None

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes, from the range that is being read if they come next in it."""
        expected = self._expected(offset, length)
        if not expected:
            return b""
        stream = self._stream
        if stream is not None and not self._busy.locked() and stream.holds(offset, expected):
            async with self._busy:
                return await stream.read(expected)
        apart = _Stream(self._client, self._key, offset, expected)
        try:
            await apart.begin()
            return await apart.read(expected)
        finally:
            apart.close()

    def close(self) -> None:
        """Read no more."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _expected(self, offset: int, length: int) -> int:
        if self._closed:
            raise StoreUnavailable(f"Object {self._key} was closed while it was read; try again.")
        if offset < 0 or length < 0:
            raise ValueError(f"offset {offset} and length {length} must not be negative")
        return max(min(length, self._size - offset), 0)


class _Stream:
    """One range being read in order. Where the connection breaks, the rest is asked for again."""

    def __init__(self, client: ObjectClient, key: ObjectKey, offset: int, length: int | None) -> None:
        self._client = client
        self._key = key
        self._body: Body | None = None
        self._chunk = b""
        self._taken = 0
        self._requested_length = length
        self.position = offset
        self._end = offset
        self._repairs = _REPAIRS
        self._since_repair = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Bytes that have arrived and were not read."""
        return len(self._chunk) - self._taken

    async def begin(self) -> int:
        """Send the request and return the object's size."""
        self._body = await self._client.get(str(self._key), self.position, self._requested_length)
        size = self._body.size
        self._end = size if self._requested_length is None else min(size, self.position + self._requested_length)
        return size

    def holds(self, offset: int, length: int) -> bool:
        """Whether these bytes come next."""
        return self.position == offset and offset + length <= self._end

    def take(self, length: int) -> bytes:
        """Return bytes that have arrived."""
        taken = self._chunk[self._taken : self._taken + length]
        self._taken += len(taken)
        self.position += len(taken)
        return taken

    async def read(self, length: int) -> bytes:
        """Return the next bytes, waiting for them."""
        pieces = []
        while length:
            if not self.waiting:
                self._chunk, self._taken = await self._next_chunk(), 0
            pieces.append(self.take(length))
            length -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Release the connection."""
        self._closed = True
        self._chunk, self._taken = b"", 0
        if self._body is not None:
            self._body.close()

    async def _next_chunk(self) -> bytes:
        while True:
            try:
                if self._closed:
                    raise StoreUnavailable(f"Object {self._key} was closed while it was read; try again.")
                if self._body is None:
                    await self._ask_for_the_rest()
                elif chunk := await self._body.next_chunk():
                    self._count(len(chunk))
                    return chunk
                else:
                    raise StoreUnavailable(
                        f"The store sent less of object {self._key} than it has: it is damaged, or connections break. "
                        "Try again; `longshore verify` lists what is damaged."
                    )
            except ObjectMissing:
                raise
            except StoreUnavailable:
                if self._closed or not self._repairs:
                    raise
                self._repairs -= 1
                self._drop()

    async def _ask_for_the_rest(self) -> None:
        start = self.position + self.waiting
        try:
            self._body = await self._client.get(str(self._key), start, self._end - start)
        except RangeBeyondEnd as error:
            raise missing(self._key) from error

    def _count(self, size: int) -> None:
        # A connection that breaks now and then over hours is fine, one that hardly brings anything isn't.
        self._since_repair += size
        if self._since_repair >= _PROGRESS:
            self._repairs, self._since_repair = _REPAIRS, 0

    def _drop(self) -> None:
        self._since_repair = 0
        if self._body is not None:
            self._body.close()
            self._body = None


async def read_whole(client: ObjectClient, key: ObjectKey, size: int) -> bytes:
    """Return the first ``size`` bytes of an object; raises ``ObjectMissing`` when it is gone or shorter."""
    reader = await PartsReader(client, key, 0, size).begin()
    try:
        if reader.size < size:
            raise ObjectMissing(
                f"Object {key} has {reader.size} bytes where the upload had {size}. Start the upload again."
            )
        return await reader.read(0, size)
    finally:
        reader.close()


def missing(key: ObjectKey) -> ObjectMissing:
    """Make the error for a key under which there is nothing."""
    return ObjectMissing(
        f"The store holds no object {key}. If this lasts, the bucket is not the one that the database knows, or somebody "
        "deletes from it (a lifecycle rule?): run `longshore verify`."
    )
