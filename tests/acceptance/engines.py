# SPDX-License-Identifier: Apache-2.0
"""The daemons that clients need: dockerd, containerd and buildkitd, each with folders and a socket of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.acceptance.clients import Client, find_tool, pull_secret, require_root
from tests.acceptance.server import Login, Registry, log_tail

START_SECONDS = 60
STOP_SECONDS = 60


@contextmanager
def engine_folder(name: str) -> Iterator[Path]:
    """A folder whose path is short: a Unix socket's path has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix=f"longshore-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def daemon(command: list[str], folder: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Runs a daemon until the block ends; raises AssertionError with its log when it doesn't come up."""
    log = folder / "daemon.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{command[0]} didn't come up:\n{log_tail(log)}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Docker(Client):
    """The docker command, talking to the dockerd of the tests."""

    program = "docker"

    def __init__(self, registry: Registry, home: Path, socket: Path) -> None:
        """Remembers which daemon to use; the rest is as with every client."""
        self.socket = socket
        super().__init__(registry, home)

    def settings(self) -> dict[str, str]:
        """The daemon, a configuration of its own, and the classic builder, which needs no plugin."""
        return {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.home / ".docker"),
            "DOCKER_BUILDKIT": "0",
        }

    def login(self, login: Login) -> None:
        """Logs in; the daemon asks the registry."""
        self.run(*self.login_arguments(login), text=login.password)

    def login_arguments(self, login: Login) -> list[str]:
        """The login command, which reads the password from its input."""
        return ["login", "--username", login.username, "--password-stdin", self.registry.host]


@contextmanager
def run_dockerd() -> Iterator[Path]:
    """Runs dockerd without networks of its own and gives its socket."""
    require_root("dockerd")
    program = find_tool("dockerd")
    find_tool("docker")
    with engine_folder("docker") as folder:
        configuration = folder / "daemon.json"
        configuration.write_text(
            json.dumps({"storage-driver": "vfs", "bridge": "none", "iptables": False, "ip-forward": False})
        )
        socket = folder / "docker.sock"
        command = [
            program,
            f"--config-file={configuration}",
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'pid'}",
            f"--host=unix://{socket}",
        ]

        def ready() -> bool:
            asked = subprocess.run(
                ["docker", "--host", f"unix://{socket}", "version"], capture_output=True, timeout=30, check=False
            )
            return asked.returncode == 0

        with daemon(command, folder, ready):
            yield socket


CONTAINERD_CONFIGURATION = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
temp = "{folder}/temp"

[grpc]
address = "{folder}/containerd.sock"

[ttrpc]
address = "{folder}/containerd.sock.ttrpc"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{folder}/certs.d"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{folder}/cni"
conf_dir = "{folder}/cni"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
"""


@contextmanager
def run_containerd() -> Iterator[Path]:
    """Runs containerd with its Kubernetes interface on and gives its folder, where ``containerd.sock`` lies."""
    require_root("containerd")
    program = find_tool("containerd")
    control = find_tool("ctr")
    with engine_folder("containerd") as folder:
        configuration = folder / "config.toml"
        configuration.write_text(CONTAINERD_CONFIGURATION.format(folder=folder))

        def ready() -> bool:
            asked = subprocess.run(
                [control, "--address", str(folder / "containerd.sock"), "plugins", "ls"],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            lines = [line.split() for line in asked.stdout.splitlines()]
            return any(line[1] == "cri" and line[-1] == "ok" for line in lines if len(line) > 1)

        with daemon([program, "--config", str(configuration)], folder, ready):
            yield folder


class ContainerdClient(Client):
    """What the two clients of containerd have in common."""

    def __init__(self, registry: Registry, home: Path, containerd: Path) -> None:
        """Tells containerd that the registry speaks plain HTTP."""
        self.socket = containerd / "containerd.sock"
        hosts = containerd / "certs.d" / registry.host
        hosts.mkdir(parents=True, exist_ok=True)
        (hosts / "hosts.toml").write_text(
            f'server = "{registry.url}"\n\n[host."{registry.url}"]\ncapabilities = ["pull", "resolve"]\n'
        )
        super().__init__(registry, home)


class Ctr(ContainerdClient):
    """ctr, which takes the credentials with each command."""

    program = "ctr"
    plain_http: ClassVar[list[str]] = ["--plain-http"]

    def arguments(self) -> list[str]:
        """The socket of the daemon of the tests."""
        return ["--address", str(self.socket)]

    def user(self, login: Login) -> list[str]:
        """The arguments that give credentials."""
        return ["--user", f"{login.username}:{login.password}"]


class CriPull(ContainerdClient):
    """Our small client of the Kubernetes runtime interface: it pulls an image as a kubelet does."""

    program = "cri-pull"

    def arguments(self) -> list[str]:
        """The socket of the daemon of the tests."""
        return ["--socket", str(self.socket)]


@contextmanager
def run_buildkitd(registry: Registry) -> Iterator[Path]:
    """Runs buildkitd with its own worker, told that the registry speaks plain HTTP, and gives its socket."""
    require_root("buildkitd")
    program = find_tool("buildkitd")
    control = find_tool("buildctl")
    find_tool("runc")
    with engine_folder("buildkit") as folder:
        configuration = folder / "buildkitd.toml"
        configuration.write_text(
            '[worker.oci]\nsnapshotter = "native"\nnetworkMode = "host"\n\n[worker.containerd]\nenabled = false\n\n'
            f'[registry."{registry.host}"]\nhttp = true\n'
        )
        address = f"unix://{folder / 'buildkitd.sock'}"

        def ready() -> bool:
            asked = subprocess.run(
                [control, "--addr", address, "debug", "workers"], capture_output=True, timeout=30, check=False
            )
            return asked.returncode == 0

        command = [program, "--addr", address, "--root", str(folder / "root"), "--config", str(configuration)]
        with daemon(command, folder, ready):
            yield folder / "buildkitd.sock"


class Buildctl(Client):
    """The client of BuildKit, which hands the credentials of docker's configuration to the daemon."""

    program = "buildctl"

    def __init__(self, registry: Registry, home: Path, socket: Path) -> None:
        """Remembers which daemon to use; the rest is as with every client."""
        self.socket = socket
        super().__init__(registry, home)

    def arguments(self) -> list[str]:
        """The socket of the daemon of the tests."""
        return ["--addr", f"unix://{self.socket}"]

    def settings(self) -> dict[str, str]:
        """A configuration of docker of its own."""
        return {"DOCKER_CONFIG": str(self.home)}

    def login(self, login: Login) -> None:
        """Keeps the credentials where docker keeps them."""
        pull_secret(self.registry, login, self.home / "config.json")

    def build(self, context: Path, target: str, *arguments: str) -> str:
        """Builds the Dockerfile of the context and pushes the result; gives all that BuildKit said."""
        source = ["--local", f"context={context}", "--local", f"dockerfile={context}"]
        output = ["--output", f"type=image,name={target},push=true"]
        done = self.finished(
            "build", "--frontend", "dockerfile.v0", "--progress", "plain", *source, *output, *arguments
        )
        assert done.returncode == 0, f"buildctl build {target}: {done.stdout}\n{done.stderr}"
        return f"{done.stdout}\n{done.stderr}"
