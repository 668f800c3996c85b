# SPDX-License-Identifier: Apache-2.0
"""Two API servers and two workers on one PostgreSQL and one store are one registry."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import pytest

from longshore.system.connections import Share
from tests.acceptance.kinds import Kind
from tests.acceptance.replicas import ADMIN, Replicas, common_settings, run_replicas
from tests.acceptance.server import Login, longshore
from tests.acceptance.test_people_and_robots import DEVELOPER, PULL, PUSH, make_person, make_robot

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SECONDS = 8.0
"""Within which what one replica is told must have reached the other: twice and more what one remembers."""


@contextmanager
def _running(request: pytest.FixtureRequest, kind: Kind, folder: Path) -> Iterator[Replicas]:
    """Two API servers of two processes each, and two workers that give space back at once."""
    settings = {
        "LONGSHORE_WORKERS": "2",
        "LONGSHORE_TRASH_DAYS": "0",
        "LONGSHORE_RECLAIM_DELAY": "0s",
        "LONGSHORE_UPLOAD_GRACE": "15s",
    }
    with run_replicas(folder, common_settings(request, kind, folder) | settings, workers=2) as running:
        yield running


@pytest.fixture(scope="module", params=[Kind.POSTGRESQL, Kind.OBJECTS], ids=lambda kind: kind.value)
def replicas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """The servers that most of these tests share, on a folder and on an object store."""
    with _running(request, request.param, tmp_path_factory.mktemp("replicas")) as running:
        yield running


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _push_image(client: httpx.Client, repository: str, tag: str, layer: bytes) -> str:
    config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
    for content in (config, layer):
        answer = client.post(f"/v2/{repository}/blobs/uploads/?digest={_digest(content)}", content=content)
        assert answer.status_code == 201, answer.text
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }
    headers = {"content-type": MANIFEST}
    answer = client.put(f"/v2/{repository}/manifests/{tag}", content=json.dumps(document), headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["docker-content-digest"]


def _descriptor(kind: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _soon(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not so after {seconds} s"
        time.sleep(0.1)


def test_an_upload_hops_at_every_request(replicas: Replicas) -> None:
    """An upload that one server began goes on at any other, whichever gets the next request."""
    content = os.urandom(3_000_000)
    pieces = [content[:1_000_000], content[1_000_000:1_000_001], content[1_000_001:]]
    with replicas.client(0) as a, replicas.client(1) as b:
        place = a.post("/v2/library/hops/blobs/uploads/").headers["location"]
        sent = 0
        for number, piece in enumerate(pieces):
            here, there = (b, a) if number % 2 == 0 else (a, b)
            answer = here.patch(place, content=piece, headers={"content-range": f"{sent}-{sent + len(piece) - 1}"})
            assert answer.status_code == 202, answer.text
            sent += len(piece)
            place = answer.headers["location"]
            for client in (there, here):
                assert client.get(place).headers["range"] == f"0-{sent - 1}"
        mark = "&" if "?" in place else "?"
        assert b.put(f"{place}{mark}digest={_digest(content)}").status_code == 201
        for client in (a, b):
            assert client.get(f"/v2/library/hops/blobs/{_digest(content)}").content == content
            assert client.get(place).status_code == 404


def test_tags_and_projects_of_one_are_there_at_the_other(replicas: Replicas) -> None:
    """Who was told by one server that something is there finds it at the next request, wherever that goes."""
    for number in range(10):
        here, there = number % 2, 1 - number % 2
        name = replicas.api[here].registry.make_project(public=False)
        with replicas.client(there) as client:
            digest = _push_image(client, f"{name}/image", "v1", os.urandom(100))
        with replicas.client(here) as client:
            assert client.get(f"/v2/{name}/image/manifests/v1").headers["docker-content-digest"] == digest
            assert client.get(f"/v2/{name}/image/tags/list").json()["tags"] == ["v1"]


def _token(replicas: Replicas, number: int, login: Login, scope: str) -> str:
    with replicas.client(number, login) as client:
        answer = client.get("/service/token", params={"service": "harbor-registry", "scope": scope})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def _status(replicas: Replicas, number: int, path: str, token: str) -> int:
    with replicas.client(number, None) as client:
        return client.get(path, headers={"authorization": f"Bearer {token}"}).status_code


def test_a_token_of_one_is_valid_at_the_other(replicas: Replicas) -> None:
    """The key is the same, and so are the names in the token."""
    project = replicas.api[0].registry.make_project(public=False)
    with replicas.client(0) as client:
        _push_image(client, f"{project}/image", "v1", b"layer")
    robot = make_robot(replicas.api[1].registry, project, PULL)
    for issuer in (0, 1):
        token = _token(replicas, issuer, robot, f"repository:{project}/image:pull")
        for reader in (0, 1):
            assert _status(replicas, reader, f"/v2/{project}/image/manifests/v1", token) == 200
            assert _status(replicas, reader, "/v2/library/image/manifests/v1", token) in {401, 403, 404}


def test_who_loses_access_loses_it_everywhere_within_seconds(replicas: Replicas) -> None:
    """A member who is removed, a robot that is deleted and a password that is changed at one server are so at the other."""
    first = replicas.api[0].registry
    project = first.make_project(public=False)
    path = f"/v2/{project}/image/manifests/v1"
    with replicas.client(0) as client:
        _push_image(client, f"{project}/image", "v1", b"layer")
    person, other = make_person(first, project, DEVELOPER), make_person(first, project, DEVELOPER)
    robot = make_robot(first, project, PULL, PUSH)
    scope = f"repository:{project}/image:pull"
    tokens = {login.username: _token(replicas, 0, login, scope) for login in (person, robot)}
    for number in (0, 1):
        for login in (person, other, robot):
            with replicas.client(number, login) as client:
                assert client.get(path).status_code == 200
        for token in tokens.values():
            assert _status(replicas, number, path, token) == 200
    _revoke(replicas, project, person, robot)
    changed = Login(username=other.username, password="Another-Secret-1")
    with replicas.client(0, other) as client:
        me = client.get("/api/v2.0/users/current").json()["user_id"]
        body = {"old_password": other.password, "new_password": changed.password}
        assert client.put(f"/api/v2.0/users/{me}/password", json=body).status_code == 200

    def allowed(number: int, login: Login) -> bool:
        with replicas.client(number, login) as client:
            return client.get(path).status_code == 200

    def refused(number: int) -> bool:
        tokens_refused = all(_status(replicas, number, path, token) != 200 for token in tokens.values())
        return tokens_refused and not any(allowed(number, login) for login in (person, other, robot))

    for number in (0, 1):
        _soon(partial(refused, number))
        assert allowed(number, changed)


def _revoke(replicas: Replicas, project: str, person: Login, robot: Login) -> None:
    """Removes the person from the project and deletes the robot, at the second server."""
    with replicas.client(1) as client:
        members = client.get(f"/api/v2.0/projects/{project}/members").json()
        member = next(entry["id"] for entry in members if entry["entity_name"] == person.username)
        assert client.delete(f"/api/v2.0/projects/{project}/members/{member}").status_code == 200
        number = client.get(f"/api/v2.0/projects/{project}").json()["project_id"]
        robots = client.get("/api/v2.0/robots", params={"q": f"Level=project,ProjectID={number}"}).json()
        found = next(entry["id"] for entry in robots if entry["name"] == robot.username)
        assert client.delete(f"/api/v2.0/robots/{found}").status_code == 200


def _collected(replicas: Replicas, what: str) -> int:
    """How many blobs, or bytes of them, reclaim says it has taken out of the database."""
    with replicas.client(0) as client:
        lines = client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith(f'longshore_reclaim_{what}{{step="collect"}}')]
    return int(float(found[0].split()[-1])) if found else 0


def test_two_workers_give_space_back_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Whatever two workers do at the same time, each blob counts once, and project and store agree in the end."""
    images = 40
    with (
        _running(request, Kind.POSTGRESQL, tmp_path) as replicas,
        replicas.client(0) as a,
        replicas.client(1) as b,
    ):
        project = replicas.api[0].registry.make_project(public=False)
        digests = [
            _push_image((a, b)[number % 2], f"{project}/image", f"v{number}", os.urandom(1000))
            for number in range(images)
        ]
        used = _used(a, project)
        assert used > images * 1000
        for number, digest in enumerate(digests):
            assert (b, a)[number % 2].delete(f"/v2/{project}/image/manifests/{digest}").status_code == 202
        folder = Path(replicas.settings["LONGSHORE_STORAGE_URL"].removeprefix("file://"))

        def gone() -> bool:
            return not any(file.stat().st_size == 1000 for file in folder.rglob("*") if file.is_file())

        # A layer and a configuration each.
        _soon(lambda: _collected(replicas, "handled") >= 2 * images and gone(), 60)
        assert _used(b, project) == 0
        # Had both workers collected the same one, more than there were would have been counted by now.
        time.sleep(2)
        assert _collected(replicas, "handled") == 2 * images
        assert images * 1000 < _collected(replicas, "bytes") < used
        assert "Everything is right" in longshore(replicas.settings, "verify", "--deep")


def _used(client: httpx.Client, project: str) -> int:
    return int(client.get(f"/api/v2.0/projects/{project}/summary").json()["quota"]["used"]["storage"])


def test_another_server_finishes_the_upload_of_one_that_was_killed(replicas: Replicas) -> None:
    """What a killed server had acknowledged is there, its unfinished request is forgotten, and the client goes on elsewhere."""
    content = os.urandom(6_000_000)
    half = len(content) // 2
    begun = threading.Event()

    def slowly() -> Iterator[bytes]:
        for offset in range(half, len(content), 100_000):
            yield content[offset : offset + 100_000]
            begun.set()
            time.sleep(0.1)

    with replicas.client(0) as a, replicas.client(1) as b:
        place = b.post("/v2/library/killed/blobs/uploads/").headers["location"]
        place = a.patch(place, content=content[:half]).headers["location"]
        failed: list[Exception] = []

        def go_on() -> None:
            try:
                a.patch(place, content=slowly())
            except httpx.HTTPError as error:
                failed.append(error)

        sending = threading.Thread(target=go_on)
        sending.start()
        assert begun.wait(20)
        time.sleep(0.5)
        replicas.api[0].kill()
        sending.join(30)
        assert failed
        status = b.get(place)
        assert status.status_code == 204, status.text
        kept = int(status.headers["range"].partition("-")[2]) + 1
        assert half <= kept < len(content)
        answer = b.patch(
            place, content=content[kept:], headers={"content-range": f"{kept}-{len(content) - 1}"}, timeout=60
        )
        assert answer.status_code == 202, answer.text
        place = answer.headers["location"]
        mark = "&" if "?" in place else "?"
        assert b.put(f"{place}{mark}digest={_digest(content)}").status_code == 201
        assert b.get(f"/v2/library/killed/blobs/{_digest(content)}").content == content
    replicas.api[0].start()


async def _open_connections(url: str) -> Counter[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT application_name, count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'longshore%' GROUP BY 1"
        )
    finally:
        await connection.close()
    return Counter({row[0]: row[1] for row in rows})


def test_connections_stay_within_the_arithmetic_under_load(replicas: Replicas) -> None:
    """However many clients there are, no server opens more than processes times pool, and each says how many that is."""
    url = replicas.settings["LONGSHORE_DATABASE_URL"]
    stop = time.monotonic() + 6
    most: Counter[str] = Counter()

    def work(number: int) -> int:
        done = 0
        with replicas.client(number % 2) as client:
            while time.monotonic() < stop:
                _push_image(client, f"library/load-{secrets.token_hex(2)}", "v1", os.urandom(500))
                done += 1
        return done

    with ThreadPoolExecutor(32) as clients:
        working = [clients.submit(work, number) for number in range(32)]
        while time.monotonic() < stop:
            most |= asyncio.run(_open_connections(url))
            time.sleep(0.1)
        assert sum(future.result() for future in working) > 20
    shares = {name: share for name in most if (share := Share.parse(name)) is not None}
    assert sorted((share.kind, share.processes) for share in shares.values()) == [
        ("api", 2), ("api", 2), ("worker", 1), ("worker", 1)
    ]  # fmt: skip
    for name, share in shares.items():
        assert most[name] <= share.connections == share.processes * 2, most
    # The load was real: the API servers needed more than one connection for each process.
    assert all(most[name] > share.processes for name, share in shares.items() if share.kind == "api"), most
    assert ADMIN.password not in " ".join(most)
