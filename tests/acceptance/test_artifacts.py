# SPDX-License-Identifier: Apache-2.0
"""What real clients push is shown with its type, its facts, what it can be asked for, and what belongs to it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.acceptance.clients import Buildah, Cosign, Cosign2, Crane, Helm, Oras
from tests.acceptance.engines import Docker
from tests.acceptance.images import make_image, make_index
from tests.acceptance.server import Registry
from tests.acceptance.test_helm import push_chart


def shown(server: Registry, project: str, repository: str, query: str = "") -> list[dict[str, Any]]:
    """The artifacts that the list of a repository shows."""
    name = repository.replace("/", "%252F")
    with server.client(server.admin) as client:
        answer = client.get(f"/api/v2.0/projects/{project}/repositories/{name}/artifacts?with_accessory=true&{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-total-count"] == str(len(answer.json()))
    found: list[dict[str, Any]] = answer.json()
    return found


def addition(server: Registry, artifact: dict[str, Any], name: str) -> bytes:
    """What the link of an addition leads to."""
    with server.client(server.admin) as client:
        answer = client.get(artifact["addition_links"][name]["href"])
    assert answer.status_code == 200, answer.text
    return answer.content


def test_an_image_of_docker(docker: Docker, server: Registry, private: str, tmp_path: Path) -> None:
    """Platform, command and history of a build."""
    docker.login(server.admin)
    (tmp_path / "Dockerfile").write_text('FROM scratch\nLABEL maintainer="Ada"\nCOPY Dockerfile /\nCMD ["/x"]\n')
    name = f"{docker.repository(private)}:v1"
    docker.run("build", "--tag", name, str(tmp_path))
    docker.run("push", name)
    (image,) = shown(server, private, "image")
    assert image["type"] == "IMAGE"
    assert image["extra_attrs"]["os"] == "linux"
    assert image["extra_attrs"]["config"]["Cmd"] == ["/x"]
    assert image["extra_attrs"]["author"] == "Ada"
    assert [tag["name"] for tag in image["tags"]] == ["v1"]
    assert any("COPY" in step.get("created_by", "") for step in json.loads(addition(server, image, "build_history")))


def test_an_image_of_buildah(buildah: Buildah, server: Registry, private: str) -> None:
    """Pushed as an OCI image."""
    buildah.login(server.admin)
    container = buildah.run("from", "scratch").strip()
    buildah.run("config", "--author", "Ada", "--entrypoint", '["/x"]', container)
    buildah.run("commit", container, "shown")
    buildah.run("push", "shown", f"docker://{buildah.repository(private)}:v1")
    (image,) = shown(server, private, "image")
    assert (image["type"], image["extra_attrs"]["author"]) == ("IMAGE", "Ada")
    assert image["media_type"] == "application/vnd.oci.image.config.v1+json"


def test_an_index_of_crane(crane: Crane, server: Registry, private: str, tmp_path: Path) -> None:
    """One artifact whose platforms are its references, and each of them on demand."""
    crane.login(server.admin)
    index = make_index(tmp_path / "index")
    crane.run("push", str(index.folder), f"{crane.repository(private)}:v1")
    (shown_index,) = shown(server, private, "image")
    assert shown_index["digest"] == index.digest
    assert {reference["platform"]["os"] for reference in shown_index["references"]} == {"linux"}
    children = shown(server, private, "image", "q=base%3D*")
    assert {child["digest"] for child in children} == {
        index.digest,
        *(reference["child_digest"] for reference in shown_index["references"]),
    }


def test_a_chart_of_helm(helm: Helm, server: Registry, private: str, tmp_path: Path) -> None:
    """The fields of Chart.yaml, and the chart's files."""
    helm.login(server.admin)
    push_chart(helm, private, tmp_path, "boat", "1.2.3")
    (chart,) = shown(server, private, "charts/boat")
    assert chart["type"] == "CHART"
    assert (chart["extra_attrs"]["name"], chart["extra_attrs"]["version"]) == ("boat", "1.2.3")
    assert addition(server, chart, "values.yaml").startswith(b"greeting: ")
    assert json.loads(addition(server, chart, "dependencies")) == []


def test_artifacts_of_oras(oras: Oras, server: Registry, private: str, tmp_path: Path) -> None:
    """Anything has a type of its own or none; what has a subject belongs to it and is in no list."""
    oras.login(server.admin)
    (tmp_path / "rocket.txt").write_text("fuel")
    (tmp_path / "config.json").write_text('{"stages": 2}')
    name = f"{oras.repository(private)}:v1"
    config = "config.json:application/vnd.acme.rocket.config.v1+json"
    oras.run("push", "--plain-http", "--config", config, name, "rocket.txt", folder=tmp_path)
    oras.run("attach", "--plain-http", "--artifact-type", "text/x-note", name, "rocket.txt", folder=tmp_path)
    (rocket,) = shown(server, private, "image")
    assert (rocket["type"], rocket["extra_attrs"]) == ("ROCKET", {"stages": 2})
    assert [accessory["type"] for accessory in rocket["accessories"]] == ["subject.accessory"]


def test_a_signature_of_cosign(cosign: Cosign, crane: Crane, server: Registry, private: str, tmp_path: Path) -> None:
    """By the tag scheme of version 2 and by the subject of version 3; it is deleted with its image."""
    cosign.login(server.admin)
    crane.login(server.admin)
    image = make_image(tmp_path / "image", 5_000)
    crane.run("push", str(image.folder), f"{crane.repository(private)}:v1")
    cosign.sign(f"{crane.repository(private)}@{image.digest}")
    (signed,) = shown(server, private, "image")
    assert signed["digest"] == image.digest
    assert [accessory["type"] for accessory in signed["accessories"]] == ["signature.cosign"]
    if isinstance(cosign, Cosign2):
        # Another list asks the database in another way: the tag of a signature is no artifact's of the list either.
        assert shown(server, private, "image", "q=tags%3D~sha256-") == []
    with server.client(server.admin) as client:
        client.delete(f"/api/v2.0/projects/{private}/repositories/image/artifacts/v1").raise_for_status()
    deadline = time.monotonic() + 10
    while (left := shown(server, private, "image", "q=base%3D*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
