# SPDX-License-Identifier: Apache-2.0
"""Races of deletions, restores and purges, by the names that the design gives them (docs/why/metadata.md)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from longshore.database.connection import Dialect
from longshore.oci.digest import Digest
from longshore.oci.errors import LongshoreError, NotFound
from longshore.registry.collect import Collect
from longshore.registry.deletion import Deletion, ManifestDeletion
from longshore.registry.errors import Held
from longshore.registry.purge import Purge
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.repository_purge import RepositoryPurge
from longshore.registry.review import Review
from longshore.registry.undelete import Undelete
from tests.builders import World
from tests.interleaving import Interleaved

ALICE = {"actor": "alice", "reason": "test"}


async def _delete(world: World, project_id: int, digest: Digest, path: str = "app") -> Deletion:
    return await ManifestDeletion(world.database, world.periods).delete(project_id, path, digest, **ALICE)


async def _due(world: World) -> None:
    await world.sql("UPDATE manifests SET purge_after = 1 WHERE purge_after IS NOT NULL")


async def test_purge_while_referenced_elsewhere(world: World) -> None:
    """Purging an image leaves the blobs alone that another image needs, in this repository and in others."""
    project_id = await world.project()
    shared, own = world.layer(), world.layer()
    doomed = await world.image(project_id, own, shared, tags=["doomed"])
    here = await world.image(project_id, shared, tags=["here"])
    there = await world.image(project_id, shared, path="other", tags=["there"])
    await _delete(world, project_id, doomed)
    reclaim = Reclaim(world.database, world.store, world.periods)
    for _ in range(6):
        await world.later()
        await reclaim.run_once()
    assert await world.live() == {str(here), str(there)}
    assert await world.bytes_of(Digest.of(shared)) == shared
    assert await world.bytes_of(Digest.of(own)) is None
    assert await world.value("SELECT count(*) FROM repository_blobs WHERE lease_until IS NOT NULL") == 0


async def test_purge_meets_push_of_its_blob(world: World) -> None:
    """An image that is pushed while another one with the same blob is purged keeps the blob."""
    project_id = await world.project()
    shared = world.layer()
    doomed = await world.image(project_id, shared, tags=["doomed"])
    await _delete(world, project_id, doomed)
    await _due(world)
    interleaved = Interleaved(
        world.database,
        "DELETE FROM manifests",
        lambda: world.image(project_id, shared, tags=["kept"], note="another", upload=False),
    )
    await Purge(interleaved, world.periods, concurrency=1).run(10)
    kept = await interleaved.outcome()
    for _ in range(2):
        await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
        await Collect(world.database, world.periods).run(10)
    assert await world.live() == {str(kept)}
    assert await world.bytes_of(Digest.of(shared)) == shared


async def test_undelete_meets_purge(world: World) -> None:
    """A restore that comes during the purge brings back everything or finds nothing; never a manifest without its blobs."""
    project_id = await world.project()
    layer = world.layer()
    image = await world.image(project_id, layer, tags=["v1"])
    deletion = await _delete(world, project_id, image)
    await _due(world)

    async def undelete() -> tuple[str, ...]:
        restoration = await Undelete(world.database, world.periods).undelete(
            project_id, "app", deletion.id, actor="bob"
        )
        return restoration.manifests

    interleaved = Interleaved(world.database, "DELETE FROM manifests", undelete)
    purge = Purge(interleaved, world.periods, concurrency=1)
    await purge.run(10)
    restored = await interleaved.outcome()
    assert await world.live() == set(restored)
    assert restored == ((str(image),) if world.database.dialect is Dialect.SQLITE else ())
    if restored:
        assert await world.bytes_of(Digest.of(layer)) == layer


async def test_delete_child_of_live_index(world: World) -> None:
    """A child is refused while a live index contains it, and comes back with an index that is pushed during its deletion."""
    project_id = await world.project()
    child = await world.image(project_id, world.layer())
    first = await world.index(project_id, child, tags=["v1"])
    with pytest.raises(Held, match=str(first)):
        await _delete(world, project_id, child)
    await _delete(world, project_id, first)
    assert await world.live() == set()
    again = await world.image(project_id, world.layer(), tags=["child"])
    interleaved = Interleaved(
        world.database, "UPDATE manifests SET deleted_at", lambda: world.index(project_id, again, tags=["v2"])
    )
    with suppress(Held):
        await ManifestDeletion(interleaved, world.periods).delete(project_id, "app", again, **ALICE)
    index = await interleaved.outcome()
    # Whichever came first, a live index has its children.
    assert await world.live() == {str(again), str(index)}


async def test_child_deleted_then_index_restored(world: World) -> None:
    """An index comes back with a child that was deleted later, by another deletion."""
    project_id = await world.project()
    layer = world.layer()
    child = await world.image(project_id, layer, tags=["child"])
    index = await world.index(project_id, child, tags=["v1"])
    deleted = await _delete(world, project_id, index)
    assert await world.live() == {str(child)}
    of_child = await _delete(world, project_id, child)
    await world.blobs.delete(project_id, "app", Digest.of(layer))
    undelete = Undelete(world.database, world.periods)
    restoration = await undelete.undelete(project_id, "app", deleted.id, actor="bob")
    assert set(restoration.manifests) == {str(child), str(index)}
    assert restoration.tags == ("v1",)
    assert (await world.blobs.find(project_id, "app", Digest.of(layer))).size == len(layer)
    # The child's own deletion still has its tag to give back.
    assert (await undelete.undelete(project_id, "app", of_child.id, actor="bob")).tags == ("child",)


async def test_referrer_before_subject(world: World) -> None:
    """A signature may come before its image: it stays while it waits, then belongs to the image, and goes with it."""
    project_id = await world.project(untagged_ttl=0)
    document = world.document(world.layer())
    subject = world.digest_of(document)
    signature = await world.image(project_id, world.layer(), subject=subject)
    await Review(world.database, world.periods).run(10)
    assert await world.live() == {str(signature)}
    await world.upload(project_id, b"layer 0 ".ljust(100, b"x"))
    await world.push(project_id, document, tags=["v1"])
    await world.sql("UPDATE manifests SET review_after = 1")
    await Review(world.database, world.periods).run(10)
    assert await world.live() == {str(signature), str(subject)}
    await _delete(world, project_id, subject)
    assert await world.live() == set()


async def test_two_deletions_of_a_shared_blob(world: World) -> None:
    """Of two deletions at the same moment the second sees the first: nothing counts in the end."""
    project_id = await world.project()
    shared = world.layer(1000)
    first = await world.image(project_id, shared, tags=["v1"])
    second = await world.image(project_id, shared, path="other", tags=["v1"])
    interleaved = Interleaved(
        world.database,
        # After the first one has looked at what holds the blob, before it commits.
        "UPDATE project_usage",
        lambda: _delete(world, project_id, second, "other"),
    )
    await ManifestDeletion(interleaved, world.periods).delete(project_id, "app", first, **ALICE)
    await interleaved.outcome()
    assert (await world.usage(project_id))[0] == 0


async def test_undelete_of_what_review_deleted(world: World) -> None:
    """What a rule deleted comes back like what a person deleted, and the rule may look at it again after its time."""
    project_id = await world.project(untagged_ttl=0)
    layer = world.layer()
    image = await world.image(project_id, layer)
    used = await world.usage(project_id)
    await world.sql("UPDATE manifests SET review_after = 1")
    await Review(world.database, world.periods).run(10)
    assert await world.live() == set()
    deletion_id = await world.value("SELECT deletion_id FROM manifests")
    restoration = await Undelete(world.database, world.periods).undelete(project_id, "app", deletion_id, actor="bob")
    assert restoration.manifests == (str(image),)
    assert await world.usage(project_id) == used
    now = await world.value("SELECT {now}")
    assert await world.value("SELECT review_after FROM manifests") > now + world.periods.grace // 2


async def test_want_meets_purge(world: World) -> None:
    """A collection that gives a blob to a manifest that is purged at that moment looks again and drops the blob."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    image = await world.image(project_id, layer, tags=["v1"], upload=False)
    await world.upload(project_id, layer)
    await _delete(world, project_id, image)
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    await _due(world)
    interleaved = Interleaved(
        world.database, "INSERT INTO manifest_blobs", lambda: Purge(world.database, world.periods).run(10)
    )
    await Collect(interleaved, world.periods, concurrency=1).run(10)
    await interleaved.outcome()
    reclaim = Reclaim(world.database, world.store, world.periods)
    for _ in range(4):
        await world.later()
        await reclaim.run_once()
    assert await world.value("SELECT count(*) FROM manifests") == 0
    assert await world.value("SELECT count(*) FROM blobs") == 0
    assert await world.usage(project_id) == (0, 0)


async def test_repository_restored_during_purge(world: World) -> None:
    """A repository comes back whole or not at all: once its purge has begun, restoring is refused."""
    project_id = await world.project()
    for number in range(3):
        await world.image(project_id, world.layer(), tags=[f"v{number}"])
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)
    await world.sql("UPDATE repositories SET purge_after = 1")

    async def restore() -> bool:
        with suppress(LongshoreError):
            await deletion.restore(project_id, deleted.id, actor="bob")
            return True
        return False

    interleaved = Interleaved(world.database, "UPDATE manifests SET deleted_at", restore)
    await RepositoryPurge(interleaved).run(10)
    assert not await interleaved.outcome()
    await Purge(world.database, world.periods).run(2)
    with pytest.raises(NotFound):
        await deletion.restore(project_id, deleted.id, actor="bob")
    assert await world.live() == set()


async def test_repository_restored_before_its_purge(world: World) -> None:
    """A purge that waited while the repository was restored leaves it alone."""
    project_id = await world.project()
    image = await world.image(project_id, world.layer(), tags=["v1"])
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)

    async def purge() -> int:
        await world.sql("UPDATE manifests SET pushed_at = pushed_at")
        return (await RepositoryPurge(world.database).run(10)).handled

    interleaved = Interleaved(world.database, "UPDATE repositories SET deleted_at = NULL", purge)
    restoring = replace(world, database=interleaved)
    await RepositoryDeletion(restoring.database, world.periods).restore(project_id, deleted.id, actor="bob")
    assert await interleaved.outcome() == 0
    assert await world.live() == {str(image)}
