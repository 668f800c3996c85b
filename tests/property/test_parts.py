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
from longshore.storage.parts.memory import Call, Fault, MemoryClient
from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import NO_STATE, BlobWriter, StoreUnavailable
from longshore.storage.session import MemoryJournal, MemorySession

_PART = 16
_LOST = StoreUnavailable("The answer is lost. Try again.")
_CALLS = (Call.PUT, Call.GET, Call.CHUNK, Call.BEGIN, Call.PART)


@dataclass(slots=True)
class _World:
    """One session, the request that owns it, and the zombies of earlier ones."""

    client: MemoryClient = field(default_factory=lambda: MemoryClient(chunk=7))
    session: MemorySession = field(default_factory=MemorySession)
    zombies: list[tuple[BlobWriter, MemoryJournal]] = field(default_factory=list)
    late: list[asyncio.Task[None]] = field(default_factory=list)
    gates: list[asyncio.Event] = field(default_factory=list)
    truth: bytes = b""
    over: bool = False


_appends = st.tuples(st.just("append"), st.lists(st.integers(0, 3 * _PART), min_size=1, max_size=4))
_plain = st.tuples(st.sampled_from(("sync", "record", "free", "kill", "takeover", "zombie", "late")), st.just(()))
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
    world = _World()
    store = PartsStore(world.client, sizes=PartSizes(uniform=_PART), hashing_threads=1)
    try:
        writer, journal = await world.session.open(store)
        received = b""
        for name, arguments in steps:
            try:
                if name == "append":
                    for size in arguments:
                        assert isinstance(size, int)
                        await writer.append([payload(size)], Algorithm.SHA256.hasher())
                        received += payload(size)
                        _tell_the_truth(world, writer, received)
                elif name in {"sync", "record"}:
                    checkpoint = await (writer.sync() if name == "sync" else writer.checkpoint())
                    await journal.advance(checkpoint)
                    _tell_the_truth(world, writer, received)
                elif name == "free":
                    await journal.advance(await writer.sync())
                    await writer.close()
                    writer, journal = await world.session.open(store)
                elif name in {"kill", "takeover"}:
                    raise _Killed(name)
                elif name == "zombie":
                    await _let_a_zombie_write(world)
                elif name == "late":
                    _open_gates(world)
                else:
                    _strike(world, arguments)
            except (LongshoreError, _Killed) as error:
                if isinstance(error, _Killed) and str(error) == "takeover":
                    world.zombies.append((writer, journal))
                else:
                    # A request that failed or was killed is not waited for; what it sent may still arrive.
                    closing = asyncio.ensure_future(writer.close())
                    world.late.append(closing)
                writer, journal = await world.session.open(store, contested=True)
                received = received[: world.session.recorded.offset]
            assert writer.offset == len(received)
            assert world.session.recorded.offset <= len(received)
        await _finish(world, store, received)
    finally:
        _open_gates(world)
        for zombie, _ in world.zombies:
            await zombie.close()
        await asyncio.gather(*world.late, return_exceptions=True)
        await store.close()


class _Killed(Exception):  # noqa: N818 - what happened to the request
    """The process of the owner died."""


def _tell_the_truth(world: _World, writer: BlobWriter, received: bytes) -> None:
    assert writer.offset == len(received)
    world.truth = received


def _strike(world: _World, arguments: tuple[object, ...]) -> None:
    call, skip, kind = arguments
    assert isinstance(call, Call)
    assert isinstance(skip, int)
    if kind == "gate":
        world.gates.append(asyncio.Event())
        asyncio.get_running_loop().call_later(0.005, world.gates[-1].set)
        world.client.fail(Fault(call, skip=skip, gate=world.gates[-1]))
    else:
        world.client.fail(Fault(call, _LOST, skip=skip, done=kind == "after"))


async def _let_a_zombie_write(world: _World) -> None:
    """A request that lost its session doesn't know, and goes on until its journal tells it."""
    if not world.zombies:
        return
    writer, journal = world.zombies[-1]
    with suppress(LongshoreError):
        await writer.append([b"zombie" * 5], Algorithm.SHA256.hasher())
        await journal.advance(await writer.sync())
        raise AssertionError("a zombie recorded something")


def _open_gates(world: _World) -> None:
    for gate in world.gates:
        gate.set()


async def _finish(world: _World, store: PartsStore, received: bytes) -> None:
    _open_gates(world)
    session = world.session
    while True:
        writer, journal = await session.open(store, contested=True)
        received = received[: session.recorded.offset]
        try:
            await writer.append([b"the end"], Algorithm.SHA256.hasher())
            sealed = await writer.seal()
            if sealed.state != NO_STATE:
                await journal.advance(sealed)
            break
        except LongshoreError:
            world.late.append(asyncio.ensure_future(writer.close()))
    await writer.close()
    for zombie, _ in world.zombies:
        with suppress(LongshoreError):
            await zombie.append([b"z" * _PART * 2], Algorithm.SHA256.hasher())
            await zombie.sync()
        await zombie.close()
    await asyncio.gather(*world.late, return_exceptions=True)
    if sealed.state != NO_STATE:
        writer = await store.resume(session.key, sealed.offset, sealed.state, session.claim(), contested=True)
        world.client.fail(Fault(Call.COMPLETE, _LOST, done=True))
        with suppress(LongshoreError):
            await writer.finish()
        await writer.close()
        writer = await store.resume(session.key, sealed.offset, sealed.state, session.claim(), contested=True)
        await writer.finish()
        await writer.close()
    else:
        session.keep(sealed)
    assert await _object(world, store) == received + b"the end"
    await session.sweep(store)
    owned = {str(session.key), *map(str, session.helpers)}
    assert set(world.client.objects) <= owned
    assert not world.client.uploads


async def _object(world: _World, store: PartsStore) -> bytes:
    for _ in range(50):
        try:
            return await content(store, world.session.key)
        except StoreUnavailable:
            # A fault that waited for a read.
            continue
    raise AssertionError("it can't be read")
