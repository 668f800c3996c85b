# SPDX-License-Identifier: Apache-2.0
"""The OCI image: built without a daemon, pushed into a running Longshore, pulled from it, and run as anybody would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.acceptance.clients import Buildah, Podman, Skopeo, find_tool, require_root
from tests.acceptance.images import make_image
from tests.acceptance.server import Login, Registry, free_port, serve

ROOT = Path(__file__).parents[2]
PASSWORD = "Harbor12345"
# What a user downloads. It was 52 MB when this was written.
MOST_BYTES = 80_000_000
# Which of the usual suspects must not be in there.
ABSENT = ("sh", "bash", "dash", "busybox", "gcc", "cc", "pip", "pip3", "apt-get", "dpkg", "perl", "openssl", "curl")


@dataclass(frozen=True, slots=True)
class Built:
    """The image in the store of a buildah."""

    buildah: Buildah
    name: str

    def described(self) -> dict[str, dict[str, object]]:
        """What the image says of itself."""
        inspected = self.buildah.json("inspect", "--type", "image", self.name)
        described = inspected["OCIv1"]
        assert isinstance(described, dict)
        return described


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry that the image is pushed into and pulled from; what it keeps things in doesn't matter here."""
    with serve(tmp_path_factory.mktemp("server")) as registry:
        yield registry


@pytest.fixture(scope="module")
def built(server: Registry, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The image, built as a release does it."""
    for program in ("mmdebstrap", "strip"):
        find_tool(program)
    buildah = Buildah(server, tmp_path_factory.mktemp("image"))
    buildah.login(server.admin)
    return _build(buildah, "localhost/longshore:test")


def _build(buildah: Buildah, name: str, **variables: str) -> Built:
    done = subprocess.run(
        [ROOT / "deploy" / "image" / "build", name],
        env=os.environ | buildah.settings() | variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Built(buildah, name)


def test_what_the_image_says_of_itself(built: Built) -> None:
    """Nobody's root by number, one volume, one port, how to stop it, and which version it is."""
    config = built.described()["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/local/bin/longshore"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["ExposedPorts"] == {"8080": {}}
    assert config["Volumes"] == {"/var/lib/longshore": {}}
    labels = config["Labels"]
    assert isinstance(labels, dict)
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert labels["org.opencontainers.image.revision"] == revision.stdout.strip()
    assert labels["org.opencontainers.image.version"] in (ROOT / "pyproject.toml").read_text()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_image_has_nothing_to_break_in_with(built: Built) -> None:
    """No shell, no package manager, no compiler, nothing that runs as somebody else, nothing its user could change."""
    container = built.buildah.run("from", built.name).strip()
    root = Path(built.buildah.run("mount", container).strip())
    programs = {file.name for folder in ("usr/bin", "usr/sbin", "usr/local/bin") for file in (root / folder).iterdir()}
    assert programs == {"python3", "python3.13", "longshore"}
    for name in ABSENT:
        assert name not in programs
    files = [file for file in root.rglob("*") if not file.is_symlink() and "proc" not in file.parts]
    assert [file for file in files if file.stat().st_mode & 0o6000] == []
    own = [file for file in files if file.stat().st_uid != 0]
    # The second is there for a volume of its own: an empty volume takes its owner from the folder it is mounted on.
    assert own == [root / "var/lib/longshore", root / "var/lib/longshore/store"]
    assert [file for file in files if file.is_file() and file.stat().st_mode & 0o022] == []
    assert not list(root.rglob("pip"))
    assert "Package: libssl3" in "".join(file.read_text() for file in (root / "var/lib/dpkg/status.d").iterdir())
    built.buildah.run("rm", container)


def test_an_image_with_python_can_be_the_base(built: Built) -> None:
    """An operator who has a base image of their own builds on that, whatever user it runs as."""
    based = _build(built.buildah, "localhost/longshore:based", BASE=built.name)
    config = based.described()["config"]
    labels = config["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.base.name"] == built.name
    assert config["User"] == "65532:65532"
    container = built.buildah.run("from", based.name).strip()
    said = built.buildah.run("run", "--network", "none", container, "--", "/usr/local/bin/longshore", "version")
    assert said.startswith("longshore ")
    built.buildah.run("rm", container)


@dataclass(frozen=True, slots=True)
class Running:
    """A registry in a container, and what it logged."""

    host: str
    podman: Podman
    container: str

    def logs(self) -> str:
        done = self.podman.finished("logs", self.container)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def pushed(server: Registry, built: Built) -> str:
    """The name of the image in a running Longshore."""
    reference = f"{server.host}/library/longshore:test"
    built.buildah.run("push", "--tls-verify=false", built.name, f"docker://{reference}")
    return reference


@pytest.fixture(scope="module")
def running(server: Registry, pushed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The image, pulled and run with every right taken away that Kubernetes can take away."""
    require_root("podman")
    podman = Podman(server, tmp_path_factory.mktemp("running"))
    podman.login(server.admin)
    podman.run("pull", pushed)
    port = free_port()
    container = podman.run(
        "run",
        "--detach",
        # The first two are for machines that are containers themselves, where limits can't be raised and networks not made.
        *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", "--runtime", find_tool("runc")),
        *("--network", "host"),
        *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
        *("--volume", "/var/lib/longshore"),
        *("--env", f"LONGSHORE_PORT={port}", "--env", "LONGSHORE_HOST=127.0.0.1"),
        *("--env", f"LONGSHORE_ADMIN_PASSWORD={PASSWORD}"),
        pushed,
    ).strip()
    made = Running(f"127.0.0.1:{port}", podman, container)
    try:
        until = time.monotonic() + 60
        while not _ready(made.host):
            assert time.monotonic() < until, made.logs()
            time.sleep(0.2)
        yield made
        # The volume outlives the process, so a stop must have been clean.
        podman.run("stop", "--time", "30", container)
        assert podman.run("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0", made.logs()
        assert "Traceback" not in made.logs()
    finally:
        podman.finished("rm", "--force", "--volumes", container)


def _ready(host: str) -> bool:
    try:
        return httpx.get(f"http://{host}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_the_image_is_small(server: Registry, pushed: str) -> None:
    """What is downloaded for it stays small: the number is in the documentation."""
    manifest = server.manifest("library/longshore", "test").json()
    size = sum(layer["size"] for layer in manifest["layers"])
    assert len(manifest["layers"]) == 2
    assert size < MOST_BYTES, f"{pushed} is {size / 1e6:.0f} MB"
    assert manifest["annotations"]["org.opencontainers.image.title"] == "Longshore"


def test_push_and_pull_against_the_container(server: Registry, pushed: str, running: Running, tmp_path: Path) -> None:
    """Read-only, without any capability, as nobody: it takes an image and gives it back."""
    there = Registry(host=running.host, admin=Login(username="admin", password=PASSWORD), environment={}, log=tmp_path)
    source, target = Skopeo(server, tmp_path / "source"), Skopeo(there, tmp_path / "target")
    image = make_image(tmp_path / "image", 300_000)
    target.login(there.admin)
    reference = f"docker://{there.host}/library/image:1"
    target.run("copy", "--dest-tls-verify=false", f"oci:{image.folder}", reference)
    target.run("copy", "--src-tls-verify=false", reference, f"dir:{tmp_path / 'pulled'}")
    assert (tmp_path / "pulled" / image.layers[0].digest.removeprefix("sha256:")).exists()
    # And itself, from the registry that it came from.
    source.login(server.admin)
    shutil.copy(source.home / "auth.json", tmp_path / "auth.json")
    source.run("copy", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{tmp_path / 'itself'}:1")
    target.run("copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'itself'}:1", f"docker://{there.host}/library/it:1")
    with there.client(there.admin) as client:
        projects = client.get("/api/v2.0/projects").json()
        assert [project["name"] for project in projects] == ["library"]


def test_the_process_in_the_container_has_no_rights(running: Running) -> None:
    """It runs as the image's user, and commands work beside it."""
    said = json.loads(running.podman.run("inspect", running.container))[0]
    assert said["HostConfig"]["ReadonlyRootfs"] is True
    status = Path(f"/proc/{said['State']['Pid']}/status").read_text()
    assert "Uid:\t65532\t65532\t65532\t65532" in status
    assert "CapEff:\t0000000000000000" in status
    checked = running.podman.run("exec", running.container, "/usr/local/bin/longshore", "verify", "--deep")
    assert "Everything is right" in checked
