# SPDX-License-Identifier: Apache-2.0
"""Writes one object to a store that can't append: small ones in one request, others in parts.

Three rules keep every crash harmless. A key counts as unfinished, by its row, before an upload in parts begins under
it. A key that somebody else's request may still write to is given up for a fresh one, except within an upload in parts,
where only the parts count that the row names. And what was acknowledged is never written over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec

from longshore.oci.digest import Hasher
from longshore.storage.parts.client import BeginningLost, ObjectClient, UploadMissing
from longshore.storage.parts.flights import Budget, Flights, to_the_end
from longshore.storage.parts.gathering import Gathering
from longshore.storage.parts.reader import read_whole
from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.state import State
from longshore.storage.port import Checkpoint, Journal, ObjectKey, ObjectMissing, StoreUnavailable
from longshore.storage.threads import Threads

_MOST_AT_RISK = 64 * 1024 * 1024
_LEAP = 64
_BEGINNINGS = 3


@dataclass(frozen=True, slots=True)
class Tools:
    """What the writers of a store share."""

    client: ObjectClient
    threads: Threads
    sizes: PartSizes
    budget: Budget


class PartsWriter:
    """Writes one object; see ``BlobWriter``.

    It is in one of these conditions: nothing is under the key yet; the whole object is, in one request (``_whole``); an
    upload in parts is under way (``_upload``); or all parts are there (``_state.sealed``). Bytes that no part holds are in
    ``_gathering``, once they were read back (``_loaded``).
    """

    def __init__(self, tools: Tools, key: ObjectKey, journal: Journal | None) -> None:
        self._tools = tools
        self._key = key
        self._journal = journal
        self._state = State()
        self._recorded = Checkpoint(0)
        self._offset = 0
        self._upload: str | None = None
        self._whole = False
        self._loaded = True
        self._checked = True
        self._tainted = False
        self._renumbered = False
        self._finished = False
        self._gathering = Gathering(tools.sizes, 1)
        self._flights = Flights(tools.client, tools.budget)

    def resume(self, checkpoint: Checkpoint, state: State | None, *, contested: bool) -> PartsWriter:
        """Stand where the checkpoint was recorded; without any request."""
        self._recorded = checkpoint
        self._offset = checkpoint.offset
        self._state = state or State()
        self._upload = self._state.upload
        self._whole = state is None and checkpoint.offset > 0
        self._checked = not self._whole
        self._loaded = self._offset == self._state.in_parts
        # Whoever was here before may have sent a request that the store has yet to carry out.
        self._tainted = self._upload is None
        self._renumbered = contested and self._upload is not None
        number = self._state.next + (_LEAP if self._renumbered else 0)
        self._gathering = Gathering(self._tools.sizes, number)
        self._flights = Flights(self._tools.client, self._tools.budget, self._state.parts)
        return self

    @property
    def key(self) -> ObjectKey:
        """The object's key; another one after ``append`` had to leave what was acknowledged alone."""
        return self._key

    @property
    def offset(self) -> int:
        """Bytes in the object so far."""
        return self._offset

    async def append(self, pieces: Sequence[bytes], hasher: Hasher) -> None:
        """Feed the pieces to the hasher, and send what fills a part."""
        with self._in_use():
            self._refuse_when_sealed()
            length = sum(map(len, pieces))
            if length:
                await self._load()
                full = await self._tools.threads.run(partial(self._gathering.add, pieces, hasher))
                self._offset += length
                for number, content in full:
                    await self._send(number, content)

    async def checkpoint(self) -> Checkpoint:
        """Return how far the parts have come that the store has; what was recorded before, if they haven't."""
        with self._in_use():
            await self._flights.land_until(lambda: self._offset - self._flights.landed_bytes <= _MOST_AT_RISK)
            if self._flights.landed_bytes > self._recorded.offset:
                self._remember(self._progress())
        return self._recorded

    async def sync(self) -> Checkpoint:
        """Make everything durable: a small object whole, otherwise parts and a tail."""
        with self._in_use():
            self._refuse_when_sealed()
            if not await self._durable():
                await self._load()
                if self._upload is None:
                    await self._put_whole()
                else:
                    await self._flights.land()
                    self._remember(await self._with_tail(self._progress()))
        return self._recorded

    async def seal(self) -> Checkpoint:
        """Make everything durable: a small object whole, otherwise all of it in parts."""
        with self._in_use():
            if self._state.sealed or (self._whole and await self._durable()):
                return self._recorded
            await self._load()
            if self._upload is None:
                await self._put_whole()
            else:
                if self._gathering.size:
                    await self._send(*self._gathering.cut())
                await self._flights.land()
                self._remember(msgspec.structs.replace(self._progress(), sealed=True))
        return self._recorded

    async def finish(self) -> None:
        """Have the store make one object of the parts."""
        with self._in_use():
            if self._state.sealed and self._upload is not None:
                try:
                    await self._tools.client.complete(str(self._key), self._upload, self._state.parts)
                except UploadMissing:
                    # Somebody has done it, most likely ourselves before a crash; then the object is there.
                    if await self._tools.client.size(str(self._key)) != self._offset:
                        raise
            elif self._offset != self._recorded.offset or self._state != State():
                raise StoreUnavailable(f"Object {self._key} was finished before it was sealed. Start the upload again.")

    async def close(self) -> None:
        """Give up what is on its way and free the memory."""
        self._finished = True
        await self._flights.close()
        self._gathering.forget()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        if self._finished:
            raise StoreUnavailable(
                f"Object {self._key} takes no more bytes because an earlier step failed or it was closed. "
                "Start the upload again."
            )
        self._finished = True
        yield
        self._finished = False

    def _refuse_when_sealed(self) -> None:
        if self._state.sealed:
            raise StoreUnavailable(
                f"Object {self._key} has all of its bytes and takes no more. Start the upload again."
            )

    @property
    def _owner(self) -> Journal:
        if self._journal is None:
            raise ValueError(f"object {self._key} needs a journal: it is more than one request")
        return self._journal

    def _remember(self, state: State) -> None:
        self._state = state
        self._recorded = state.checkpoint()

    def _progress(self) -> State:
        """The state of what the store has in parts."""
        return State(begun=True, upload=self._upload, parts=self._flights.landed, next=self._gathering.number)

    async def _with_tail(self, state: State) -> State:
        """Store what no part holds as an object of its own; its row comes first."""
        content = self._gathering.lend()
        if not content:
            return state
        tail = await self._owner.helper()
        async with self._tools.budget.hold(len(content)):
            await self._tools.client.put(str(tail), content)
        return msgspec.structs.replace(state, tail=str(tail), tail_size=len(content))

    async def _durable(self) -> bool:
        """Whether the last checkpoint covers everything; what the row calls a whole object is looked at once."""
        if self._offset > self._recorded.offset or not (self._whole or self._offset):
            return False
        if not self._checked:
            size = await self._tools.client.size(str(self._key))
            if size is None or size < self._offset:
                raise ObjectMissing(
                    f"Object {self._key} has {size or 0} bytes where the upload had {self._offset}. Start the upload again."
                )
            self._checked = size == self._offset
        return self._checked

    async def _put_whole(self) -> None:
        if self._tainted:
            await self._move()
        content = self._gathering.lend()
        async with self._tools.budget.hold(len(content)):
            # A request that is cut off may still be carried out, much later; so it is seen to its end.
            await to_the_end(self._tools.client.put(str(self._key), content))
        self._remember(State())
        self._recorded = Checkpoint(self._offset)
        self._whole = True

    async def _load(self) -> None:
        """Get ready to take bytes: those behind the parts in memory, and nothing acknowledged under the key."""
        if self._whole:
            await self._move()
        if self._loaded:
            return
        tail = self._state.tail_key
        if tail is not None:
            content = await read_whole(self._tools.client, tail, self._state.tail_size)
            for number, part in await self._tools.threads.run(partial(self._gathering.add, [content])):
                await self._send(number, part)
        self._loaded = True

    async def _move(self) -> None:
        """Go on under a fresh key; what is under the old one, and counts, is read back from there."""
        state = State(tail=self._state.tail, tail_size=self._state.tail_size)
        if self._whole and self._recorded.offset:
            state = State(tail=str(self._key), tail_size=self._recorded.offset)
        self._key = await self._owner.replace(state.checkpoint())
        self._remember(state)
        self._whole = self._tainted = False
        self._checked = True

    async def _send(self, number: int, content: bytearray) -> None:
        if self._upload is None:
            self._upload = await self._begin()
        elif self._renumbered:
            # Whoever takes over from us must leap from here.
            self._remember(msgspec.structs.replace(self._state, next=number))
            await self._owner.record(self._recorded)
        self._renumbered = False
        await self._flights.launch(str(self._key), self._upload, number, content)

    async def _begin(self) -> str:
        """Begin an upload in parts; where nobody knows whether one was begun, the key is left to the trash for a fresh one."""
        attempts = 0
        while True:
            if self._tainted:
                await self._move()
            self._remember(msgspec.structs.replace(self._state, begun=True))
            await self._owner.record(self._recorded)
            try:
                return await self._tools.client.begin(str(self._key))
            except BeginningLost:
                attempts += 1
                if attempts == _BEGINNINGS:
                    raise
            self._tainted = True
