# SPDX-License-Identifier: Apache-2.0
"""What the API changes of repositories and artifacts, and what of them isn't a list (wire details 12, 25, 31, 32)."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import httpx

from longshore.labels.models import LabelFacts
from longshore.oci.digest import Digest
from tests.builders import World as Registry
from tests.integration.api.artifacts import list_of, shown

if TYPE_CHECKING:
    from tests.integration.api.conftest import World

NEVER = "0001-01-01T00:00:00.000Z"


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


async def test_making_tags(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """201 without a place to look at; a name that the repository has is 409, on whichever artifact."""
    project, name = await world.project()
    digest = await registry.image(project, registry.layer(), tags=["v1"])
    await registry.image(project, registry.layer(), tags=["taken"])
    below = f"/projects/{name}/repositories/app/artifacts"
    body = {"name": "v2", "id": 0, "immutable": False, "push_time": "0001-01-01T00:00:00.000Z"}
    answer = await client.post(f"{below}/v1/tags", json=body)
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (201, b"", None)
    assert "location" not in answer.headers
    assert await list_of(client, name, "q=tags=v2") == [str(digest)]
    cases: list[tuple[str, Any, int]] = [
        ("v1", {"name": "v2"}, 409),
        ("v1", {"name": "taken"}, 409),
        ("none", {"name": "v3"}, 404),
        ("v1", {"name": "-bad"}, 400),
        ("v1", {"name": "x" * 129}, 400),
        ("v1", {"name": ""}, 400),
        ("v1", {"name": 1}, 422),
        ("v1", {}, 422),
    ]
    for reference, document, status in cases:
        answer = await client.post(f"{below}/{reference}/tags", json=document)
        assert answer.status_code == status, (reference, document, answer.text)
    assert (await client.post(f"{below}/v1/tags")).status_code == 422


async def test_copying(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """All tags come along, and the answer tells where by the reference that was given."""
    source, source_name = await world.project()
    _, name = await world.project()
    child = await registry.image(source, registry.layer(), path="team/app")
    digest = await registry.index(source, child, path="team/app", tags=["v1", "latest"])
    await registry.image(source, registry.layer(), path="team/app", subject=digest)
    for repository, path in (("one", "one"), ("deep%252Ftwo", "deep%252Ftwo"), ("deep%2Fthree", "deep%252Fthree")):
        for reference in (":v1", f"@{digest}"):
            target = f"/projects/{name}/repositories/{repository}/artifacts"
            answer = await client.post(f"{target}?from={source_name}/team/app{reference}")
            assert (answer.status_code, answer.content) == (201, b""), answer.text
            place = f"/api/v2.0/projects/{name}/repositories/{path}/artifacts/{reference[1:]}"
            assert answer.headers["location"] == place
            found = shown(await client.get(place.removeprefix("/api/v2.0") + "?with_accessory=true"))
            assert {tag["name"] for tag in found["tags"]} == {"v1", "latest"}
            assert len(found["references"]) == len(found["accessories"]) == 1
    target = f"/projects/{name}/repositories/one/artifacts"
    for query, status in (
        ("", 422),
        ("?from=", 422),
        (f"?from={source_name}/team/app", 400),
        ("?from=app:v1", 400),
        (f"?from={source_name}/team/app@sha256:1", 400),
        (f"?from={source_name}/team/app:v2", 404),
        (f"?from={source_name}/none:v1", 404),
        ("?from=nothing/app:v1", 404),
    ):
        answer = await client.post(target + query)
        assert answer.status_code == status, (query, answer.text)
    bad = await client.post(f"/projects/{name}/repositories/UPPER/artifacts?from={source_name}/team/app:v1")
    assert bad.status_code == 400


async def test_copying_asks_for_rights_on_both_sides(world: World, registry: Registry) -> None:
    """Who may push here may only copy what he can read there; what he can't see looks as if it weren't there."""
    source, source_name = await world.project("hidden")
    await registry.image(source, registry.layer(), tags=["v1"])
    team = await world.team()
    client = await world.client(team.robot)
    target = f"/projects/{team.name}/repositories/app/artifacts"
    hidden = await client.post(f"{target}?from={source_name}/app:v1")
    missing = await client.post(f"{target}?from=nowhere/app:v1")
    assert hidden.status_code == missing.status_code == 403
    texts = [answer.json()["errors"][0]["message"] for answer in (hidden, missing)]
    assert texts[0].replace("hidden", "nowhere") == texts[1]


async def test_describing_a_repository(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """The text is shown as it was written; members that can't be changed are ignored."""
    project, name = await world.project()
    await registry.image(project, registry.layer())
    below = f"/projects/{name}/repositories/app"
    text = "# App\n\n<b>bold</b> & more"
    answer = await client.put(below, json={"description": text, "name": "other/name", "artifact_count": 7, "id": 0})
    assert (answer.status_code, answer.content) == (200, b"")
    found = shown(await client.get(below))
    assert (found["description"], found["name"], found["artifact_count"]) == (text, f"{name}/app", 1)
    assert (await client.put(below, json={"description": None})).status_code == 200
    assert "description" not in shown(await client.get(below))
    for path, body, status in (
        (below, {"description": "x" * 70_000}, 400),
        (below, {"description": 1}, 422),
        (f"/projects/{name}/repositories/none", {"description": "x"}, 404),
    ):
        assert (await client.put(path, json=body)).status_code == status, body


async def test_icons(world: World, registry: Registry, client: httpx.AsyncClient) -> None:
    """Everybody may see the icon that an artifact shows."""
    project, name = await world.project()
    await registry.image(project, registry.layer())
    (found,) = shown(await client.get(f"/projects/{name}/artifacts"))
    anonymous = await world.client(None)
    icon = shown(await anonymous.get(f"/icons/{found['icon']}"))
    assert set(icon) == {"content-type", "content"}
    assert icon["content-type"] == "image/png"
    assert base64.b64decode(icon["content"]).startswith(b"\x89PNG")
    assert (await anonymous.get(f"/icons/{Digest.of(b'')}")).status_code == 404
    assert (await anonymous.get("/icons/nothing")).status_code == 400
