# SPDX-License-Identifier: Apache-2.0
"""People with a role and robots with permissions, as they work with real clients."""

from __future__ import annotations

import secrets
from pathlib import Path

import httpx
import pytest

from tests.acceptance.clients import Crane, Podman
from tests.acceptance.engines import Docker
from tests.acceptance.images import make_image
from tests.acceptance.server import Login, Registry

DEVELOPER, GUEST, LIMITED_GUEST = 2, 3, 5
PULL = {"resource": "repository", "action": "pull"}
PUSH = {"resource": "repository", "action": "push"}


def make_person(server: Registry, project: str, role: int) -> Login:
    """Makes a user and gives them a role in the project."""
    name = f"person-{secrets.token_hex(4)}"
    login = Login(username=name, password=f"Pass-{secrets.token_hex(6)}")
    person = {
        "username": name,
        "email": f"{name}@example.com",
        "realname": name,
        "password": login.password,
        "comment": "",
    }
    member = {"role_id": role, "member_user": {"username": name}}
    with server.client(server.admin) as client:
        for path, body in (("users", person), (f"projects/{project}/members", member)):
            answer = client.post(f"/api/v2.0/{path}", json=body)
            assert answer.status_code == httpx.codes.CREATED, f"POST {path}: {answer.status_code} {answer.text}"
    return login


def make_robot(server: Registry, project: str, *access: dict[str, str]) -> Login:
    """Makes a robot of the project; its name has a dollar sign and a plus sign in it."""
    body = {
        "name": f"robot-{secrets.token_hex(4)}",
        "level": "project",
        "duration": -1,
        "permissions": [{"kind": "project", "namespace": project, "access": list(access)}],
    }
    with server.client(server.admin) as client:
        answer = client.post("/api/v2.0/robots", json=body)
    assert answer.status_code == httpx.codes.CREATED, f"POST robots: {answer.status_code} {answer.text}"
    made = answer.json()
    assert made["name"].startswith(f"robot${project}+")
    return Login(username=made["name"], password=made["secret"])


@pytest.mark.parametrize(
    ("role", "writes"),
    [(DEVELOPER, True), (GUEST, False), (LIMITED_GUEST, False)],
    ids=["developer", "guest", "limited"],
)
def test_a_member_does_what_the_role_allows(
    crane: Crane, server: Registry, private: str, tmp_path: Path, role: int, writes: bool
) -> None:
    """Every member pulls; a developer also pushes; none of them reaches another private project."""
    image = make_image(tmp_path / "image", 2_000)
    elsewhere = server.make_project(public=False)
    crane.login(server.admin)
    for project in (private, elsewhere):
        crane.run("push", str(image.folder), f"{crane.repository(project)}:v1")
    crane.login(make_person(server, private, role))
    crane.run("validate", "--remote", f"{crane.repository(private)}:v1")
    push = ["push", str(make_image(tmp_path / "other", 2_000).folder), f"{crane.repository(private)}:v2"]
    if writes:
        crane.run(*push)
    else:
        crane.refused(*push)
        crane.refused("delete", f"{crane.repository(private)}:v1")
    crane.refused("manifest", f"{crane.repository(elsewhere)}:v1")
    listed = crane.run("catalog", server.host).split()
    assert f"{private}/image" in listed
    assert f"{elsewhere}/image" not in listed


def test_a_layer_of_another_project_isnt_mounted_for_who_may_not_read_it(
    crane: Crane, server: Registry, private: str, tmp_path: Path
) -> None:
    """Naming a repository to mount from gives nothing to a person who may not pull there."""
    hidden = server.make_project(public=False)
    image = make_image(tmp_path / "image", 2_000)
    crane.login(server.admin)
    crane.run("push", str(image.folder), f"{crane.repository(hidden)}:v1")
    person = make_person(server, private, DEVELOPER)
    with server.client(person) as client:
        for source in (f"&from={hidden}/image", ""):
            mount = client.post(f"/v2/{private}/image/blobs/uploads/?mount={image.layers[0].digest}{source}")
            assert mount.status_code == httpx.codes.ACCEPTED
        head = client.head(f"/v2/{private}/image/blobs/{image.layers[0].digest}")
    assert head.status_code == httpx.codes.NOT_FOUND


def test_a_robot_pulls_and_pushes_with_docker(docker: Docker, server: Registry, private: str, tmp_path: Path) -> None:
    """A robot logs in with its name and secret, pushes and pulls."""
    docker.login(make_robot(server, private, PULL, PUSH))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    reference = f"{docker.repository(private)}:v1"
    docker.run("build", "--quiet", "--tag", reference, str(tmp_path))
    docker.run("push", reference)
    docker.run("image", "rm", "--force", reference)
    docker.run("pull", reference)
    docker.run("tag", reference, f"{docker.repository('library')}:v1")
    docker.refused("push", f"{docker.repository('library')}:v1")


def test_a_robot_that_may_only_pull(
    podman: Podman, crane: Crane, server: Registry, private: str, tmp_path: Path
) -> None:
    """A robot with the permission to pull pulls with podman, and can't push."""
    reference = f"{podman.repository(private)}:v1"
    crane.login(server.admin)
    crane.run("push", str(make_image(tmp_path / "image", 2_000).folder), reference)
    podman.login(make_robot(server, private, PULL))
    podman.run("pull", reference)
    podman.run("tag", reference, f"{podman.repository(private)}:v2")
    podman.refused("push", f"{podman.repository(private)}:v2")
