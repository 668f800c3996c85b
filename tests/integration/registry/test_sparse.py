# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import Unsupported
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.reclaim import Reclaim
from longshore.registry.undelete import Undelete
from tests.builders import World
from tests.integrity import assert_nothing_left

ALICE = {"actor": "alice", "reason": "test"}


async def _due(world: World) -> None:
    """Leases are over, and the collector comes by."""
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    await Reclaim(world.database, world.store, world.periods).run_once()


async def test_a_wanted_blob_is_held_once_it_comes(world: World) -> None:
    """A sparse manifest keeps a blob that arrives after it: first by its want, then, from the first review on, by an edge."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    image = await world.image(project_id, layer, tags=["v1"], upload=False)
    assert await world.value("SELECT count(*) FROM manifest_wants") == 1
    await world.upload(project_id, layer)
    used = await world.usage(project_id)
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    # The lease is over, the want makes the blob visible, and it counts.
    assert (await world.blobs.promise(project_id, "app", Digest.of(layer))).size == len(layer)
    await _due(world)
    assert await world.value("SELECT count(*) FROM manifest_wants") == 0
    assert await world.value("SELECT count(*) FROM manifest_blobs") == 1
    assert await world.value("SELECT lease_until FROM repository_blobs") is None
    assert await world.usage(project_id) == used
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", image, **ALICE)
    assert (await world.usage(project_id))[0] == 0
    reclaim = Reclaim(world.database, world.store, world.periods)
    for _ in range(8):
        await world.later()
        await reclaim.run_once()
    await assert_nothing_left(world.database, world.store)


async def test_a_deleted_sparse_manifest_stops_counting_what_it_wanted(world: World) -> None:
    """A blob that only a want held is given back with the manifest, and counts again when the manifest is restored."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    image = await world.image(project_id, layer, tags=["v1"], upload=False)
    await world.upload(project_id, layer)
    used = await world.usage(project_id)
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    deletion = await ManifestDeletion(world.database, world.periods).delete(project_id, "app", image, **ALICE)
    assert (await world.usage(project_id))[0] == 0
    await Undelete(world.database, world.periods).undelete(project_id, "app", deletion.id, actor="bob")
    assert await world.usage(project_id) == used


async def test_a_wanted_blob_is_not_deleted_while_its_manifest_lives(world: World) -> None:
    """DELETE of a blob is refused while a live manifest holds it, be it by a want."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    image = await world.image(project_id, layer, tags=["v1"], upload=False)
    await world.upload(project_id, layer)
    with pytest.raises(Unsupported, match=str(image)):
        await world.blobs.delete(project_id, "app", Digest.of(layer))


async def test_a_child_that_comes_after_its_index_is_linked(world: World) -> None:
    """In a project that allows it an index may come first; its child then belongs to it and is kept and deleted with it."""
    project_id = await world.project(sparse="children", untagged_ttl=0)
    layer = world.layer()
    document = world.document(layer)
    await world.upload(project_id, layer)
    child = world.digest_of(document)
    index = await world.index(project_id, child, tags=["v1"])
    assert await world.push(project_id, document) == child
    await world.sql("UPDATE manifests SET review_after = 1")
    await Reclaim(world.database, world.store, world.periods).run_once()
    assert await world.live() == {str(child), str(index)}
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", index, **ALICE)
    assert await world.live() == set()


async def test_a_revived_manifest_wants_nothing_that_it_has(world: World) -> None:
    """Pushed again after its deletion and that of its blob, it has the blob again, and doesn't want it beside."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    image = await world.image(project_id, layer, tags=["v1"])
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", image, actor="test", reason="test")
    await world.blobs.delete(project_id, "app", Digest.of(layer))
    assert await world.image(project_id, layer, tags=["v1"], upload=False) == image
    assert await world.value("SELECT count(*) FROM manifest_wants") == 0
    assert (await world.blobs.find(project_id, "app", Digest.of(layer))).size == len(layer)


async def test_a_manifest_wants_no_damaged_blob_that_it_has(world: World) -> None:
    """Pushed again while a blob of its own is known to be damaged, it still has it: the next push of the blob heals it."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    await world.image(project_id, layer, tags=["v1"])
    await world.sql("UPDATE blobs SET damaged = :yes", yes=True)
    await world.image(project_id, layer, tags=["v1"], upload=False)
    assert await world.value("SELECT count(*) FROM manifest_wants") == 0
    await world.upload(project_id, layer)
    assert (await world.blobs.find(project_id, "app", Digest.of(layer))).size == len(layer)
