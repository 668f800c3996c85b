# SPDX-License-Identifier: Apache-2.0
"""What lists show follows every change of manifests, tags and indexes; each test ends with a recount (`world`)."""

from __future__ import annotations

import json
from typing import Any

from longshore.oci.digest import Digest
from longshore.oci.names import TagName
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.pulls import PullCounter
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.tags import Tags
from longshore.registry.undelete import Undelete
from longshore.system.configuration import Configurations
from tests.builders import World


async def listed(world: World, path: str = "app") -> set[str]:
    """The digests that a repository's list shows."""
    rows = await world.rows(
        "SELECT m.digest FROM artifacts a JOIN manifests m ON m.id = a.manifest_id JOIN repositories r"
        " ON r.id = a.repository_id WHERE r.name = :path AND a.listed",
        path=path,
    )
    return {row[0] for row in rows}


async def counts(world: World, path: str = "app") -> tuple[int, int]:
    """How many artifacts the repository and its project list."""
    rows = await world.rows(
        "SELECT r.artifact_count, u.artifact_count FROM repositories r JOIN project_usage u ON u.project_id = r.project_id"
        " WHERE r.name = :path",
        path=path,
    )
    return rows[0][0], rows[0][1]


async def row_of(world: World, digest: Digest) -> dict[str, Any]:
    """Some columns of an artifact's row."""
    names = ("pushed_at", "listed", "tag_count", "type", "size", "accessory_type", "subject_digest", "described_at")
    rows = await world.rows(
        f"SELECT {', '.join(f'a.{name}' for name in names)} FROM artifacts a JOIN manifests m ON m.id = a.manifest_id"
        " WHERE m.digest = :digest",
        digest=str(digest),
    )
    return {name: rows[0][name] for name in names}


async def test_an_index_hides_its_untagged_children_until_it_goes(world: World) -> None:
    """Platforms are pushed before their index: they are listed first, hidden then, and a tag shows one again."""
    project = await world.project()
    one, two = await world.image(project, world.layer()), await world.image(project, world.layer())
    assert await counts(world) == (2, 2)
    index = await world.index(project, one, two, tags=["latest"])
    assert await listed(world) == {str(index)}
    assert await counts(world) == (1, 1)
    await world.push(project, await document_of(world, one), tags=["amd64"])
    assert await listed(world) == {str(index), str(one)}
    deletion = ManifestDeletion(world.database, world.periods)
    gone = await deletion.delete(project, "app", index, actor="test", reason="test")
    assert await listed(world) == {str(one)}
    await Undelete(world.database, world.periods).undelete(project, "app", gone.id, actor="test")
    assert await listed(world) == {str(index), str(one)}
    await Tags(world.database, world.periods).delete(
        project, "app", TagName.parse("amd64"), actor="test", reason="test"
    )
    assert await listed(world) == {str(index)}
    assert await counts(world) == (1, 1)


async def test_a_tag_that_moves_hides_the_child_it_leaves(world: World) -> None:
    """A child that was listed for its tag alone is hidden when another push takes the tag."""
    project = await world.project()
    child = await world.image(project, world.layer(), tags=["edge"])
    index = await world.index(project, child)
    other = await world.image(project, world.layer(), tags=["edge"])
    assert await listed(world) == {str(index), str(other)}
    assert (await row_of(world, child))["tag_count"] == 0


async def test_a_child_that_comes_after_its_index_is_hidden_and_counted_in_its_size(world: World) -> None:
    """In a sparse project a child may come later."""
    project = await world.project(sparse="children")
    layer = world.layer(1000)
    document = world.document(layer)
    index = await world.index(project, world.digest_of(document), tags=["latest"])
    before = (await row_of(world, index))["size"]
    await world.upload(project, layer)
    child = await world.push(project, document)
    assert await listed(world) == {str(index)}
    assert (await row_of(world, index))["size"] == before + (await row_of(world, child))["size"]


async def test_accessories_are_never_listed(world: World) -> None:
    """Neither a referrer by subject, tagged or not, nor a signature by cosign's tag scheme."""
    project = await world.project()
    image = await world.image(project, world.layer(), tags=["1"])
    await world.image(project, world.layer(), subject=image, tags=["about-1"])
    layer = world.layer()
    await world.upload(project, layer)
    signature = world.document(layer)
    signature["layers"][0]["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
    tag = f"{str(image).replace(':', '-')}.sig"
    digest = await world.push(project, signature, tags=[tag])
    assert await listed(world) == {str(image)}
    row = await row_of(world, digest)
    assert (row["accessory_type"], row["subject_digest"]) == ("signature.cosign", str(image))
    # What it is doesn't depend on the tag being there for ever.
    await world.push(project, signature)
    assert (await row_of(world, digest))["accessory_type"] == "signature.cosign"


async def test_a_push_again_keeps_the_time_of_the_first(world: World) -> None:
    """The artifact is as old as its first push; one that was deleted begins anew."""
    project = await world.project()
    layer = world.layer()
    image = await world.image(project, layer, tags=["1"])
    await world.sql("UPDATE artifacts SET pushed_at = 7")
    await world.image(project, layer, tags=["2"], upload=False)
    assert await row_of(world, image) | {"pushed_at": 7, "tag_count": 2} == await row_of(world, image)
    deletion = ManifestDeletion(world.database, world.periods)
    await deletion.delete(project, "app", image, actor="test", reason="test")
    assert await counts(world) == (0, 0)
    await world.image(project, layer, tags=["3"])
    row = await row_of(world, image)
    assert row["pushed_at"] > 7
    assert row["tag_count"] == 1
    assert await counts(world) == (1, 1)


async def test_a_deleted_repository_counts_nothing_until_it_is_restored_or_gone(world: World) -> None:
    """The project's number drops at once; what the purge takes apart is counted by nobody."""
    project = await world.project()
    child = await world.image(project, world.layer())
    await world.index(project, child, tags=["latest"])
    await world.image(project, world.layer(), tags=["1"])
    deletion = RepositoryDeletion(world.database, world.periods)
    gone = await deletion.delete(project, "app", actor="test", reason="test")
    assert await counts(world) == (2, 0)
    await deletion.restore(project, gone.id, actor="test")
    assert await counts(world) == (2, 2)
    await deletion.delete(project, "app", actor="test", reason="test")
    reclaim = Reclaim(world.database, world.store, world.periods)
    for _ in range(12):
        await world.later()
        await reclaim.run_once()
    assert await world.rows("SELECT 1 FROM artifacts") == []


async def test_what_comes_and_goes_moves_the_time_of_the_repository(world: World) -> None:
    """Pushes, tags and deletions do; a push that brings nothing new doesn't."""
    project = await world.project()
    layer = world.layer()
    image = await world.image(project, layer, tags=["1"])

    async def moved() -> bool:
        after: int = await world.value("SELECT updated_at FROM repositories")
        await world.sql("UPDATE repositories SET updated_at = 7")
        return after != 7

    assert await moved()
    await world.image(project, layer, tags=["1"], upload=False)
    assert not await moved()
    await world.image(project, layer, tags=["2"], upload=False)
    assert await moved()
    tags = Tags(world.database, world.periods)
    await tags.delete(project, "app", TagName.parse("2"), actor="test", reason="test")
    assert await moved()
    await ManifestDeletion(world.database, world.periods).delete(project, "app", image, actor="test", reason="test")
    assert await moved()


async def test_tags_have_an_id_that_stays(world: World) -> None:
    """A tag that moves keeps its id; one that is made anew gets another."""
    project = await world.project()
    await world.image(project, world.layer(), tags=["1"])
    first = await world.value("SELECT id FROM tags")
    await world.image(project, world.layer(), tags=["1"])
    assert await world.value("SELECT id FROM tags") == first
    await Tags(world.database, world.periods).delete(project, "app", TagName.parse("1"), actor="test", reason="test")
    await world.image(project, world.layer(), tags=["1"])
    assert await world.value("SELECT id FROM tags") > first


async def test_pulls_count_for_their_repository(world: World) -> None:
    """A pull by tag and one by digest are two of the repository's."""
    project = await world.project()
    await world.image(project, world.layer(), tags=["1"])
    manifest_id = await world.value("SELECT id FROM manifests")
    pulls = PullCounter(world.database, Configurations(world.database))
    pulls.add(manifest_id, "1")
    pulls.add(manifest_id, None)
    await pulls.flush()
    await pulls.flush()
    assert await world.value("SELECT pull_count FROM repositories") == 2


async def document_of(world: World, digest: Digest) -> dict[str, Any]:
    """A manifest as it was pushed."""
    payload = await world.value("SELECT payload FROM manifests WHERE digest = :digest", digest=str(digest))
    document: dict[str, Any] = json.loads(bytes(payload))
    return document
