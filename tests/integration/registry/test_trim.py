# SPDX-License-Identifier: Apache-2.0
"""The limit of the trash: the oldest deletions go before their time, newer ones stay restorable, live content isn't touched."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import LongshoreError, NotFound
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.trashed import Trash
from longshore.registry.trim import Trim
from tests.builders import World

ALICE = {"actor": "alice", "reason": "test"}


async def _delete(world: World, project_id: int, digest: Digest) -> str:
    deletion = await ManifestDeletion(world.database, world.periods).delete(project_id, "app", digest, **ALICE)
    return deletion.id


async def _trim(world: World, limit: int | None) -> int:
    done = await Trim(world.database, replace(world.periods, trash_limit=limit)).run(10)
    return done.handled


async def _due(world: World) -> set[str]:
    rows = await world.rows("SELECT digest FROM manifests WHERE deleted_at IS NOT NULL AND purge_after <= {now}")
    return {row[0] for row in rows}


async def _image(world: World, project_id: int, size: int, path: str = "app") -> Digest:
    digest = await world.image(project_id, world.layer(size), path=path, tags=[])
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    return digest


async def test_oldest_deletions_go_first(world: World) -> None:
    """Of three deletions the two that fit stay, counted from the newest; the oldest is purged at once."""
    project_id = await world.project()
    images = [await _image(world, project_id, 4_000) for _ in range(3)]
    kept = await _image(world, project_id, 9_000)
    ids = [await _delete(world, project_id, image) for image in images]
    assert await _trim(world, None) == 0
    assert await _trim(world, 50_000) == 0
    assert await _due(world) == set()
    assert await _trim(world, 12_000) == 1
    assert await _due(world) == {str(images[0])}
    assert await _trim(world, 12_000) == 0
    trash = Trash(world.database, world.periods)
    await Reclaim(world.database, world.store, world.periods).run_once()
    with pytest.raises(NotFound):
        await trash.restore(ids[0], actor="alice")
    await trash.restore(ids[1], actor="alice")
    assert await world.live() == {str(kept), str(images[1])}


async def test_what_is_alive_is_no_trash(world: World) -> None:
    """A layer that a live image shares with a deleted one doesn't count, nor does the trash of another project."""
    project_id, other_id = await world.project(), await world.project("other")
    shared = world.layer(50_000)
    gone = await world.image(project_id, shared, tags=[])
    await world.image(project_id, shared, world.layer(10), tags=["v1"])
    elsewhere = await _image(world, other_id, 90_000)
    await _delete(world, project_id, gone)
    await _delete(world, other_id, elsewhere)
    assert await _trim(world, 20_000) == 1
    assert await _due(world) == {str(elsewhere)}


async def test_layer_of_several_deletions_counts_with_the_newest(world: World) -> None:
    """What an older deletion shares with a newer one takes no room of its own, so the older one fits too."""
    project_id = await world.project()
    shared = world.layer(10_000)
    older = await world.image(project_id, shared, tags=[])
    newer = await world.image(project_id, shared, world.layer(10), tags=[])
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    for image in (older, newer):
        await _delete(world, project_id, image)
    assert await _trim(world, 16_000) == 0


async def test_deleted_repository(world: World) -> None:
    """A deleted repository goes as one: its live manifests aren't restorable without it."""
    project_id = await world.project()
    await _image(world, project_id, 8_000, path="old")
    await _image(world, project_id, 8_000, path="new")
    deletion = RepositoryDeletion(world.database, world.periods)
    old = await deletion.delete(project_id, "old", **ALICE)
    new = await deletion.delete(project_id, "new", **ALICE)
    assert await _trim(world, 12_000) == 1
    with pytest.raises(NotFound):
        await deletion.restore(project_id, old.id, actor="alice")
    await deletion.restore(project_id, new.id, actor="alice")


async def test_trimmed_bytes_are_reclaimed(world: World) -> None:
    """What is trimmed goes the way of everything whose trash period is over; afterwards nothing of it is stored."""
    project_id = await world.project()
    gone = await _image(world, project_id, 8_000)
    await _delete(world, project_id, gone)
    reclaim = Reclaim(world.database, world.store, replace(world.periods, trash_limit=100))
    for _ in range(8):
        await reclaim.run_once()
        await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    assert await world.usage(project_id) == (0, 0)


async def test_each_project_is_looked_at_once_a_minute(world: World) -> None:
    """The ledger of all projects is read once a minute, however often reclaim comes by."""
    now = 0.0
    trim = Trim(world.database, replace(world.periods, trash_limit=100), clock=lambda: now)
    project_id = await world.project()
    assert (await trim.run(10)).handled == 0
    await _delete(world, project_id, await _image(world, project_id, 8_000))
    assert (await trim.run(10)).handled == 0
    now = 61.0
    assert (await trim.run(10)).handled == 1


async def test_trim_meets_undelete(world: World) -> None:
    """A restore that meets the trim brings back all of the deletion or nothing."""
    project_id = await world.project()
    for _ in range(5):
        index = await world.index(
            project_id, await _image(world, project_id, 3_000), await _image(world, project_id, 3_000)
        )
        before = await world.live()
        deletion_id = await _delete(world, project_id, index)
        assert len(await world.live()) == len(before) - 3
        outcomes = await asyncio.gather(
            Trash(world.database, world.periods).restore(deletion_id, actor="alice"),
            _trim(world, 100),
            return_exceptions=True,
        )
        assert outcomes[1] in {0, 3}
        if isinstance(outcomes[0], LongshoreError):
            assert len(await world.live()) == len(before) - 3
        else:
            assert await world.live() == before
            assert str(index) not in await _due(world)
