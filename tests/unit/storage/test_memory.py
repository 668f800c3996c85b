# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from longshore.oci.digest import Algorithm
from longshore.oci.errors import StorageFull
from longshore.storage.conformance import content, entries, write
from longshore.storage.memory import Fault, MemoryStore, Step
from longshore.storage.port import ForeignPath, ObjectKey, StoreUnavailable


async def test_a_crash_drops_what_was_not_synced() -> None:
    """After a power cut synced bytes are there, unsynced bytes and names are not, and old writers write nothing."""
    store, synced, unsynced = MemoryStore(), ObjectKey.fresh(), ObjectKey.fresh()
    writer = await store.create(synced)
    await writer.append([b"kept"], Algorithm.SHA256.hasher())
    await writer.sync()
    await writer.append([b" lost"], Algorithm.SHA256.hasher())
    await store.create(unsynced)
    store.crash()
    assert await content(store, synced) == b"kept"
    assert await store.size(unsynced) is None
    with pytest.raises(StoreUnavailable):
        await writer.append([b"ghost"], Algorithm.SHA256.hasher())


async def test_a_fault_strikes_once_where_it_was_told_to() -> None:
    """A fault skips steps and other keys, then raises once; a writer that met one is finished."""
    store, key = MemoryStore(), ObjectKey.fresh()
    store.fail(Fault(Step.APPEND, StoreUnavailable("broken"), skip=1, key=key))
    writer = await store.create(key)
    await write(store, ObjectKey.fresh(), b"other", b"keys", b"count not")
    await writer.append([b"fine"], Algorithm.SHA256.hasher())
    with pytest.raises(StoreUnavailable, match="broken"):
        await writer.append([b"fails"], Algorithm.SHA256.hasher())
    with pytest.raises(StoreUnavailable, match="Start the upload again"):
        await writer.append([b"finished"], Algorithm.SHA256.hasher())
    assert await store.size(key) == 4
    await (await store.resume(key, 4)).append([b"again"], Algorithm.SHA256.hasher())
    assert (Step.RESUME, key) in store.steps


@pytest.mark.parametrize("step", [step for step in Step if step not in (Step.APPEND, Step.SYNC, Step.READ)])
async def test_every_step_of_the_store_can_fail(step: Step) -> None:
    """Each method of the store meets the fault that waits for it."""
    store, key, new = MemoryStore(), ObjectKey.fresh(), ObjectKey.fresh()
    await write(store, key, b"x")
    store.fail(Fault(step, StoreUnavailable("broken")))
    calls: dict[Step, Callable[[], Awaitable[object]]] = {
        Step.CREATE: lambda: store.create(new),
        Step.RESUME: lambda: store.resume(key, 0),
        Step.OPEN: lambda: store.open(key),
        Step.DELETE: lambda: store.delete([key]),
        Step.SIZE: lambda: store.size(key),
        Step.LISTING: lambda: entries(store),
    }
    with pytest.raises(StoreUnavailable, match="broken"):
        await calls[step]()


async def test_a_finite_store_fills() -> None:
    """Beyond its capacity the store raises `StorageFull`, and deleting makes room."""
    store, key = MemoryStore(capacity_bytes=10), ObjectKey.fresh()
    await write(store, key, b"12345678")
    assert (await store.available(), await store.total()) == (2, 10)
    with pytest.raises(StorageFull):
        await write(store, ObjectKey.fresh(), b"123")
    await store.delete([key])
    await write(store, ObjectKey.fresh(), b"123")


async def test_a_cold_store_has_nothing_at_hand() -> None:
    """While it is cold `read_cached` gives nothing and `read` everything; a damaged object raises."""
    store, key = MemoryStore(cold=True), ObjectKey.fresh()
    await write(store, key, b"12345678")
    reader = await store.open(key)
    assert reader.read_cached(0, 8) is None
    assert await reader.read(0, 8) == b"12345678"
    store.cold = False
    assert reader.read_cached(0, 8) == b"12345678"
    store.damage(key, b"1234")
    damaged = await store.open(key)
    assert damaged.size == 4
    store.foreign["somebody's"] = 7
    assert [(stored.key, stored.size) for stored in await entries(store)] == [(key, 4), (ForeignPath("somebody's"), 7)]
