# SPDX-License-Identifier: Apache-2.0
"""The writer of object stores under everything at once.

Appends of any size, ends of requests, kills, lost answers, takeovers, and zombies that go on: what is finished is what
was hashed, and nothing that no row owns is left.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.oci.digest import Algorithm
from longshore.oci.errors import LongshoreError
from longshore.storage.conformance import content
from longshore.storage.parts.client import BeginningLost
from longshore.storage.parts.memory import Call, Fault, MemoryClient
from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import NO_STATE, BlobWriter, StoreUnavailable
from longshore.storage.session import MemoryJournal, MemorySession

_PART = 16
_LOST = StoreUnavailable("The answer is lost. Try again.")
_LOST_BEGINNING = BeginningLost("Perhaps one was begun. Try again.")
_CALLS = (Call.PUT, Call.GET, Call.CHUNK, Call.BEGIN, Call.PART)


class _Killed(Exception):  # noqa: N818 - what happened to the request
    """The process of the owner died."""


@dataclass(slots=True)
class _World:
    """One session, the request that owns it, and the zombies of earlier ones."""

    payload: Callable[[int], bytes]
    client: MemoryClient = field(default_factory=lambda: MemoryClient(chunk=7))
    session: MemorySession = field(default_factory=MemorySession)
    zombies: list[tuple[BlobWriter, MemoryJournal]] = field(default_factory=list)
    late: list[asyncio.Task[None]] = field(default_factory=list)
    gates: list[asyncio.Event] = field(default_factory=list)
    received: bytes = b""
    _store: PartsStore | None = None
    _request: tuple[BlobWriter, MemoryJournal] | None = None

    @property
    def store(self) -> PartsStore:
        if self._store is None:
            self._store = PartsStore(self.client, sizes=PartSizes(uniform=_PART), hashing_threads=1)
        return self._store

    async def open(self, *, contested: bool) -> None:
        self._request = await self.session.open(self.store, contested=contested)
        self.received = self.received[: self.session.recorded.offset]

    @property
    def writer(self) -> BlobWriter:
        assert self._request is not None
        return self._request[0]

    @property
    def journal(self) -> MemoryJournal:
        assert self._request is not None
        return self._request[1]

    async def append(self, *sizes: int) -> None:
        for size in sizes:
            await self.writer.append([self.payload(size)], Algorithm.SHA256.hasher())
            self.received += self.payload(size)

    async def sync(self) -> None:
        await self.journal.advance(await self.writer.sync())
        assert self.session.recorded.offset == len(self.received)

    async def record(self) -> None:
        await self.journal.advance(await self.writer.checkpoint())

    async def free(self) -> None:
        await self.sync()
        await self.writer.close()
        await self.open(contested=False)

    async def cancel(self) -> None:
        """A client that vanishes, or a server that stops, in the middle of a step."""
        task = asyncio.ensure_future(self.writer.append([self.payload(_PART)], Algorithm.SHA256.hasher()))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        await self.writer.close()
        await self.open(contested=False)

    async def kill(self) -> None:
        raise _Killed

    async def takeover(self) -> None:
        """Another request believes this one dead, which goes on."""
        self.zombies.append((self.writer, self.journal))
        await self.open(contested=True)

    async def zombie(self) -> None:
        """A request that lost its session doesn't know, and goes on until its journal tells it."""
        for writer, journal in self.zombies[-1:]:
            with suppress(LongshoreError):
                await writer.append([b"zombie" * 5], Algorithm.SHA256.hasher())
                await journal.advance(await writer.sync())
                raise AssertionError("a zombie recorded something")

    async def arrive(self) -> None:
        """What was held up on its way arrives."""
        for gate in self.gates:
            gate.set()

    async def fault(self, call: Call, skip: int, kind: str) -> None:
        if kind == "gate":
            self.gates.append(asyncio.Event())
            asyncio.get_running_loop().call_later(0.02, self.gates[-1].set)
            self.client.fail(Fault(call, skip=skip, gate=self.gates[-1]))
        else:
            lost = _LOST_BEGINNING if call is Call.BEGIN and kind == "after" else _LOST
            self.client.fail(Fault(call, lost, skip=skip, done=kind == "after"))

    async def bury(self) -> None:
        """A request that failed or was killed is not waited for; what it sent may still arrive."""
        self.late.append(asyncio.ensure_future(self.writer.close()))
        await self.open(contested=True)


_appends = st.tuples(st.just("append"), st.lists(st.integers(0, 3 * _PART), min_size=1, max_size=4))
_plain = st.tuples(
    st.sampled_from(("sync", "record", "free", "cancel", "kill", "takeover", "zombie", "arrive")), st.just(())
)
_faults = st.tuples(
    st.just("fault"),
    st.tuples(st.sampled_from(_CALLS), st.integers(0, 2), st.sampled_from(("before", "after", "gate"))),
)


@settings(max_examples=400, deadline=None)
@given(steps=st.lists(st.one_of(_appends, _plain, _faults), max_size=25), seed=st.integers(0, 255))
def test_what_is_finished_is_what_was_hashed(steps: list[tuple[str, tuple[object, ...]]], seed: int) -> None:
    """Whatever happens on the way, the object is the recorded bytes, and sweeping leaves nothing but it."""
    asyncio.run(_scenario(steps, lambda size: hashlib.shake_256(bytes([seed, size])).digest(size)))


async def _scenario(steps: list[tuple[str, tuple[object, ...]]], payload: Callable[[int], bytes]) -> None:
    world = _World(payload)
    try:
        await world.open(contested=False)
        for name, arguments in steps:
            try:
                await getattr(world, name)(*arguments)
            except (LongshoreError, _Killed):
                await world.bury()
            assert world.writer.offset == len(world.received)
            assert world.session.recorded.offset <= len(world.received)
        await _finish(world)
    finally:
        await world.arrive()
        for zombie, _ in world.zombies:
            await zombie.close()
        await world.writer.close()
        await asyncio.gather(*world.late, return_exceptions=True)
        await world.store.close()


async def _finish(world: _World) -> None:
    session, store = world.session, world.store
    await world.open(contested=True)
    while True:
        try:
            await world.writer.append([b"the end"], Algorithm.SHA256.hasher())
            world.received += b"the end"
            sealed = await world.writer.seal()
            await world.journal.advance(sealed)
            break
        except LongshoreError:
            await world.bury()
    await world.writer.close()
    # What was held up on its way arrives now: between the seal and the end.
    await world.arrive()
    await asyncio.sleep(0.001)
    for zombie, _ in world.zombies:
        with suppress(LongshoreError):
            await zombie.append([b"z" * _PART * 2], Algorithm.SHA256.hasher())
            await zombie.sync()
        await zombie.close()
    await asyncio.gather(*world.late, return_exceptions=True)
    if sealed.state != NO_STATE:
        await world.open(contested=True)
        world.client.fail(Fault(Call.COMPLETE, _LOST, done=True))
        with suppress(LongshoreError):
            await world.writer.finish()
        await world.writer.close()
        await world.open(contested=True)
        await world.writer.finish()
    assert await _object(world) == world.received
    assert sealed.offset == len(world.received)
    await session.sweep(store)
    assert set(world.client.objects) <= {str(session.key), *map(str, session.helpers)}
    assert not world.client.uploads


async def _object(world: _World) -> bytes:
    for _ in range(50):
        with suppress(StoreUnavailable):
            return await content(world.store, world.session.key)
    raise AssertionError("it can't be read, long after the last fault")
