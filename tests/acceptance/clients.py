# SPDX-License-Identifier: Apache-2.0
"""The real clients: each runs its real program with a home of its own and fails with what the program said.

The tests spell out the command lines, because they are what a person types. A client here only adds the program's
path, an environment of its own, and the settings for a registry without TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import ClassVar

import pytest

from tests.acceptance.server import Login, Registry

TOOLS = Path(os.environ.get("LONGSHORE_TOOLS", "/opt/longshore-tools"))


def unavailable(reason: str) -> None:
    """Skips the test on a person's machine, and fails it in CI, which has to have everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def find_tool(program: str) -> str:
    """The path of a program: ours of ``.ci/install-tools`` first, then the machine's. Skips when there is none."""
    path = f"{TOOLS / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        unavailable(f"{program} isn't installed; .ci/install-tools installs it (as root, on Debian 12)")
    return str(found)


def require_root(program: str) -> None:
    """Skips when the tests don't run as root, which the program needs."""
    if os.geteuid() != 0:
        unavailable(f"{program} has to run as root")


class Client:
    """One program with a home directory of its own, talking to one registry."""

    program: ClassVar[str]

    def __init__(self, registry: Registry, home: Path) -> None:
        """Finds the program and prepares its settings below ``home``; skips when the program is absent."""
        self.path = find_tool(self.program)
        self.registry = registry
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.prepare()

    def prepare(self) -> None:
        """Writes the settings of the program. Nothing by default."""

    def settings(self) -> dict[str, str]:
        """Environment variables beyond the plain ones."""
        return {}

    def arguments(self) -> list[str]:
        """What stands between the program and its arguments."""
        return []

    def repository(self, project: str, name: str = "image") -> str:
        """The name of a repository as this client wants it, with the registry's host."""
        return f"{self.registry.host}/{project}/{name}"

    def environment(self) -> dict[str, str]:
        """Nothing of the machine's environment but PATH: no credentials, no proxies, no settings."""
        return {
            "PATH": f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
        } | self.settings()

    def finished(
        self, *arguments: str, text: str = "", timeout: float = 240, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the program to its end, whatever the end is."""
        return subprocess.run(
            [self.path, *self.arguments(), *arguments],
            env=self.environment(),
            cwd=folder or self.home,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def run(self, *arguments: str, text: str = "", timeout: float = 240, folder: Path | None = None) -> str:
        """Runs the program and gives its standard output; raises AssertionError with all it said when it fails."""
        done = self.finished(*arguments, text=text, timeout=timeout, folder=folder)
        if done.returncode != 0:
            raise AssertionError(
                f"{self.program} {' '.join(arguments)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def refused(self, *arguments: str, text: str = "") -> str:
        """Runs the program, demands that it fails, and gives all it said."""
        done = self.finished(*arguments, text=text)
        said = f"{done.stdout}\n{done.stderr}"
        assert done.returncode != 0, f"{self.program} {' '.join(arguments)}\nshould have been refused, but:\n{said}"
        return said

    def json(self, *arguments: str) -> dict[str, object]:
        """Runs the program and parses its standard output as one JSON object."""
        parsed = json.loads(self.run(*arguments))
        assert isinstance(parsed, dict)
        return parsed


class Crane(Client):
    """crane of go-containerregistry. It speaks plain HTTP to loopback on its own."""

    program = "crane"

    def login(self, login: Login) -> None:
        """Keeps the credentials; crane doesn't ask the registry whether they are right."""
        self.run("auth", "login", self.registry.host, "--username", login.username, "--password", login.password)

    def sha256_of_blob(self, reference: str, timeout: float = 600) -> str:
        """Pulls a blob of any size and gives the SHA-256 of its bytes, without keeping them."""
        with subprocess.Popen(
            [self.path, "blob", reference], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as pulling:
            summed = subprocess.run(
                ["sha256sum"], stdin=pulling.stdout, capture_output=True, timeout=timeout, check=True
            )
            _, said = pulling.communicate()
        assert pulling.returncode == 0, f"crane blob {reference}: {said.decode(errors='replace')}"
        return summed.stdout.decode().split()[0]


class Oras(Client):
    """oras."""

    program = "oras"

    def login(self, login: Login) -> None:
        """Logs in; oras asks the registry."""
        self.run(*self.login_arguments(login), text=login.password)

    def login_arguments(self, login: Login) -> list[str]:
        """The login command, which reads the password from its input."""
        return ["login", "--plain-http", self.registry.host, "--username", login.username, "--password-stdin"]


class Regctl(Client):
    """regctl of regclient."""

    program = "regctl"

    def prepare(self) -> None:
        """Names the registry as one without TLS."""
        self.run("registry", "set", "--skip-check", "--tls", "disabled", self.registry.host)

    def login(self, login: Login) -> None:
        """Logs in; regctl asks the registry."""
        self.run(*self.login_arguments(login), text=login.password)

    def login_arguments(self, login: Login) -> list[str]:
        """The login command, which reads the password from its input."""
        return ["registry", "login", self.registry.host, "--user", login.username, "--pass-stdin"]


class Helm(Client):
    """Helm 3."""

    program = "helm"

    def login(self, login: Login) -> None:
        """Logs in; helm asks the registry."""
        self.run(*self.login_arguments(login), text=login.password)

    def login_arguments(self, login: Login) -> list[str]:
        """The login command, which reads the password from its input."""
        host = self.registry.host
        return ["registry", "login", "--plain-http", host, "--username", login.username, "--password-stdin"]


class Cosign(Client):
    """cosign with a key of its own and without any of Sigstore's services."""

    def prepare(self) -> None:
        """Makes a key pair in the home."""
        self.run("generate-key-pair")

    def settings(self) -> dict[str, str]:
        """The password of the private key."""
        return {"COSIGN_PASSWORD": "of-the-key"}

    def login(self, login: Login) -> None:
        """Keeps the credentials."""
        self.run("login", self.registry.host, "--username", login.username, "--password", login.password)

    def sign(self, reference: str) -> None:
        """Signs the image with the key and pushes the signature."""
        self.run("sign", "--yes", "--key", "cosign.key", "--allow-http-registry", *self.sign_offline, reference)

    def verify_arguments(self, reference: str) -> list[str]:
        """The command that verifies the image's signature with the public key."""
        return ["verify", "--key", "cosign.pub", "--allow-http-registry", "--insecure-ignore-tlog=true", reference]

    sign_offline: ClassVar[list[str]]


class Cosign2(Cosign):
    """cosign 2: the signature is a manifest tagged ``sha256-….sig``."""

    program = "cosign2"
    sign_offline: ClassVar[list[str]] = ["--tlog-upload=false"]


class Cosign3(Cosign):
    """cosign 3: the signature is a bundle that refers to the image."""

    program = "cosign3"
    sign_offline: ClassVar[list[str]] = ["--tlog-upload=false", "--use-signing-config=false"]


class ContainersClient(Client):
    """What podman, buildah and skopeo have in common: the files of containers/image and containers/storage."""

    def prepare(self) -> None:
        """Names the registry as one without TLS and keeps images below the home."""
        require_root(self.program)
        (self.home / "run").mkdir(exist_ok=True)
        (self.home / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{self.home}/storage"\nrunroot = "{self.home}/run"\n'
        )
        (self.home / "containers.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        configuration = self.home / ".config" / "containers"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{self.registry.host}"\ninsecure = true\n'
        )
        (configuration / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def settings(self) -> dict[str, str]:
        """Every file of the family, so that nothing of the machine's is read."""
        return {
            "CONTAINERS_STORAGE_CONF": str(self.home / "storage.conf"),
            "CONTAINERS_CONF": str(self.home / "containers.conf"),
            "REGISTRY_AUTH_FILE": str(self.home / "auth.json"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def login(self, login: Login) -> None:
        """Logs in; the registry is asked."""
        self.run(*self.login_arguments(login), text=login.password)

    def login_arguments(self, login: Login) -> list[str]:
        """The login command, which reads the password from its input."""
        return ["login", "--username", login.username, "--password-stdin", "--tls-verify=false", self.registry.host]


class Podman(ContainersClient):
    """podman."""

    program = "podman"


class Buildah(ContainersClient):
    """buildah."""

    program = "buildah"


class Skopeo(ContainersClient):
    """skopeo."""

    program = "skopeo"


class OciConformance(Client):
    """The conformance suite of the distribution specification."""

    program = "oci-conformance"


def pull_secret(registry: Registry, login: Login, path: Path) -> Path:
    """Writes the ``.dockerconfigjson`` of a Kubernetes image pull secret."""
    encoded = b64encode(f"{login.username}:{login.password}".encode()).decode()
    path.write_text(json.dumps({"auths": {registry.host: {"auth": encoded}}}))
    return path
