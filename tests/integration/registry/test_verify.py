# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import aclosing

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, PreconditionFailed, ServiceUnavailable
from longshore.registry.findings import Finding, Problem, VerificationProgress
from longshore.registry.orphans import Orphans
from longshore.registry.verify import Verification
from longshore.storage.port import ObjectKey
from tests.builders import HOUR, World


async def _verify(
    world: World, *, deep: bool = False, mark_damaged: bool = True, mark_missing: bool = False
) -> list[Finding]:
    verification = Verification(world.database, world.store, mark_damaged=mark_damaged, mark_missing=mark_missing)
    async with aclosing(verification.run(deep=deep)) as items:
        return [item async for item in items if isinstance(item, Finding)]


async def _paths(world: World) -> set[str]:
    async with aclosing(world.store.listing()) as listing:
        return {str(stored.key) async for stored in listing}


async def test_a_sound_registry_has_no_findings(world: World) -> None:
    """With images, open uploads and trash, a deep verification says nothing but how far it is."""
    project_id = await world.project()
    layer = world.layer(3_000_000)
    await world.image(project_id, layer, world.layer(), tags=["v1"])
    await world.uploads.start(project_id, "app")
    await world.upload(project_id, layer)
    verification = Verification(world.database, world.store)
    async with aclosing(verification.run(deep=True)) as items:
        found = [item async for item in items]
    assert all(isinstance(item, VerificationProgress) for item in found)
    last = found[-1]
    assert isinstance(last, VerificationProgress)
    assert last.rows == last.total == 4
    assert last.objects == 3
    assert last.bytes == 3_000_000 + 100
    assert await world.value("SELECT count(*) FROM blobs WHERE verified_at IS NULL") == 0


async def test_a_missing_object_is_found_with_the_tags_it_breaks(world: World) -> None:
    """The finding names the repository, the image, its tag, and the index above it; marked, a push heals it."""
    project_id = await world.project()
    layer = world.layer()
    image = await world.image(project_id, layer)
    index = await world.index(project_id, image, tags=["v1"])
    await world.behind.remove(await world.key_of(Digest.of(layer)))
    (finding,) = await _verify(world)
    assert finding.problem is Problem.MISSING
    assert finding.digest == str(Digest.of(layer))
    affected = {(one.repository, one.manifest, one.tag) for one in finding.affected}
    assert affected == {("demo/app", str(image), None), ("demo/app", str(index), "v1")}
    # A missing object isn't believed to be lost unless somebody says so: the volume may not be mounted.
    assert (await world.blobs.promise(project_id, "app", Digest.of(layer))).size == len(layer)
    await _verify(world, mark_missing=True)
    with pytest.raises(BlobUnknown):
        await world.blobs.promise(project_id, "app", Digest.of(layer))
    await world.upload(project_id, layer)
    assert await _verify(world) == []


async def test_wrong_bytes_are_found_marked_and_healed_by_the_next_push(world: World) -> None:
    """Only a deep verification reads; what it finds wrong is never served, and the next push replaces it."""
    project_id = await world.project()
    layer = world.layer()
    await world.image(project_id, layer, tags=["v1"])
    await world.behind.put(await world.key_of(Digest.of(layer)), b"y" * len(layer))
    assert await _verify(world) == []
    (reported,) = await _verify(world, deep=True, mark_damaged=False)
    assert reported.problem is Problem.WRONG_DIGEST
    assert reported.affected[0].tag == "v1"
    await world.blobs.find(project_id, "app", Digest.of(layer))
    await _verify(world, deep=True)
    with pytest.raises(ServiceUnavailable, match="damaged"):
        await world.blobs.find(project_id, "app", Digest.of(layer))
    assert [finding.problem for finding in await _verify(world)] == [Problem.DAMAGED]
    await world.upload(project_id, layer)
    assert await world.bytes_of(Digest.of(layer)) == layer
    assert await _verify(world, deep=True) == []


async def test_wrong_sizes_orphans_and_strangers_are_told_apart(world: World) -> None:
    """A cut object, an object that nothing owns, and a file that isn't ours are three different things."""
    project_id = await world.project()
    layer = world.layer()
    await world.image(project_id, layer, tags=["v1"])
    await world.behind.put(await world.key_of(Digest.of(layer)), layer[:7])
    orphan, stranger = str(ObjectKey.fresh()), "notes.txt"
    for path in (orphan, stranger):
        await world.behind.put(path, b"not ours")
    problems = {finding.problem: finding for finding in await _verify(world)}
    assert set(problems) == {Problem.WRONG_SIZE, Problem.ORPHAN, Problem.FOREIGN}
    assert problems[Problem.WRONG_SIZE].affected[0].repository == "demo/app"
    for path in (orphan, stranger):
        await world.behind.remove(path)
    await _verify(world, deep=True)
    await world.upload(project_id, layer)


async def test_a_broken_ledger_is_a_finding(world: World) -> None:
    """Verify recounts: a number that drifted is named."""
    project_id = await world.project()
    await world.image(project_id, world.layer(), tags=["v1"])
    await world.sql("UPDATE project_usage SET stored_bytes = stored_bytes + 1")
    (finding,) = await _verify(world)
    assert finding.problem is Problem.INVARIANT
    assert "stored-bytes" in finding.message
    await world.sql("UPDATE project_usage SET stored_bytes = stored_bytes - 1")


async def test_only_old_objects_without_an_owner_are_removed(world: World) -> None:
    """Young orphans, strangers, and everything owned stay; without the store's mark, or with too many, nothing goes."""
    project_id = await world.project()
    layer = world.layer()
    await world.image(project_id, layer, tags=["v1"])
    young, old, stranger = str(ObjectKey.fresh()), str(ObjectKey.fresh()), "notes.txt"
    for path in (young, old, stranger):
        await world.behind.put(path, b"nobody's")
    for path in (old, stranger, await world.key_of(Digest.of(layer))):
        await world.behind.age(path)
    orphans = Orphans(world.database, world.store, world.periods)
    with pytest.raises(PreconditionFailed, match="mark"):
        await orphans.delete(database_id="this", yes_really=True)
    await world.store.write_instance("this")
    with pytest.raises(PreconditionFailed, match="mark"):
        await orphans.delete(database_id="another", yes_really=True)
    with pytest.raises(PreconditionFailed, match="--yes-really"):
        await orphans.delete(database_id="this")
    assert old in await _paths(world)
    report = await orphans.delete(database_id="this", yes_really=True)
    assert (report.objects, report.deleted, report.size) == (3, 1, 8)
    paths = await _paths(world)
    assert old not in paths
    assert {young, stranger} < paths
    assert await world.bytes_of(Digest.of(layer)) == layer
    assert world.periods.delay == HOUR
    for path in (young, stranger):
        await world.behind.remove(path)
