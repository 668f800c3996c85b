# SPDX-License-Identifier: Apache-2.0
"""Repositories and artifacts as the API shows them, member by member (wire details 2, 7, 9 to 12, 25, 40)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from longshore.labels.models import LabelFacts
from longshore.oci.digest import Digest
from tests.builders import World as Registry
from tests.integration.api.artifacts import digests, list_of, shown

if TYPE_CHECKING:
    from tests.integration.api.conftest import World

NEVER = "0001-01-01T00:00:00.000Z"


async def test_an_artifact_has_every_member_of_the_contract(
    world: World, registry: Registry, client: httpx.AsyncClient
) -> None:
    """An image with a tag: what is empty is absent or null, as the contract has it."""
    project, name = await world.project()
    layer = registry.layer()
    digest = await registry.image(project, layer, tags=["v1"], note="of the build")
    (found,) = shown(await client.get(f"/projects/{name}/repositories/app/artifacts"))
    (tag,) = found["tags"]
    assert found == {
        "id": found["id"],
        "type": "IMAGE",
        "media_type": "application/vnd.oci.image.config.v1+json",
        "manifest_media_type": "application/vnd.oci.image.manifest.v1+json",
        "artifact_type": "application/vnd.oci.image.config.v1+json",
        "project_id": project,
        "repository_id": found["repository_id"],
        "repository_name": f"{name}/app",
        "digest": str(digest),
        "size": found["size"],
        "push_time": found["push_time"],
        "pull_time": NEVER,
        "annotations": {"note": "of the build"},
        "references": None,
        "tags": [
            {
                "id": tag["id"],
                "repository_id": found["repository_id"],
                "artifact_id": found["id"],
                "name": "v1",
                "push_time": tag["push_time"],
                "pull_time": NEVER,
                "immutable": False,
            }
        ],
        "addition_links": {
            "build_history": {
                "href": f"/api/v2.0/projects/{name}/repositories/app/artifacts/{digest}/additions/build_history"
            }
        },
        "labels": None,
        "accessories": None,
    } | {key: found[key] for key in ("icon", "extra_attrs") if key in found}
    assert found["size"] > len(layer) * 2
    alone = shown(await client.get(f"/projects/{name}/repositories/app/artifacts/v1?with_tag=true"))
    assert alone == found
    assert shown(await client.get(f"/projects/{name}/repositories/app/artifacts/{digest}")) == found
    (bare,) = shown(await client.get(f"/projects/{name}/repositories/app/artifacts?with_tag=false"))
    assert bare == {**found, "tags": None}


async def test_names_with_slashes_are_one_segment_encoded_once_or_twice(
    world: World, registry: Registry, client: httpx.AsyncClient
) -> None:
    """Both ways, with and without a slash at the end; links are encoded twice."""
    project, name = await world.project()
    digest = await registry.image(project, registry.layer(), path="team/app", tags=["v1"])
    for path in ("team%2Fapp", "team%252Fapp", "team%252fapp"):
        for end in ("", "/"):
            (found,) = shown(await client.get(f"/projects/{name}/repositories/{path}/artifacts{end}"))
            href = found["addition_links"]["build_history"]["href"]
            assert href == (
                f"/api/v2.0/projects/{name}/repositories/team%252Fapp/artifacts/{digest}/additions/build_history"
            )
            repository = shown(await client.get(f"/projects/{name}/repositories/{path}{end}"))
            assert repository["name"] == f"{name}/team/app"
    for path in ("team%2500app", "x" * 300, "..%252F..", "TEAM%2Fapp", "%25ff"):
        answer = await client.get(f"/projects/{name}/repositories/{path}")
        assert answer.status_code == 404, path
        assert shown(await client.get(f"/projects/{name}/repositories/{path}/artifacts")) == []


async def test_missing_things(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """The list of an unknown repository is empty; everything else that is missing is 404 (wire detail 11)."""
    project, name = await world.project()
    await registry.image(project, registry.layer(), tags=["v1"])
    answer = await client.get(f"/projects/{name}/repositories/none/artifacts")
    assert shown(answer) == []
    assert answer.headers["x-total-count"] == "0"
    below = f"/projects/{name}/repositories"
    nothing = "sha256:" + "0" * 64
    for path in (
        f"{below}/none",
        f"{below}/none/artifacts/v1",
        f"{below}/app/artifacts/v2",
        f"{below}/app/artifacts/{nothing}",
        f"{below}/app/artifacts/sha256:abc",
        f"{below}/app/artifacts/-bad-",
        f"{below}/app/artifacts/v2/tags",
        f"{below}/app/artifacts/v2/accessories",
        "/projects/nothing/repositories",
        f"/projects/{project}/repositories",
    ):
        answer = await client.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["errors"][0]["code"] == "NOT_FOUND", path


async def test_an_index_shows_its_children_as_references(
    world: World, registry: Registry, client: httpx.AsyncClient
) -> None:
    """Children that only the index shows are hidden, `base=*` shows them too, and a platform keeps its odd names."""
    project, name = await world.project()
    one, two = await registry.image(project, registry.layer()), await registry.image(project, registry.layer())
    entries: list[dict[str, Any]] = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(one),
            "size": 2,
            "platform": {"architecture": "amd64", "os": "windows", "os.version": "10.0", "os.features": ["win32k"]},
            "annotations": {"a": "b"},
        },
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(two),
            "size": 2,
            "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"},
        },
    ]
    media_type = "application/vnd.oci.image.index.v1+json"
    index = await registry.push(
        project, {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, tags=["latest"]
    )
    (found,) = shown(await client.get(f"/projects/{name}/repositories/app/artifacts"))
    assert found["digest"] == str(index)
    ids = {item["digest"]: item["id"] for item in shown(await client.get(f"/projects/{name}/artifacts?q=base=*"))}
    assert found["references"] == [
        {
            "parent_id": found["id"],
            "child_id": ids[str(one)],
            "child_digest": str(one),
            "platform": {
                "architecture": "amd64",
                "os": "windows",
                "'os.version'": "10.0",
                "'os.features'": ["win32k"],
            },
            "annotations": {"a": "b"},
            "urls": None,
        },
        {
            "parent_id": found["id"],
            "child_id": ids[str(two)],
            "child_digest": str(two),
            "platform": {"architecture": "arm64", "os": "linux", "'os.features'": None, "variant": "v8"},
            "urls": None,
        },
    ]
    assert set(await list_of(client, name, "q=base=*")) == {str(index), str(one), str(two)}
    assert set(ids) == {str(index), str(one), str(two)}


async def test_accessories(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """They are in no list, belong to their subject, and those of an index are passed on to its children when asked."""
    project, name = await world.project()
    child = await registry.image(project, registry.layer())
    index = await registry.index(project, child, tags=["latest"])
    document = {
        **registry.document(layer := registry.layer(), subject=index),
        "artifactType": "application/vnd.dev.cosign.artifact.sig.v1+json",
    }
    await registry.upload(project, layer)
    signature = await registry.push(project, document)
    assert await list_of(client, name, "q=base=*") != []
    assert str(signature) not in await list_of(client, name, "q=base=*")
    (found,) = shown(await client.get(f"/projects/{name}/repositories/app/artifacts?with_accessory=TRUE"))
    (accessory,) = found["accessories"]
    assert accessory == {
        "id": accessory["id"],
        "artifact_id": accessory["id"],
        "subject_artifact_id": found["id"],
        "subject_artifact_digest": str(index),
        "subject_artifact_repo": f"{name}/app",
        "size": accessory["size"],
        "digest": str(signature),
        "type": "signature.cosign",
        "icon": accessory["icon"],
        "creation_time": accessory["creation_time"],
    }
    answer = await client.get(f"/projects/{name}/repositories/app/artifacts/latest/accessories")
    assert shown(answer) == [accessory]
    assert answer.headers["x-total-count"] == "1"
    for query, count in (("type=signature.cosign", 1), ("type=sbom.harbor", 0), (f"digest={signature}", 1)):
        answer = await client.get(f"/projects/{name}/repositories/app/artifacts/latest/accessories?q={query}")
        assert len(shown(answer)) == count, query
    below = f"/projects/{name}/repositories/app/artifacts/{child}"
    assert "inherited_accessories" not in shown(await client.get(below))
    inherited = shown(await client.get(f"{below}?with_inherited_accessory=true&with_accessory=true"))
    assert inherited["inherited_accessories"] == [accessory]
    assert inherited["accessories"] is None
    assert shown(await client.get(f"/projects/{name}/repositories/app/artifacts/{signature}"))["digest"] == str(
        signature
    )


async def test_labels(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """They are shown when asked for, and found when all of them are there."""
    project, name = await world.project()
    one = await registry.image(project, registry.layer(), tags=["one"])
    two = await registry.image(project, registry.layer(), tags=["two"])
    ids = {item["digest"]: item["id"] for item in shown(await client.get(f"/projects/{name}/artifacts"))}
    labels = [await world.labels.create(project, LabelFacts(name=f"label{number}")) for number in range(2)]
    for label in labels:
        await world.labels.add_to_artifact(project, ids[str(one)], label)
    await world.labels.add_to_artifact(project, ids[str(two)], labels[0])
    both = shown(await client.get(f"/projects/{name}/repositories/app/artifacts?with_label=true&sort=id"))
    assert [[label["name"] for label in item["labels"]] for item in both] == [["label0", "label1"], ["label0"]]
    assert both[0]["labels"][0]["scope"] == "p"
    assert await list_of(client, name, f"q=labels=({labels[0]} {labels[1]})") == [str(one)]
    assert set(await list_of(client, name, f"q=labels=({labels[0]})")) == {str(one), str(two)}


async def test_conditions_and_orders(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Every key of `q`, alone and together, in a repository and in its project."""
    project, name = await world.project()
    old = await registry.image(project, registry.layer(300), tags=["v1.0", "Old"])
    bare = await registry.image(project, registry.layer(200))
    chart = {
        **registry.document(layer := registry.layer(100)),
        "config": {
            "mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": str(Digest.of(layer)),
            "size": 100,
        },
        "artifactType": "application/vnd.example.chart",
    }
    await registry.upload(project, layer)
    new = await registry.push(project, chart, tags=["chart"])
    await registry.sql("UPDATE artifacts SET pushed_at = manifest_id * 86400000000 * 365")
    cases = {
        "": [new, bare, old],
        "sort=push_time": [old, bare, new],
        "sort=size": [new, bare, old],
        "sort=-id": [new, bare, old],
        "sort=tags,labels,nothing": [new, bare, old],
        "q=tags=*": [new, old],
        "q=tags=nil": [bare],
        "q=tags=v1.0": [old],
        "q=tags=V1.0": [],
        "q=tags=~1.0": [old],
        "q=tags=~old": [],
        "q=tags=~Ol": [old],
        "q=type=CHART": [new],
        "q=type={CHART IMAGE}": [new, bare, old],
        "q=media_type=application/vnd.cncf.helm.config.v1%2Bjson": [],
        "q=media_type=application/vnd.cncf.helm.config.v1%252Bjson": [new],
        "q=manifest_media_type=~manifest": [new, bare, old],
        "q=artifact_type=application/vnd.example.chart": [new],
        f"q=digest={bare}": [bare],
        f"q=digest={{{bare} {new}}}": [new, bare],
        "q=push_time=[1972-06-01T00:00:00~]": [new],
        "q=push_time=[~1972-06-01T00:00:00]": [bare, old],
        "q=pull_time=[~2020-01-01T00:00:00]": [new, bare, old],
        "q=pull_time=[2020-01-01T00:00:00~]": [],
        f"q=repository_name={name}/app": [new, bare, old],
        "q=repository_name=other/app": [],
        "q=tags=*,type=IMAGE": [old],
        "q=base=*,tags=nil": [bare],
        "q=unknown=1": [new, bare, old],
    }
    for query, expected in cases.items():
        wanted = [str(digest) for digest in expected]
        assert await list_of(client, name, query) == wanted, query
        assert digests(await client.get(f"/projects/{name}/artifacts?{query}")) == wanted, query
    for query in (
        "tags={a b}",
        "tags=(a b)",
        "tags=[a~b]",
        "labels=1",
        "labels={1 2}",
        "labels=(a)",
        "base=x",
        "base=~*",
    ):
        for path in (f"/projects/{name}/repositories/app/artifacts", f"/projects/{name}/artifacts"):
            answer = await client.get(f"{path}?q={query}")
            assert answer.status_code == 400, query
            assert answer.json()["errors"][0]["code"] == "BAD_REQUEST"
        assert (await client.get(f"/projects/{name}/repositories/none/artifacts?q={query}")).status_code == 400


async def test_the_latest_of_each_repository(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """One of each repository, of the type that is named; without exactly one type it is 400."""
    project, name = await world.project()
    for path in ("a", "b"):
        await registry.image(project, registry.layer(), path=path)
    newest = [await registry.image(project, registry.layer(), path=path, tags=["new"]) for path in ("a", "b")]
    await registry.sql("UPDATE artifacts SET pushed_at = manifest_id")
    media_type = "application/vnd.oci.image.config.v1%252Bjson"
    path = f"/projects/{name}/artifacts?latest_in_repository=true"
    answer = await client.get(f"{path}&q=media_type={media_type}")
    assert digests(answer) == [str(digest) for digest in reversed(newest)]
    assert answer.headers["x-total-count"] == "2"
    assert digests(await client.get(f"{path}&q=artifact_type=application/vnd.nothing")) == []
    for query in ("", f"&q=media_type={media_type},artifact_type=x", "&q=media_type=~oci"):
        assert (await client.get(path + query)).status_code == 400, query


async def test_tags_of_an_artifact(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """The newest first; filtered, sorted and paged."""
    project, name = await world.project()
    digest = await registry.image(project, registry.layer(), tags=["a", "b", "c"])
    await registry.image(project, registry.layer(), tags=["other"])
    path = f"/projects/{name}/repositories/app/artifacts/{digest}/tags"
    answer = await client.get(path)
    assert [tag["name"] for tag in shown(answer)] == ["c", "b", "a"]
    assert answer.headers["x-total-count"] == "3"
    first = await client.get(f"{path}?page_size=2&sort=name&with_immutable_status=true")
    assert [tag["name"] for tag in shown(first)] == ["a", "b"]
    assert 'rel="next"' in first.headers["link"]
    assert [tag["name"] for tag in shown(await client.get(f"{path}?q=name=~B"))] == ["b"]


async def test_deleted_repositories_are_in_no_list(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Their artifacts aren't in the project's list either, and its total says so."""
    project, name = await world.project()
    kept = await registry.image(project, registry.layer(), path="kept")
    await registry.image(project, registry.layer(), path="gone")
    from longshore.registry.repository_deletion import RepositoryDeletion  # noqa: PLC0415

    await RepositoryDeletion(world.database, registry.periods).delete(project, "gone", actor="test", reason="test")
    for query in ("", "?q=base=*"):
        answer = await client.get(f"/projects/{name}/artifacts{query}")
        assert digests(answer) == [str(kept)]
        assert answer.headers["x-total-count"] == "1"
    assert (await client.get(f"/projects/{name}/repositories/gone")).status_code == 404
    assert [item["name"] for item in shown(await client.get(f"/projects/{name}/repositories"))] == [f"{name}/kept"]


async def test_repositories(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Every member, the order, and what finds them."""
    project, name = await world.project()
    layer = registry.layer()
    await registry.image(project, layer, path="a/one")
    await registry.image(project, registry.layer(), path="two")
    await registry.image(project, registry.layer(), path="two")
    answer = await client.get(f"/projects/{name}/repositories")
    two, one = shown(answer)
    assert two == {
        "id": two["id"],
        "project_id": project,
        "name": f"{name}/two",
        "artifact_count": 2,
        "pull_count": 0,
        "creation_time": two["creation_time"],
        "update_time": two["update_time"],
    }
    assert one["name"] == f"{name}/a/one"
    assert answer.headers["x-total-count"] == "2"
    cases = {
        "sort=name": [one, two],
        "sort=-artifact_count": [two, one],
        "sort=update_time": [one, two],
        f"q=name={name}/two": [two],
        "q=name=two": [],
        f"q=name=~{name}": [two, one],
        "q=name=~ONE": [one],
        f"q=name={{{name}/two x}}": [two],
        "q=artifact_count=[2~]": [two],
        "q=artifact_count=1": [one],
        "q=pull_count=0": [two, one],
        f"q=blob_digest={Digest.of(layer)}": [one],
        f"q=blob_digest={Digest.of(b'nothing')}": [],
        f"q=project_id={project}": [two, one],
    }
    for query, expected in cases.items():
        for path in (f"/projects/{name}/repositories", "/repositories"):
            answer = await client.get(f"{path}?{query}")
            assert shown(answer) == expected, (path, query)
            assert answer.headers["x-total-count"] == str(len(expected))
    asked = await client.get(f"/repositories?q=blob_digest={Digest.of(layer)}&page_size=1&page_number=1")
    assert shown(asked) == [one]
    assert (await client.get("/repositories?q=blob_digest=~a")).status_code == 400


async def test_everybody_sees_the_repositories_of_public_projects(
    world: World, registry: Registry, client: httpx.AsyncClient
) -> None:
    """And of their own; counts tell nothing about the others."""
    public, public_name = await world.project(public=True)
    team = await world.team()
    for project in (public, team.id):
        await registry.image(project, registry.layer())
    anonymous, outsider = await world.client(None), await world.client(await world.user())
    member = await world.client(next(iter(team.members.values())))
    robot = await world.client(team.robot)
    for asking, expected in (
        (anonymous, {public_name}),
        (outsider, {public_name}),
        (member, {public_name, team.name}),
        (robot, {public_name, team.name}),
        (client, {public_name, team.name}),
    ):
        answer = await asking.get("/repositories")
        assert {item["name"] for item in shown(answer)} - {f"{name}/app" for name in expected} == set()
        assert answer.headers["x-total-count"] == str(len(shown(answer)))
    assert (await anonymous.get(f"/projects/{public_name}/artifacts")).status_code == 401
    assert len(shown(await anonymous.get(f"/projects/{public_name}/repositories/app/artifacts"))) == 1


async def test_what_stands_in_a_config_is_shown_as_it_was_stored(
    world: World, registry: Registry, client: httpx.AsyncClient
) -> None:
    """The stored object goes out as it is, and an empty one is left out."""
    project, name = await world.project()
    await registry.image(project, registry.layer())
    await registry.sql("UPDATE artifacts SET extra_attributes = :stored", stored='{"os":"linux","config":{"Cmd":null}}')
    (found,) = shown(await client.get(f"/projects/{name}/artifacts"))
    assert found["extra_attrs"] == json.loads('{"os":"linux","config":{"Cmd":null}}')
    await registry.sql("UPDATE artifacts SET extra_attributes = '{}'")
    (found,) = shown(await client.get(f"/projects/{name}/artifacts"))
    assert "extra_attrs" not in found
