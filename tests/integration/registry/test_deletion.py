# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestUnknown
from longshore.registry.deletion import Deletion, ManifestDeletion
from longshore.registry.errors import Held
from tests.builders import World


async def _delete(world: World, project_id: int, digest: Digest) -> Deletion:
    return await ManifestDeletion(world.database, world.periods).delete(
        project_id, "app", digest, actor="alice", reason="test"
    )


async def test_a_deletion_is_effective_at_once_and_gives_the_quota_back(world: World) -> None:
    """The manifest, its tags and its used bytes are gone when the deletion returns; stored bytes stay until the purge."""
    project_id = await world.project()
    digest = await world.image(project_id, world.layer(), tags=["v1", "latest"])
    # The blob's lease is held up by the manifest; nothing else counts.
    used, stored = await world.usage(project_id)
    deletion = await _delete(world, project_id, digest)
    assert deletion.tags == ("latest", "v1")
    assert await world.live() == set()
    assert await world.usage(project_id) == (0, stored)
    assert used == stored
    journal = await world.rows("SELECT name, deletion_id, action, actor FROM tag_journal ORDER BY id")
    assert [tuple(row[column] for column in range(4)) for row in journal[2:]] == [
        ("latest", deletion.id, "deleted", "alice"),
        ("v1", deletion.id, "deleted", "alice"),
    ]
    with pytest.raises(ManifestUnknown):
        await _delete(world, project_id, digest)


async def test_an_index_takes_along_what_exists_only_for_it(world: World) -> None:
    """Platforms, their attestations and signatures go with the index; what is tagged, held or shared stays."""
    project_id = await world.project()
    only = await world.image(project_id, world.layer())
    shared = await world.image(project_id, world.layer())
    tagged = await world.image(project_id, world.layer(), tags=["arm64"])
    index = await world.index(project_id, only, shared, tagged, tags=["v1"])
    other = await world.index(project_id, shared, tags=["v2"])
    signature = await world.image(project_id, world.layer(), subject=index)
    of_child = await world.image(project_id, world.layer(), subject=only)
    of_tagged = await world.image(project_id, world.layer(), subject=tagged)
    cosign = await world.image(project_id, world.layer(), tags=[f"sha256-{index.hex}.sig"])
    deletion = await _delete(world, project_id, index)
    assert deletion.manifests[0] == str(index)
    assert set(deletion.manifests) == {str(digest) for digest in (index, only, signature, of_child, cosign)}
    assert await world.live() == {str(digest) for digest in (shared, tagged, other, of_tagged)}


async def test_what_is_needed_is_not_deleted(world: World) -> None:
    """A hold and a live index refuse with the reason; nothing changes."""
    project_id = await world.project()
    child = await world.image(project_id, world.layer(), tags=["child"])
    index = await world.index(project_id, child, tags=["v1"])
    with pytest.raises(Held, match=str(index)):
        await _delete(world, project_id, child)
    await world.sql("UPDATE manifests SET hold = true WHERE digest = :digest", digest=str(index))
    with pytest.raises(Held, match="hold"):
        await _delete(world, project_id, index)
    assert await world.live() == {str(child), str(index)}


async def test_a_child_stays_whose_subject_is_alive_outside(world: World) -> None:
    """An attestation in an index that speaks of an image outside of it stays; once that image goes too, so does it."""
    project_id = await world.project()
    image = await world.image(project_id, world.layer(), tags=["kept"])
    attestation = await world.image(project_id, world.layer(), subject=image)
    index = await world.index(project_id, attestation, tags=["v1"])
    await _delete(world, project_id, index)
    assert await world.live() == {str(image), str(attestation)}
    await _delete(world, project_id, image)
    assert await world.live() == set()


async def test_a_shared_blob_counts_until_its_last_holder_goes(world: World) -> None:
    """The quota counts a blob once per project, for as long as one live manifest of any repository holds it."""
    project_id = await world.project()
    shared = world.layer(1000)
    first = await world.image(project_id, shared, tags=["a"])
    await world.image(project_id, shared, path="other", tags=["b"])
    before, _ = await world.usage(project_id)
    await _delete(world, project_id, first)
    after, _ = await world.usage(project_id)
    size = before - after
    assert 0 < size < 1000
    assert after > 1000


async def test_a_long_chain_of_referrers_goes_in_one_deletion(world: World) -> None:
    """A referrer of a referrer of … goes with the first of them, and each of them is asked about once."""
    project_id = await world.project()
    layer = world.layer()
    first = await world.image(project_id, layer, tags=["v1"])
    chain = [first]
    for _ in range(60):
        chain.append(await world.image(project_id, layer, subject=chain[-1], upload=False))
    deletion = await ManifestDeletion(world.database, world.periods).delete(
        project_id, "app", first, actor="alice", reason="test"
    )
    assert deletion.manifests == tuple(str(digest) for digest in chain)
    assert await world.live() == set()
