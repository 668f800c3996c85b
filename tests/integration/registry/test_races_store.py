# SPDX-License-Identifier: Apache-2.0
"""Races of the store with the database, by the names that the design gives them (docs/why/metadata.md)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from longshore.database.connection import Dialect, Transaction
from longshore.events.models import EventKind
from longshore.events.sequencer import Sequencer
from longshore.events.service import Events, append
from longshore.oci.digest import Digest
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.findings import Finding
from longshore.registry.orphans import Orphans
from longshore.registry.reclaim import Reclaim
from longshore.registry.verify import Verification
from longshore.storage.port import ObjectKey, StoredObject
from tests.builders import World

ALICE = {"actor": "alice", "reason": "test"}


class _BusyStore:
    """A store in which things happen while somebody lists it."""

    def __init__(self, world: World, project_id: int, happening: list[Digest]) -> None:
        self.world = world
        self.project_id = project_id
        self.happening = happening

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.store, name)

    async def listing(self) -> AsyncGenerator[StoredObject, None]:
        async with aclosing(self.world.store.listing()) as listing:
            entries = [entry async for entry in listing]
        # What was listed goes, and what comes was not listed.
        for digest in self.happening:
            await ManifestDeletion(self.world.database, self.world.periods).delete(
                self.project_id, "app", digest, **ALICE
            )
        self.happening = []
        reclaim = Reclaim(self.world.database, self.world.store, self.world.periods)
        for _ in range(6):
            await self.world.later()
            await reclaim.run_once()
        await self.world.image(self.project_id, self.world.layer(), tags=["new"])
        await self.world.upload(self.project_id, self.world.layer())
        await self.world.uploads.start(self.project_id, "app")
        for entry in entries:
            yield entry


async def test_orphan_scan_meets_commit(world: World) -> None:
    """A verification beside pushes, deletions and sweeps has no findings, and a removal of orphans removes nothing owned."""
    project_id = await world.project()
    layer = world.layer()
    doomed = await world.image(project_id, world.layer(), tags=["doomed"])
    await world.image(project_id, layer, tags=["kept"])
    busy: Any = _BusyStore(world, project_id, [doomed])
    async with aclosing(Verification(world.database, busy).run(deep=True)) as items:
        assert [item async for item in items if isinstance(item, Finding)] == []
    await world.store.write_instance("this")
    async with aclosing(world.store.listing()) as listing:
        for path in [str(stored.key) async for stored in listing]:
            await world.behind.age(path)
    report = await Orphans(world.database, busy, world.periods).delete(database_id="this", yes_really=True)
    assert report.deleted == 0
    assert await world.bytes_of(Digest.of(layer)) == layer


async def test_restore_of_an_older_snapshot(world: World) -> None:
    """A database that is restored from a snapshot younger than the reclaim delay finds every byte that it names."""
    project_id = await world.project()
    layers = [world.layer() for _ in range(3)]
    images = [await world.image(project_id, layer, tags=[f"v{number}"]) for number, layer in enumerate(layers)]
    snapshot = [(row[0], row[1]) for row in await world.rows("SELECT key, size FROM blobs")]
    for image in images:
        await ManifestDeletion(world.database, world.periods).delete(project_id, "app", image, **ALICE)
    reclaim = Reclaim(world.database, world.store, world.periods)
    for _ in range(6):
        # Everything is over but the delay of the trash.
        await world.sql("UPDATE manifests SET purge_after = 1 WHERE purge_after IS NOT NULL")
        await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
        await reclaim.run_once()
    assert await world.value("SELECT count(*) FROM blobs") == 0
    assert await world.value("SELECT min(purge_after) - {now} FROM trash") > world.periods.delay * 9 // 10
    for key, size in snapshot:
        assert await world.store.size(ObjectKey(key)) == size
    await world.store.write_instance("this")
    # As that older database sees it, what came after it has no owner: it is young, so it stays.
    for table in ("upload_keys", "upload_sessions"):
        await world.sql(f"DELETE FROM {table}")
    stray = ObjectKey.fresh()
    writer = await world.store.create(stray)
    await writer.append([b"pushed after the snapshot"], Digest.of(b"").algorithm.hasher())
    await writer.sync()
    await writer.close()
    report = await Orphans(world.database, world.store, world.periods).delete(database_id="this", yes_really=True)
    assert report.deleted == 0
    await world.store.delete([stray])


async def test_event_committed_out_of_order(world: World) -> None:
    """An event whose transaction ends after that of a later one is read after it, and is not missed."""
    events, sequencer = Events(world.database), Sequencer(world.database)

    async def write(number: int) -> None:
        async def run(transaction: Transaction) -> None:
            await append(transaction, kind=EventKind.TAG_DELETED, project_id=None, payload={"number": number})

        await world.database.write(run)

    async def slow(transaction: Transaction) -> None:
        await append(transaction, kind=EventKind.TAG_DELETED, project_id=None, payload={"number": 0})
        if world.database.dialect is Dialect.POSTGRESQL:
            # Its id is given out, its commit is yet to come.
            await write(1)
            await sequencer.run_once()

    await world.database.write(slow)
    if world.database.dialect is Dialect.SQLITE:
        await write(1)
    first = await events.read(0, 10)
    await sequencer.run_once()
    rest = await events.read(first[-1].seq if first else 0, 10)
    assert [event.payload["number"] for event in first] == ([1] if world.database.dialect is Dialect.POSTGRESQL else [])
    assert {event.payload["number"] for event in first + rest} == {0, 1}
    assert [event.seq for event in first + rest] == [1, 2]
