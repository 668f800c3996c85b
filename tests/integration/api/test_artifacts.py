# SPDX-License-Identifier: Apache-2.0
"""Repositories and artifacts as the API shows them, member by member (wire details 2, 7, 9 to 12, 25, 40)."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from longshore.labels.models import LabelFacts
from longshore.oci.digest import Digest
from tests.builders import World as Registry
from tests.integrity import assert_integrity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from longshore.storage.port import OpenedStore
    from tests.integration.api.conftest import Account, World

NEVER = "0001-01-01T00:00:00.000Z"


@pytest.fixture
async def registry(world: World, store: OpenedStore) -> AsyncIterator[Registry]:
    """Pushes into the projects of the world; every test that has it ends with the integrity assertion."""
    yield Registry(world.database, store)
    await assert_integrity(world.database, store)


@pytest.fixture
async def client(world: World, admin: Account) -> httpx.AsyncClient:
    return await world.client(admin)


def shown(answer: httpx.Response) -> Any:
    """The document of a good answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.json()


def digests(answer: httpx.Response) -> list[str]:
    """The digests of a list of artifacts, whose total fits."""
    found = [item["digest"] for item in shown(answer)]
    assert int(answer.headers["x-total-count"]) >= len(found)
    return found


async def list_of(client: httpx.AsyncClient, name: str, query: str = "", path: str = "app") -> list[str]:
    """The digests that the list of a repository shows."""
    answer = await client.get(f"/projects/{name}/repositories/{path}/artifacts?{query}")
    found = digests(answer)
    assert answer.headers["x-total-count"] == str(len(found))
    return found


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


async def test_deleting(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Tags, artifacts and repositories go with an empty answer; what an index holds doesn't."""
    project, name = await world.project()
    child = await registry.image(project, registry.layer())
    index = await registry.index(project, child, tags=["latest", "v1"])
    other = await registry.image(project, registry.layer(), tags=["other"])
    below = f"/projects/{name}/repositories/app"
    for path in (f"{below}/artifacts/v1/tags/other", f"{below}/artifacts/v1/tags/-bad-", f"{below}/artifacts/none"):
        assert (await client.delete(path)).status_code == 404, path
    held = await client.delete(f"{below}/artifacts/{child}")
    assert held.status_code == 412
    assert str(index) in held.json()["errors"][0]["message"]
    before = shown(await client.get(below))["update_time"]
    for path in (f"{below}/artifacts/{index}/tags/latest", f"{below}/artifacts/v1"):
        answer = await client.delete(path)
        assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (200, b"", None), path
    assert shown(await client.get(below))["update_time"] > before
    # The children that no other index has went with it.
    assert await list_of(client, name, "q=base=*") == [str(other)]
    answer = await client.delete(below)
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (200, b"", None)
    assert (await client.delete(below)).status_code == 404
    assert await list_of(client, name) == []


async def test_adding_labels(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Once each: a second time is 409; what isn't there can't be taken off."""
    project, name = await world.project()
    await registry.image(project, registry.layer(), tags=["v1"])
    label = await world.labels.create(project, LabelFacts(name="good"))
    other, _ = await world.project()
    foreign = await world.labels.create(other, LabelFacts(name="foreign"))
    below = f"/projects/{name}/repositories/app/artifacts/v1/labels"
    body = {"id": label, "name": "ignored", "creation_time": "0001-01-01T00:00:00.000Z"}
    answer = await client.post(below, json=body)
    assert (answer.status_code, answer.content, answer.headers.get("location")) == (200, b"", None)
    (shown_one,) = shown(await client.get(f"/projects/{name}/artifacts?with_label=1"))
    assert [item["name"] for item in shown_one["labels"]] == ["good"]
    cases: list[tuple[str, str, Any, int]] = [
        ("POST", below, body, 409),
        ("POST", below, {"id": foreign}, 404),
        ("POST", below, {"id": 10**12}, 404),
        ("POST", below, {"id": "1"}, 422),
        ("POST", below, {}, 422),
        ("POST", below.replace("v1", "v2"), body, 404),
        ("DELETE", f"{below}/{foreign}", None, 404),
        ("DELETE", f"{below}/x", None, 422),
        ("DELETE", f"{below}/{label}", None, 200),
        ("DELETE", f"{below}/{label}", None, 404),
    ]
    for method, path, document, status in cases:
        answer = await client.request(method, path, json=document)
        assert answer.status_code == status, (method, path, document, answer.text)


async def test_nothing_scans_yet(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """The reports of an artifact that wasn't scanned are an empty object; triggers aren't served (wire detail 32)."""
    project, name = await world.project()
    await registry.image(project, registry.layer(), tags=["v1"])
    below = f"/projects/{name}/repositories/app/artifacts"
    headers = {"X-Accept-Vulnerabilities": "application/vnd.security.vulnerability.report; version=1.1"}
    assert shown(await client.get(f"{below}/v1/additions/vulnerabilities", headers=headers)) == {}
    assert (await client.get(f"{below}/v2/additions/vulnerabilities")).status_code == 404
    assert (await client.post(f"{below}/v1/scan")).status_code == 501
    switches = "with_scan_overview=true&with_sbom_overview=true&with_signature=true"
    (found,) = shown(await client.get(f"{below}?{switches}", headers=headers))
    assert not {"scan_overview", "sbom_overview"} & set(found)


async def _chart(registry: Registry, project: int) -> Digest:
    """A chart, as Helm pushes it, with what its package holds."""
    config = json.dumps({"name": "app", "version": "1.0.0", "dependencies": [{"name": "db", "version": "2"}]}).encode()
    files = {
        "app/values.yaml": b"replicas: 1\n",
        "app/README.md": b"# App\n",
        "app/charts/db/values.yaml": b"not this\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    for payload in (config, packed.getvalue()):
        await registry.upload(project, payload)
    return await registry.push(
        project,
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.cncf.helm.config.v1+json", config),
            "layers": [descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", packed.getvalue())],
        },
        tags=["1.0.0"],
    )


def descriptor(media_type: str, payload: bytes) -> dict[str, Any]:
    """What a manifest says of a blob."""
    return {"mediaType": media_type, "digest": str(Digest.of(payload)), "size": len(payload)}


async def test_additions(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Each with its own type; one that the type of artifact hasn't is 400, one that nothing has 422 (wire detail 31)."""
    project, name = await world.project()
    await _chart(registry, project)
    await registry.image(project, registry.layer(), tags=["image"])
    below = f"/projects/{name}/repositories/app/artifacts"
    (found,) = shown(await client.get(f"{below}?q=type=CHART"))
    links = found["addition_links"]
    assert set(links) == {"values.yaml", "readme.md", "dependencies"}
    for addition, content_type, content in (
        ("values.yaml", "text/plain; charset=utf-8", b"replicas: 1\n"),
        ("readme.md", "text/markdown; charset=utf-8", b"# App\n"),
        (
            "dependencies",
            "application/json; charset=utf-8",
            b'[{"name":"db","version":"2","repository":""}]',
        ),
    ):
        assert set(links[addition]) == {"href"}
        answer = await client.get(links[addition]["href"].removeprefix("/api/v2.0"))
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, content_type, content)
    history = await client.get(f"{below}/image/additions/build_history")
    assert shown(history) == []
    for path, status in (
        ("1.0.0/additions/build_history", 400),
        ("image/additions/values.yaml", 400),
        ("1.0.0/additions/nothing", 422),
        ("1.0.0/additions/Values.yaml", 422),
        ("none/additions/readme.md", 404),
        (f"{Digest.of(b'')}/additions/readme.md", 404),
    ):
        assert (await client.get(f"{below}/{path}")).status_code == status, path
