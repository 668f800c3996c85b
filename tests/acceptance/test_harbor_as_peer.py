# SPDX-License-Identifier: Apache-2.0
"""What a real Harbor asks of another registry of its kind when it replicates from it, replayed call by call as raw HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.acceptance.clients import Crane
from tests.acceptance.images import make_image
from tests.acceptance.server import Registry

KNOWN_ACCESSORIES = {
    "base",
    "signature.cosign",
    "signature.notation",
    "accelerator.nydus",
    "sbom.harbor",
    "subject.accessory",
}
"""An accessory of any other type makes the peer's whole listing fail."""


@pytest.fixture
def repository(server: Registry, crane: Crane, private: str, tmp_path: Path) -> str:
    """A repository `PROJECT/deep/app` with five artifacts."""
    crane.login(server.admin)
    name = f"{private}/deep/app"
    for tag in ("v1", "v2", "v3", "v4", "v5"):
        crane.run("push", str(make_image(tmp_path / tag, 2_000).folder), f"{server.host}/{name}:{tag}")
    return name


def followed(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Everything that a list has, by `Link`, which the peer splits at commas and then at semicolons."""
    found: list[dict[str, Any]] = []
    while path:
        answer = client.get(path)
        assert answer.status_code == httpx.codes.OK, f"{path}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        found += answer.json()
        path = ""
        for link in answer.headers.get("link", "").split(","):
            target, _, relation = link.strip().partition(";")
            if relation.strip() == 'rel="next"':
                assert target.startswith("</api/v2.0/")
                path = target.strip("<>")
    return found


def test_version(server: Registry) -> None:
    """The peer asks which version the API has before it logs in; without an answer it would speak another protocol."""
    with server.client() as client:
        answer = client.get("/api/version")
    assert (answer.status_code, answer.json()) == (200, {"version": "v2.0"})


def test_labels(server: Registry) -> None:
    """It asks for all labels of the registry, to offer them as filters."""
    with server.client(server.admin) as client:
        made = client.post("/api/v2.0/labels", json={"name": f"peer-{server.make_project(public=False)}", "scope": "g"})
        assert made.status_code == httpx.codes.CREATED
        labels = followed(client, "/api/v2.0/labels?scope=g&page=1&page_size=1")
        assert all(label["scope"] == "g" and label["name"] and "project_id" not in label for label in labels)
        assert client.get("/api/v2.0/labels?scope=g").headers["x-total-count"] == str(len(labels))


def test_projects_by_names(server: Registry) -> None:
    """It asks for projects by a list of quoted names, without their details."""
    names = sorted(server.make_project(public=False) for _ in range(3))
    wanted = quote("name={" + " ".join(f"'{name}'" for name in names) + "}", safe="")
    with server.client(server.admin) as client:
        projects = followed(client, f"/api/v2.0/projects?q={wanted}&with_detail=false&page_size=2&page=1")
    assert [project["name"] for project in projects] == names
    assert all("metadata" not in project and project["project_id"] > 0 for project in projects)


def test_artifacts_by_links(server: Registry, repository: str) -> None:
    """It lists a repository's artifacts with tags, labels and accessories; a filter with commas survives in the links."""
    project, _, rest = repository.partition("/")
    base = f"/api/v2.0/projects/{project}/repositories/{quote(quote(rest, safe=''), safe='')}/artifacts"
    query = "with_tag=true&with_label=true&with_accessory=true&page_size=2&page=1"
    with server.client(server.admin) as client:
        artifacts = followed(client, f"{base}?{query}")
        assert [artifact["tags"][0]["name"] for artifact in artifacts] == ["v5", "v4", "v3", "v2", "v1"]
        for artifact in artifacts:
            assert (artifact["type"], artifact["labels"]) == ("IMAGE", None)
            assert {accessory["type"] for accessory in artifact.get("accessories") or ()} <= KNOWN_ACCESSORIES
        filtered = followed(client, f"{base}?{query}&q={quote('tags=~v,type=IMAGE', safe='')}")
        assert [artifact["digest"] for artifact in filtered] == [artifact["digest"] for artifact in artifacts]


def test_repository_of_a_blob(server: Registry, repository: str) -> None:
    """It asks where a blob already is, so that it can mount it; with `page_number`, which isn't a parameter of the contract."""
    manifest = server.manifest(repository, "v1").json()
    for digest in (manifest["config"]["digest"], manifest["layers"][0]["digest"]):
        wanted = quote(f"blob_digest={digest}", safe="")
        with server.client(server.admin) as client:
            answer = client.get(f"/api/v2.0/repositories?q={wanted}&page_size=1&page_number=1")
        assert answer.status_code == httpx.codes.OK
        assert [found["name"] for found in answer.json()] == [repository]
    nowhere = quote(f"blob_digest=sha256:{'0' * 64}", safe="")
    with server.client(server.admin) as client:
        assert client.get(f"/api/v2.0/repositories?q={nowhere}&page_size=1&page_number=1").json() == []


def test_as_target(server: Registry, repository: str) -> None:
    """As a target it is asked to make the project when it isn't there, and to delete tags and artifacts."""
    project, _, rest = repository.partition("/")
    path = f"/api/v2.0/projects/{project}/repositories/{quote(quote(rest, safe=''), safe='')}/artifacts"
    with server.client(server.admin) as client:
        body = {"project_name": project, "metadata": {"public": "false"}, "registry_id": None}
        assert client.post("/api/v2.0/projects", json=body).status_code == httpx.codes.CONFLICT
        assert client.head(f"/v2/{repository}/manifests/v2").status_code == httpx.codes.OK
        assert client.delete(f"{path}/v1/tags/v1").status_code == httpx.codes.OK
        assert client.delete(f"{path}/v2").status_code == httpx.codes.OK
        left = followed(client, f"{path}?with_tag=true")
    assert [[tag["name"] for tag in artifact["tags"] or ()] for artifact in left] == [["v5"], ["v4"], ["v3"], []]
