# SPDX-License-Identifier: Apache-2.0
"""The compose files of deploy/: checked by compose, and their topology run as plain processes with the same settings.

No image can be pulled here, so the servers are those of this machine. What differs is where they are: addresses, ports and
folders.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from longshore.config import PREFIX, Settings, load_settings
from tests.acceptance.clients import Skopeo, find_tool
from tests.acceptance.images import make_image
from tests.acceptance.kinds import Kind
from tests.acceptance.replicas import ADMIN, Replicas, common_settings, run_replicas, wait_for_http
from tests.acceptance.server import Registry, free_port
from tests.acceptance.test_rolling_restart import Load, wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = ("compose.yaml", "compose-files.yaml")
SECRETS = {
    "POSTGRES_PASSWORD": "of-the-database",
    "LONGSHORE_SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "LONGSHORE_ADMIN_PASSWORD": ADMIN.password,
    "OBJECTS_SECRET": "of-the-objects",
}


def _compose(folder: Path, file: str, secrets: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What compose makes of a file, with these in its .env."""
    given = folder / "env"
    given.write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))
    return subprocess.run(
        [find_tool("docker-compose"), "--env-file", given, "--file", DEPLOY / file, "config"],
        env={"PATH": os.environ["PATH"]},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _services(folder: Path, file: str) -> dict[str, dict[str, Any]]:
    done = _compose(folder, file, SECRETS)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert isinstance(services, dict)
    return services


@pytest.mark.parametrize("file", FILES)
def test_compose_accepts_the_file_and_misses_each_secret(tmp_path: Path, file: str) -> None:
    """The files are right, and a secret that isn't filled in is an error instead of an empty password."""
    services = _services(tmp_path, file)
    assert {"database", "migrate", "registry-1", "registry-2", "worker", "proxy"} <= set(services)
    example = (DEPLOY / "env.example").read_text()
    for name in SECRETS:
        assert f"\n{name}=\n" in example
        if name == "OBJECTS_SECRET" and file != "compose.yaml":
            continue
        refused = _compose(tmp_path, file, SECRETS | {name: ""})
        assert refused.returncode != 0
        assert "see env.example" in refused.stderr


@pytest.mark.parametrize("file", FILES)
def test_the_settings_of_the_file_are_accepted(tmp_path: Path, file: str) -> None:
    """Each setting exists, and together they are what a server starts with; all servers have the same."""
    services = _services(tmp_path, file)
    ours = {name: services[name]["environment"] for name in ("migrate", "registry-1", "registry-2", "worker")}
    assert len({str(sorted(environment.items())) for environment in ours.values()}) == 1
    environment = ours["migrate"]
    assert {name.removeprefix(PREFIX).lower() for name in environment} <= set(Settings.model_fields)
    load_settings(environment=environment)
    addresses = {services[name]["networks"]["default"]["ipv4_address"] for name in ("registry-1", "registry-2")}
    configuration = (DEPLOY / "proxy" / "nginx.conf").read_text()
    assert all(f"server {address}:8080" in configuration for address in addresses)
    assert environment["LONGSHORE_TRUSTED_PROXIES"] == services["proxy"]["networks"]["default"]["ipv4_address"]
    for name in (*ours, "proxy"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


@dataclass(frozen=True, slots=True)
class Stack:
    """What a compose file describes, as processes of this machine."""

    replicas: Replicas
    front: Registry


def _proxy(folder: Path, replicas: Replicas, port: int) -> Path:
    """The proxy's configuration with the places of this machine."""
    folder.mkdir()
    text = (DEPLOY / "proxy" / "nginx.conf").read_text()
    store = replicas.settings["LONGSHORE_STORAGE_URL"].removeprefix("file://")
    for there, here in (
        ("172.30.83.11:8080", f"127.0.0.1:{replicas.api[0].port}"),
        ("172.30.83.12:8080", f"127.0.0.1:{replicas.api[1].port}"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("/tmp/", f"{folder}/"),  # noqa: S108 - it is replaced
        ("alias /var/lib/longshore/store/;", f"alias {store}/;"),
    ):
        assert there in text, there
        text = text.replace(there, here)
    # In the container nginx runs as the registry's user; the registries of the tests run as whoever runs the tests.
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(f"daemon off;\n{user}{text}")
    return configuration


@contextmanager
def _stack(request: pytest.FixtureRequest, folder: Path, file: str) -> Iterator[Stack]:
    """Runs what the file describes."""
    described = _services(folder, file)["registry-1"]["environment"]
    kind = Kind.OBJECTS if described["LONGSHORE_STORAGE_URL"].startswith("s3://") else Kind.POSTGRESQL
    places = {name: value for name, value in common_settings(request, kind, folder).items() if name in _PLACES}
    settings = described | places | {"LONGSHORE_TRUSTED_PROXIES": "127.0.0.1"}
    with run_replicas(folder / "servers", settings, api=2, workers=1) as replicas:
        port = free_port()
        configuration = _proxy(folder / "proxy", replicas, port)
        command = [find_tool("nginx"), "-c", str(configuration), "-e", str(folder / "proxy" / "error.log")]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen(command)
        try:
            front = Registry(host=f"127.0.0.1:{port}", admin=ADMIN, environment=settings, log=folder / "log")
            wait_for_http(front.url)
            yield Stack(replicas, front)
        finally:
            process.terminate()
            process.wait(30)


_PLACES = ("PATH", "LONGSHORE_DATABASE_URL", "LONGSHORE_STORAGE_URL", "LONGSHORE_SECRET_KEY", "LONGSHORE_WORKERS")


@pytest.mark.parametrize("file", FILES)
def test_the_topology_serves_and_is_restarted_without_a_failure(
    request: pytest.FixtureRequest, tmp_path: Path, file: str
) -> None:
    """A client pushes and pulls through the proxy, and nobody notices that each registry is restarted in turn."""
    with _stack(request, tmp_path, file) as stack:
        skopeo = Skopeo(stack.front, tmp_path / "skopeo")
        skopeo.login(ADMIN)
        image = make_image(tmp_path / "image", 300_000)
        reference = f"docker://{stack.front.host}/library/image:1"
        skopeo.run("copy", "--dest-tls-verify=false", f"oci:{image.folder}", reference)
        skopeo.run("copy", "--src-tls-verify=false", reference, f"dir:{tmp_path / 'pulled'}")
        assert (tmp_path / "pulled" / image.layers[0].digest.removeprefix("sha256:")).exists()
        with Load(stack.front.url, pushers=1, pullers=2) as load:
            for replica in stack.replicas.api:
                before = load.pushes
                replica.stop()
                replica.start()
                wait_for(partial(_went_on, load, before + 2))
        assert load.problems == []


def _went_on(load: Load, pushes: int) -> bool:
    return load.pushes >= pushes


def test_the_proxy_sends_the_blobs_of_a_folder(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The registry names the file and the proxy sends it, whole and in ranges; nobody gets at the folder otherwise."""
    content = os.urandom(2_000_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with _stack(request, tmp_path, "compose-files.yaml") as stack, stack.front.client(ADMIN) as client:
        repository = f"{stack.front.make_project(public=False)}/image"
        path = f"/v2/{repository}/blobs/{digest}"
        assert client.post(f"/v2/{repository}/blobs/uploads/?digest={digest}", content=content).status_code == 201
        # What the registry answers to the proxy, whose address the tests have as well.
        with stack.replicas.client(0) as inside:
            assert inside.get(path).content == content
            told = inside.get(path, headers={"X-Sendfile-Type": "X-Accel-Redirect"})
        assert told.content == b""
        key = told.headers["x-accel-redirect"].removeprefix("/_store/")
        store = Path(stack.replicas.settings["LONGSHORE_STORAGE_URL"].removeprefix("file://"))
        assert (store / key).read_bytes() == content
        whole = client.get(path)
        assert whole.content == content
        assert whole.headers["docker-content-digest"] == digest
        assert whole.headers["etag"] == f'"{digest}"'
        assert whole.headers["x-request-id"]
        assert whole.headers["content-type"] == "application/octet-stream"
        assert "x-accel-redirect" not in whole.headers
        part = client.get(path, headers={"range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, content[1000:2000])
        described = client.head(path)
        assert described.headers["content-length"] == str(len(content))
        assert client.get(f"/_store/{key}").status_code == 404
        assert client.get("/metrics").status_code == 200
        with stack.front.client() as stranger:
            assert stranger.get(path).status_code == 401
