# SPDX-License-Identifier: Apache-2.0
"""Races of pushes with everything else, by the names that the design gives them (docs/why/metadata.md)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from longshore.database.connection import Database, Dialect
from longshore.oci.digest import Digest
from longshore.oci.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    LongshoreError,
    ManifestBlobUnknown,
    NameUnknown,
    Unsupported,
)
from longshore.registry.blobs import Blobs, MountSource
from longshore.registry.collect import Collect
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.errors import QuotaExceeded
from longshore.registry.expiry import Expire
from longshore.registry.project_deletion import ProjectDeletion
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from tests.builders import HOUR, World
from tests.interleaving import Interleaved

ALICE = {"actor": "alice", "reason": "test"}


def _beside(world: World, database: Database | Interleaved) -> World:
    """The same registry through another database object."""
    return replace(world, database=database)


async def _expire_and_collect(world: World) -> None:
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    await Collect(world.database, world.periods).run(10)


async def test_push_meets_collect(world: World) -> None:
    """A push that has seen a blob keeps it; one that comes after its collection is told so. Never is half an image pushed."""
    project_id = await world.project()
    layer = world.layer()
    await world.upload(project_id, layer)
    interleaved = Interleaved(world.database, "INSERT INTO manifest_blobs", lambda: _expire_and_collect(world))
    push = _beside(world, interleaved).image(project_id, layer, tags=["v1"], upload=False)
    if world.database.dialect is Dialect.SQLITE:
        with pytest.raises(ManifestBlobUnknown):
            await push
        assert await world.live() == set()
    else:
        await push
        assert await world.bytes_of(Digest.of(layer)) == layer
    await interleaved.outcome()


async def test_push_meets_collect_that_came_first(world: World) -> None:
    """A push waits for a collection that is under way and then finds the blob gone."""
    project_id = await world.project()
    layer = world.layer()
    await world.upload(project_id, layer)
    await world.sql("UPDATE repository_blobs SET lease_until = 1")

    async def push() -> bool:
        with suppress(ManifestBlobUnknown):
            await world.image(project_id, layer, tags=["v1"], upload=False)
            return True
        return False

    interleaved = Interleaved(world.database, "UPDATE repository_blobs SET lease_until = NULL", push)
    await Collect(interleaved, world.periods).run(10)
    assert not await interleaved.outcome()
    assert await world.bytes_of(Digest.of(layer)) is None
    await world.image(project_id, layer, tags=["v1"])
    assert await world.bytes_of(Digest.of(layer)) == layer


async def test_head_promise_kept(world: World) -> None:
    """A HEAD that says yes keeps the blob for half of the grace period, also when its lease was about to end."""
    project_id = await world.project()
    layer = world.layer()
    digest = await world.upload(project_id, layer)
    now = await world.value("SELECT {now}")
    await world.sql("UPDATE repository_blobs SET lease_until = :until", until=now + HOUR // 4)
    await world.blobs.promise(project_id, "app", digest)
    assert await world.value("SELECT lease_until FROM repository_blobs") >= now + HOUR // 2
    # Its first lease would be over by now.
    await world.sql("UPDATE repository_blobs SET lease_until = lease_until - :spent", spent=HOUR // 2)
    await Collect(world.database, world.periods).run(10)
    await world.image(project_id, layer, tags=["v1"], upload=False)


async def test_head_promise_kept_while_collecting(world: World) -> None:
    """Of a HEAD and a collection of the same blob one comes first: a yes keeps the blob, or the answer is no."""
    project_id = await world.project()
    layer = world.layer()
    digest = await world.upload(project_id, layer)
    await world.sql("UPDATE repository_blobs SET lease_until = {now} + 2000000")

    async def head() -> bool:
        with suppress(BlobUnknown):
            await world.blobs.promise(project_id, "app", digest)
            return True
        return False

    interleaved = Interleaved(world.database, "DELETE FROM repository_blobs", head)
    await world.sql("UPDATE repository_blobs SET lease_until = 1")
    await Collect(interleaved, world.periods).run(10)
    promised = await interleaved.outcome()
    assert promised == (await world.bytes_of(digest) is not None)


async def test_blob_deleted_during_push(world: World) -> None:
    """A client's DELETE of a blob either comes first, and the push is refused, or is refused because the image needs it."""
    project_id = await world.project()
    layer = world.layer()
    await world.upload(project_id, layer)

    async def delete() -> bool:
        with suppress(Unsupported):
            await world.blobs.delete(project_id, "app", Digest.of(layer))
            return True
        return False

    interleaved = Interleaved(world.database, "INSERT INTO manifest_blobs", delete)
    pushed = False
    with suppress(ManifestBlobUnknown):
        await _beside(world, interleaved).image(project_id, layer, tags=["v1"], upload=False)
        pushed = True
    assert await interleaved.outcome() is not pushed
    assert bool(await world.live()) is pushed


async def test_mount_from_a_dying_repository(world: World) -> None:
    """A mount that found its source keeps the blob, though the source's own membership is collected."""
    project_id = await world.project()
    layer = world.layer()
    digest = await world.upload(project_id, layer, path="dying")
    interleaved = Interleaved(world.database, "INSERT INTO project_blobs", lambda: _expire_and_collect(world))
    if world.database.dialect is Dialect.POSTGRESQL:
        assert await Blobs(interleaved, world.periods).mount(
            project_id, "app", digest, MountSource(project_id, "dying", "demo")
        )
        await interleaved.outcome()
        await world.sql(
            "UPDATE repository_blobs SET lease_until = 1 WHERE repository_id ="
            " (SELECT id FROM repositories WHERE name = 'dying')"
        )
        await Collect(world.database, world.periods).run(10)
        assert await world.value("SELECT count(*) FROM repository_blobs") == 1
        await world.image(project_id, layer, tags=["v1"], upload=False)
    else:
        assert not await Blobs(interleaved, world.periods).mount(
            project_id, "app", digest, MountSource(project_id, "dying", "demo")
        )


async def test_two_pushes_of_one_digest(world: World) -> None:
    """Both succeed; one object stays, the other one is trash."""
    project_id = await world.project()
    layer = world.layer(10_000)
    await asyncio.gather(*(world.upload(project_id, layer, path=path) for path in ("a", "b", "a", "c")))
    assert await world.value("SELECT count(*) FROM blobs") == 1
    assert await world.value("SELECT count(*) FROM trash") == 3
    assert await world.value("SELECT count(*) FROM repository_blobs") == 3
    assert await world.usage(project_id) == (10_000, 10_000)
    assert await world.bytes_of(Digest.of(layer)) == layer


async def test_two_pushes_of_one_tag(world: World) -> None:
    """Both images are there, the tag points to one of them, and the journal tells both."""
    project_id = await world.project()
    pushed = await asyncio.gather(
        *(world.image(project_id, world.layer(), tags=["latest"], note=str(number)) for number in range(4))
    )
    assert await world.live() == {str(digest) for digest in pushed}
    rows = await world.rows("SELECT action FROM tag_journal ORDER BY id")
    assert [row[0] for row in rows] == ["created", "moved", "moved", "moved"]


async def test_expire_meets_commit(world: World) -> None:
    """An upload expires or is committed, never both; the bytes belong to the blob or to the trash."""
    project_id = await world.project()
    layer = world.layer()

    async def expire() -> int:
        await world.sql("UPDATE upload_sessions SET expires_at = 1, owner_until = 1 WHERE state <> 'done'")
        return (await Expire(world.database, world.periods).run(10)).handled

    interleaved = Interleaved(world.database, "DELETE FROM upload_keys", expire)
    committed = False
    with suppress(LongshoreError):
        await _beside(world, interleaved).upload(project_id, layer)
        committed = True
    await interleaved.outcome()
    assert committed == (await world.bytes_of(Digest.of(layer)) is not None)


async def test_expire_meets_commit_that_comes_late(world: World) -> None:
    """A commit that wakes up after its session has expired is refused and changes nothing."""
    project_id = await world.project()
    layer = world.layer()
    upload = await world.uploads.start(project_id, "app")
    await world.sql("UPDATE upload_sessions SET expires_at = 1")
    assert (await Expire(world.database, world.periods).run(10)).handled == 1
    with pytest.raises(BlobUploadUnknown):
        await world.finish(project_id, upload.id, layer)
    assert await world.value("SELECT count(*) FROM blobs") == 0


async def test_quota_filled_by_two(world: World) -> None:
    """Of two blobs that fit one by one but not together exactly one is accepted."""
    project_id = await world.project(quota_bytes=1500)
    layers = [world.layer(1000), world.layer(1000)]
    outcomes = await asyncio.gather(*(world.upload(project_id, layer) for layer in layers), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Digest, QuotaExceeded}
    assert (await world.usage(project_id))[0] == 1000


async def test_deletion_meets_push_of_a_shared_blob(world: World) -> None:
    """A blob that is deleted here and pushed there at the same moment counts: the push holds it."""
    project_id = await world.project()
    shared = world.layer(1000)
    doomed = await world.image(project_id, shared, tags=["v1"])
    # The lease that the second upload brought is over; from now on only manifests count.
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    interleaved = Interleaved(
        world.database,
        "UPDATE project_blobs SET counted = false",
        lambda: world.image(project_id, shared, path="other", tags=["v1"]),
    )
    await ManifestDeletion(interleaved, world.periods).delete(project_id, "app", doomed, **ALICE)
    kept = await interleaved.outcome()
    assert await world.live() == {str(kept)}
    assert (await world.usage(project_id))[0] > 1000


async def test_deletion_meets_push_of_a_shared_blob_that_came_first(world: World) -> None:
    """A deletion waits for a push that counts the blob, and then sees that it is held."""
    project_id = await world.project(sparse="any")
    shared = world.layer(1000)
    doomed = await world.image(project_id, shared, tags=["v1"])
    await world.upload(project_id, shared, path="other")
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    interleaved = Interleaved(
        world.database,
        # The push has counted; nothing of it is committed.
        "UPDATE repositories SET listed_at",
        lambda: ManifestDeletion(world.database, world.periods).delete(project_id, "app", doomed, **ALICE),
    )
    kept = await _beside(world, interleaved).image(project_id, shared, path="other", tags=["v1"], upload=False)
    await interleaved.outcome()
    assert await world.live() == {str(kept)}
    assert (await world.usage(project_id))[0] > 1000


async def test_repository_deleted_during_push(world: World) -> None:
    """A push whose repository is deleted under it is refused; its blobs went with the repository."""
    project_id = await world.project()
    layer = world.layer()
    await world.upload(project_id, layer)
    deletion = RepositoryDeletion(world.database, world.periods)
    interleaved = Interleaved(world.database, "FOR NO KEY UPDATE", lambda: deletion.delete(project_id, "app", **ALICE))
    with pytest.raises((NameUnknown, ManifestBlobUnknown)):
        await _beside(world, interleaved).image(project_id, layer, tags=["v1"], upload=False)
    await interleaved.outcome()
    assert await world.live() == set()


async def test_name_reused_during_push(world: World) -> None:
    """An upload that began in a repository of the same name before it was deleted does not end up in the new one."""
    project_id = await world.project()
    layer = world.layer()
    upload = await world.uploads.start(project_id, "app")
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)
    # A session that began at the very moment of the deletion and was not seen by it.
    stray = await world.uploads.start(project_id, "app")
    await world.sql(
        "UPDATE upload_sessions SET repository_id = (SELECT id FROM repositories WHERE deletion_id = :id)"
        " WHERE id = :stray",
        id=deleted.id,
        stray=stray.id,
    )
    for session in (upload, stray):
        with pytest.raises((BlobUploadUnknown, NameUnknown)):
            await world.finish(project_id, session.id, layer)
    assert await world.value("SELECT count(*) FROM blobs") == 0


async def test_child_after_index(world: World) -> None:
    """A child that is pushed after its index (where the project allows it) belongs to it from then on."""
    project_id = await world.project(sparse="children", untagged_ttl=0)
    layer = world.layer()
    child = world.digest_of(world.document(layer))
    index = await world.index(project_id, child, tags=["v1"])
    assert await world.image(project_id, layer) == child
    await world.sql("UPDATE manifests SET review_after = 1")
    await Reclaim(world.database, world.store, world.periods).run_once()
    assert await world.live() == {str(child), str(index)}


async def test_blob_after_sparse_manifest(world: World) -> None:
    """A blob that comes after the manifest that names it is kept for it, whatever leases say."""
    project_id = await world.project(sparse="any")
    layer = world.layer()
    await world.image(project_id, layer, tags=["v1"], upload=False)
    interleaved = Interleaved(
        world.database, "INSERT INTO repository_blobs", lambda: Collect(world.database, world.periods).run(10)
    )
    await _beside(world, interleaved).upload(project_id, layer)
    for _ in range(2):
        await _expire_and_collect(world)
    assert await world.bytes_of(Digest.of(layer)) == layer
    assert await world.value("SELECT count(*) FROM manifest_blobs") == 1


async def test_project_deleted_under_load(world: World) -> None:
    """Pushes and deletions that meet the deletion of their project fail cleanly; restored, everything adds up."""
    project_id = await world.project()
    digests = [await world.image(project_id, world.layer(), path=f"r{number}", tags=["v1"]) for number in range(4)]
    deletion = ProjectDeletion(world.database, world.periods)

    async def push(number: int) -> None:
        with suppress(LongshoreError):
            await world.image(project_id, world.layer(), path=f"r{number % 6}", tags=[f"t{number}"])

    async def delete(number: int) -> None:
        with suppress(LongshoreError):
            await ManifestDeletion(world.database, world.periods).delete(
                project_id, f"r{number}", digests[number], **ALICE
            )

    deleting = asyncio.create_task(deletion.delete(project_id, **ALICE))
    await asyncio.gather(*(push(number) for number in range(12)), *(delete(number) for number in range(3)))
    deleted = await deleting
    assert await world.live() == set()
    restored = await deletion.restore(deleted.id, actor="bob")
    assert set(restored.repositories) == set(deleted.repositories)
    used, _ = await world.usage(project_id)
    assert used > 0
