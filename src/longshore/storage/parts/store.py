# SPDX-License-Identifier: Apache-2.0
"""The blob store port for any object store that has a client."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing

from longshore.oci.errors import ServiceUnavailable
from longshore.storage.parts.client import ObjectClient
from longshore.storage.parts.flights import IN_FLIGHT_BYTES, Budget
from longshore.storage.parts.reader import PartsReader
from longshore.storage.parts.sizes import SMALLEST_PART, PartSizes
from longshore.storage.parts.state import parse_state
from longshore.storage.parts.writer import PartsWriter, Tools
from longshore.storage.port import (
    NO_STATE,
    Checkpoint,
    ForeignPath,
    InvalidObjectKey,
    Journal,
    NotDeleted,
    ObjectExists,
    ObjectKey,
    ObjectMissing,
    StoredObject,
    StoreUnavailable,
)
from longshore.storage.threads import Threads

_META = "meta/"
_INSTANCE = "meta/instance"
_MARK_BYTES = 4096
_ABORTS_AT_ONCE = 16


class PartsStore:
    """Keeps objects in an object store.

    Memory for writing is bounded: ``in_flight_bytes`` for what is on its way of all uploads, and for each upload that receives
    the part that it gathers, 8 MiB up to the first 8 GB of a blob.
    """

    def __init__(
        self,
        client: ObjectClient,
        *,
        sizes: PartSizes | None = None,
        in_flight_bytes: int = IN_FLIGHT_BYTES,
        hashing_threads: int | None = None,
    ) -> None:
        self._client = client
        self._threads = Threads(hashing_threads or max(2, os.cpu_count() or 1), "store-hash")
        self._tools = Tools(client, self._threads, sizes or PartSizes(), Budget(in_flight_bytes))
        self._closed = False

    @property
    def appends(self) -> bool:
        """An object is written in parts."""
        return False

    @property
    def smallest_chunk(self) -> int:
        """A smaller chunk is stored apart, and read and stored again with the next one."""
        return SMALLEST_PART

    async def create(self, key: ObjectKey, journal: Journal | None = None) -> PartsWriter:
        """Begin an object, without any request."""
        self._go_on()
        return PartsWriter(self._tools, key, journal)

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,
        journal: Journal | None = None,
        *,
        contested: bool = False,
    ) -> PartsWriter:
        """Continue an object from a recorded checkpoint, without any request."""
        self._go_on()
        if offset < 0:
            raise ValueError(f"offset {offset} must not be negative")
        known = parse_state(key, offset, state)
        helpers = () if known is None or known.tail_key is None else (known.tail_key,)
        checkpoint = Checkpoint(offset, state, helpers)
        return PartsWriter(self._tools, key, journal).resume(checkpoint, known, contested=contested)

    async def open(self, key: ObjectKey, offset: int = 0, length: int | None = None) -> PartsReader:
        """Open an object and ask for the range."""
        self._go_on()
        return await PartsReader(self._client, key, offset, length).begin()

    async def delete(self, keys: Sequence[ObjectKey], *, unfinished: Collection[ObjectKey] = ()) -> None:
        """Delete objects for good, and first the parts that never became one."""
        self._go_on()
        wanted = {str(key): key for key in keys}
        left = await self._abort([path for path, key in wanted.items() if key in unfinished])
        if wanted:
            left |= await self._client.delete(list(wanted))
        for first in left.values():
            message = f"{len(left)} of {len(wanted)} objects may still be in the store. {first.message}"
            raise NotDeleted(message, keys=[wanted[path] for path in left]) from first

    async def size(self, key: ObjectKey) -> int | None:
        """Return the object's size in bytes, None when there is no such object."""
        self._go_on()
        return await self._client.size(str(key))

    async def listing(self) -> AsyncGenerator[StoredObject, None]:
        """List everything in the order of the paths."""
        self._go_on()
        async with aclosing(self._client.listing()) as entries:
            async for entry in entries:
                if not entry.path.startswith(_META):
                    yield StoredObject(_named(entry.path), entry.size, entry.modified_at)

    async def read_instance(self) -> str | None:
        """Return the id of the database this store belongs to."""
        self._go_on()
        try:
            body = await self._client.get(_INSTANCE, 0, None)
        except ObjectMissing:
            return None
        text = b""
        try:
            while (chunk := await body.next_chunk()) and len(text) <= _MARK_BYTES:
                text += chunk
        finally:
            body.close()
        mark = text.decode("utf-8", "replace").strip()
        if not mark or not mark.isprintable() or len(text) > _MARK_BYTES:
            raise StoreUnavailable(
                "The store's mark `meta/instance` isn't the id of a database: somebody else wrote it. Write the database's "
                "id into it if the store is this database's, else use an empty bucket or another prefix."
            )
        return mark

    async def write_instance(self, database_id: str) -> None:
        """Mark the store, once and durably."""
        if not database_id.isprintable() or not database_id:
            raise ValueError("a database id is one line of printable text")
        mark = await self.read_instance()
        if mark is None and not await self._client.put_new(_INSTANCE, f"{database_id}\n".encode()):
            mark = await self.read_instance()
        if mark not in (None, database_id):
            raise ObjectExists(f"The store belongs to database {mark}, not to {database_id}.")

    async def close(self) -> None:
        """Refuse everything from now on, and release connections and threads."""
        self._closed = True
        await self._threads.close()
        await self._client.close()

    async def _abort(self, paths: Sequence[str]) -> dict[str, ServiceUnavailable]:
        """Delete the parts of unfinished uploads; returns the paths that may still have some."""
        left: dict[str, ServiceUnavailable] = {}

        async def abort(path: str) -> None:
            try:
                await self._client.abort_all(path)
            except ServiceUnavailable as error:
                left[path] = error

        # In another order each time: whatever is given up below has its turn before long.
        waiting = random.sample(paths, len(paths))
        while waiting:
            now, waiting = waiting[:_ABORTS_AT_ONCE], waiting[_ABORTS_AT_ONCE:]
            await asyncio.gather(*map(abort, now))
            if all(path in left for path in now):
                # It isn't about these: the store is away or denies it, and to learn so for each takes a long time.
                left |= dict.fromkeys(waiting, left[now[0]])
                waiting = []
        return left

    def _go_on(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store is closed because the server stops; try again.")


def _named(path: str) -> ObjectKey | ForeignPath:
    try:
        return ObjectKey.parse(path)
    except InvalidObjectKey:
        return ForeignPath(path)
