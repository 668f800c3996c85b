# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, NotFound
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.periods import SECOND, Periods
from longshore.registry.reclaim import Reclaim
from longshore.registry.sweep import Sweep
from longshore.registry.undelete import Undelete
from longshore.storage.port import NotDeleted, ObjectKey, OpenedStore
from tests.builders import HOUR, World
from tests.integrity import assert_integrity, assert_nothing_left

INSTANT = Periods(grace=0, window=0, delay=0, request_timeout=0, upload_expiry=0)


async def _drain(world: World, reclaim: Reclaim) -> None:
    """Lets time pass and reclaims until nothing is left to do."""
    for _ in range(50):
        await world.later()
        if not (await reclaim.run_once()).handled:
            return
    raise AssertionError("reclaim never comes to an end")


async def test_everything_deleted_is_given_back(world: World) -> None:
    """After windows and graces are over, no row, no byte and no used byte is left of what was deleted."""
    project_id = await world.project(untagged_ttl=HOUR)
    child = await world.image(project_id, world.layer(), world.layer())
    index = await world.index(project_id, child, tags=["v1"])
    await world.image(project_id, world.layer(), subject=index)
    await world.image(project_id, world.layer(), tags=[f"sha256-{index.hex}.sig"])
    await world.upload(project_id, world.layer())
    await world.uploads.start(project_id, "app")
    deletion = ManifestDeletion(world.database, world.periods)
    await deletion.delete(project_id, "app", index, actor="alice", reason="test")
    assert await world.live() == set()
    await _drain(world, Reclaim(world.database, world.store, world.periods))
    await assert_nothing_left(world.database, world.store)
    assert await world.usage(project_id) == (0, 0)


async def test_nothing_alive_is_reclaimed(world: World) -> None:
    """Reclaim leaves tagged content alone, however often it runs and however much time passes."""
    project_id = await world.project(untagged_ttl=0)
    layer = world.layer()
    image = await world.image(project_id, layer)
    index = await world.index(project_id, image, tags=["v1"])
    signature = await world.image(project_id, world.layer(), subject=index)
    before = await world.usage(project_id)
    await _drain(world, Reclaim(world.database, world.store, world.periods))
    assert await world.live() == {str(image), str(index), str(signature)}
    assert await world.usage(project_id) == before
    assert await world.bytes_of(Digest.of(layer)) == layer


async def test_without_waiting_times_deleted_things_go_as_fast_as_the_loop_runs(world: World) -> None:
    """With grace, window and delay of zero a deleted image is gone from the store after a few rounds, no clock moved."""
    world.periods = INSTANT
    project_id = await world.project()
    # A grace of zero is over before the manifest comes: keep the blob for the push only.
    world.periods = Periods(grace=HOUR, window=0, delay=0, request_timeout=0)
    image = await world.image(project_id, world.layer(), tags=["v1"])
    world.periods = INSTANT
    await ManifestDeletion(world.database, INSTANT).delete(project_id, "app", image, actor="alice", reason="test")
    reclaim = Reclaim(world.database, world.store, INSTANT)
    await world.sql("UPDATE upload_sessions SET expires_at = 1")
    for _ in range(100):
        await reclaim.run_once()
        try:
            await assert_nothing_left(world.database, world.store)
        except AssertionError:
            await asyncio.sleep(0.002)
        else:
            return
    await assert_nothing_left(world.database, world.store)


async def test_an_abandoned_upload_disappears(world: World) -> None:
    """A session that nobody goes on with loses its row, its key and its bytes, first the row, then the bytes twice."""
    project_id = await world.project()
    upload = await world.uploads.start(project_id, "app")

    key = await world.value("SELECT key FROM upload_keys WHERE session_id = :id", id=upload.id)
    reclaim = Reclaim(world.database, world.store, world.periods)
    await reclaim.run_once()
    assert await world.value("SELECT count(*) FROM upload_sessions") == 1
    await world.sql("UPDATE upload_sessions SET expires_at = 1")
    await reclaim.run_once()
    assert await world.value("SELECT count(*) FROM upload_sessions") == 0
    assert await world.value("SELECT key FROM trash") == key
    await _drain(world, reclaim)
    await assert_nothing_left(world.database, world.store)


async def test_a_key_is_swept_twice_before_it_is_forgotten(world: World) -> None:
    """What a slow request writes to a trashed key after its first deletion is deleted as well."""
    project_id = await world.project()
    layer = world.layer()
    await world.upload(project_id, layer)
    key = await world.value("SELECT key FROM blobs")
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    reclaim = Reclaim(world.database, world.store, world.periods)
    await reclaim.run_once()
    assert await world.value("SELECT key FROM trash") == key
    await world.sql("UPDATE trash SET purge_after = 1")
    await reclaim.run_once()
    assert await world.value("SELECT swept_at FROM trash WHERE key = :key", key=key) is not None
    assert [entry async for entry in world.store.listing()] == []
    await _drain(world, reclaim)
    await assert_nothing_left(world.database, world.store)


async def test_a_paused_step_does_nothing_until_it_is_resumed(world: World) -> None:
    """The switch holds for every worker; the queue's depth shows what waits."""
    project_id = await world.project()
    await world.upload(project_id, world.layer())
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    reclaim = Reclaim(world.database, world.store, world.periods)
    await Reclaim(world.database, world.store, world.periods).pause("collect")
    await reclaim.run_once()
    states = {state.name: state for state in await reclaim.states()}
    assert states["collect"].paused
    assert states["collect"].depth == 1
    assert states["collect"].handled == 0
    await reclaim.resume("collect")
    await reclaim.run_once()
    states = {state.name: state for state in await reclaim.states()}
    assert (states["collect"].depth, states["collect"].handled, states["collect"].bytes) == (0, 1, 100)
    assert states["collect"].ran_at is not None
    with pytest.raises(NotFound):
        await reclaim.pause("everything")


async def test_the_loop_stops_within_a_second(world: World) -> None:
    """A worker that is told to stop does, also while it sleeps because nothing is due."""
    stop = asyncio.Event()
    running = asyncio.create_task(Reclaim(world.database, world.store, world.periods).run(stop))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    stop.set()
    await running
    assert time.monotonic() - began < 1


async def test_an_undeleted_image_is_as_it_was(world: World) -> None:
    """Manifests, tags and the quota come back by the one id of the deletion; a second time there is nothing to do."""
    project_id = await world.project()
    layer = world.layer()
    child = await world.image(project_id, layer)
    index = await world.index(project_id, child, tags=["v1", "v2"])
    before = await world.usage(project_id)
    deletion = await ManifestDeletion(world.database, world.periods).delete(
        project_id, "app", index, actor="alice", reason="test"
    )
    # A client deletes the blob while only the deleted image holds it; the image comes back whole.
    await world.blobs.delete(project_id, "app", Digest.of(layer))
    with pytest.raises(BlobUnknown):
        await world.blobs.find(project_id, "app", Digest.of(layer))
    undelete = Undelete(world.database, world.periods)
    restoration = await undelete.undelete(project_id, "app", deletion.id, actor="bob")
    assert set(restoration.manifests) == {str(index), str(child)}
    assert restoration.tags == ("v1", "v2")
    assert restoration.not_restored == ()
    assert await world.usage(project_id) == before
    await world.blobs.find(project_id, "app", Digest.of(layer))
    again = await undelete.undelete(project_id, "app", deletion.id, actor="bob")
    assert again.manifests == ()
    assert {name for name, _ in again.not_restored} == {"v1", "v2"}
    with pytest.raises(NotFound):
        await undelete.undelete(project_id, "app", "unknown", actor="bob")
    await assert_integrity(world.database, world.store)


async def test_empty_repositories_and_projects_go(world: World) -> None:
    """A repository without content goes when it is a day old."""
    project_id = await world.project()
    image = await world.image(project_id, world.layer(), tags=["v1"])
    reclaim = Reclaim(world.database, world.store, world.periods)
    await world.sql("UPDATE repositories SET created_at = 1")
    await _drain(world, reclaim)
    assert await world.value("SELECT count(*) FROM repositories") == 1
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", image, actor="a", reason="t")
    assert await world.value("SELECT repository_count FROM project_usage") == 1
    await _drain(world, reclaim)
    await _drain(world, reclaim)
    assert await world.value("SELECT count(*) FROM repositories") == 0
    assert await world.value("SELECT repository_count FROM project_usage") == 0


async def test_a_blob_without_bytes_is_given_back_too(world: World) -> None:
    """The empty blob gives back no bytes, and still neither its row nor its object may stay."""
    project_id = await world.project()
    digest = await world.upload(project_id, b"")
    await world.blobs.delete(project_id, "app", digest)
    await _drain(world, Reclaim(world.database, world.store, world.periods))
    await assert_nothing_left(world.database, world.store)


class _PartlyDeleting:
    """A store that can't delete some objects, such as those under a legal hold, and counts what it is asked."""

    def __init__(self, inner: OpenedStore, held: set[ObjectKey]) -> None:
        self._inner = inner
        self._held = held

    async def delete(self, keys: Sequence[ObjectKey], *, unfinished: Collection[ObjectKey] = ()) -> None:
        await self._inner.delete([key for key in keys if key not in self._held], unfinished=unfinished)
        if left := self._held & set(keys):
            raise NotDeleted("Some objects are under a legal hold. Take it off.", keys=left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_key_that_cannot_be_deleted_keeps_no_other(world: World) -> None:
    """The sweep goes on with the others, and comes back to that one in a minute or two, not at once."""
    project_id = await world.project()
    digests = [await world.upload(project_id, world.layer()) for _ in range(4)]
    held = ObjectKey(await world.key_of(digests[0]))
    for _ in range(3):
        await world.later()
        await Reclaim(world.database, world.store, world.periods).run_once()
        if not await world.value("SELECT count(*) FROM blobs"):
            break
    store: Any = _PartlyDeleting(world.store, {held})
    for _ in range(2):
        await world.sql("UPDATE trash SET purge_after = 1")
        await Sweep(world.database, store, world.periods).run(100)
    assert [row[0] for row in await world.rows("SELECT key FROM trash")] == [str(held)]
    assert await world.store.size(held) is not None
    waits = await world.value("SELECT purge_after - {now} FROM trash")
    assert 50 * SECOND < waits < 121 * SECOND
    await world.sql("UPDATE trash SET purge_after = 1")
    assert (await Sweep(world.database, world.store, world.periods).run(100)).handled == 1
