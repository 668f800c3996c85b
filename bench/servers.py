# SPDX-License-Identifier: Apache-2.0
"""The servers under test: Longshore, and the peers that this machine has."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from bench import machine

PROJECT = "bench"
PASSWORD = "Harbor12345-bench"  # noqa: S105 - of a server that lives for minutes on loopback
_START_SECONDS = 60.0


class Server(ABC):
    """One server on one core, with data of its own below `folder`.

    Attributes:
        name: What the result tables call it.
        pushable: Whether clients can push to it; otherwise the benchmark lays files into `folder`.
    """

    name: ClassVar[str]
    pushable: ClassVar[bool] = True

    def __init__(self, folder: Path, cores: machine.Cores) -> None:
        self.folder = folder
        self.port = machine.free_port()
        self._cores = cores
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    @property
    def base(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that everything else of the server descends from."""
        if self._process is None:
            raise RuntimeError(f"{self.name} doesn't run")
        return self._process.pid

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    @abstractmethod
    def version(self) -> str:
        """What the server says it is."""

    def environment(self) -> dict[str, str]:
        """Environment variables of the server."""
        return {}

    def authorization(self, _repositories: Sequence[str]) -> dict[str, str]:
        """The value of the Authorization header that each repository needs; empty where none is."""
        return {}

    def launch(self) -> None:
        """Starts the process and doesn't wait for it."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                machine.pinned(self._cores.server, self.command()),
                env={"PATH": os.environ["PATH"], **self.environment()},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Starts the process and waits until it answers."""
        self.launch()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                if self.ready():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(
            f"{self.name} didn't start:\n{(self.folder / 'server.log').read_text(errors='replace')[-3000:]}"
        )

    def ready(self) -> bool:
        """Whether the server answers."""
        return get(self.port, "/v2/")[0] in {200, 401, 404}

    def stop(self) -> None:
        """Ends the server as a service manager does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """Ends every process of the server at once, with nothing written that wasn't."""
        if self._process is not None:
            for process in machine.family(self._process.pid):
                process.send_signal(signal.SIGKILL)
            self._process.wait(30)
            self._process = None


class Longshore(Server):
    """`longshore serve` of this checkout: authentication and durability on, everything else as it comes."""

    name = "longshore"

    def __init__(self, folder: Path, cores: machine.Cores, settings: dict[str, str]) -> None:
        super().__init__(folder, cores)
        self.settings = settings

    def command(self) -> list[str]:
        """The command line."""
        return [str(Path(sys.executable).with_name("longshore")), "serve"]

    def environment(self) -> dict[str, str]:
        """Environment variables of the server."""
        return {
            "LONGSHORE_PORT": str(self.port),
            "LONGSHORE_DATA_DIR": str(self.folder / "data"),
            "LONGSHORE_ADMIN_PASSWORD": PASSWORD,
            **self.settings,
        }

    def version(self) -> str:
        """What the server says it is."""
        root = Path(__file__).parent.parent
        commit = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
        said = subprocess.run([self.command()[0], "version"], capture_output=True, text=True, check=True)
        return f"{said.stdout.strip()}, commit {commit.stdout.strip() or 'unknown'}"

    def ready(self) -> bool:
        """Whether the server can serve everything."""
        return get(self.port, "/readyz")[0] == 200

    def prepare(self) -> None:
        """Makes the private project that everything is pushed to."""
        status, body = request(
            self.port,
            "POST",
            "/api/v2.0/projects",
            {"Authorization": _basic(), "Content-Type": "application/json"},
            json.dumps({"project_name": PROJECT, "metadata": {"public": "false"}}).encode(),
        )
        if status != 201:
            raise RuntimeError(f"making the project failed: {status} {body.decode(errors='replace')}")

    def authorization(self, repositories: Sequence[str]) -> dict[str, str]:
        """A token for each repository."""
        return {name: f"Bearer {self._token(name)}" for name in repositories}

    def _token(self, repository: str) -> str:
        scopes = [f"repository:{repository}:pull,push"]
        path = "/service/token?service=harbor-registry" + "".join(f"&scope={quote(scope)}" for scope in scopes)
        status, body = request(self.port, "GET", path, {"Authorization": _basic()})
        if status != 200:
            raise RuntimeError(f"no token for {repository}: {status} {body.decode(errors='replace')}")
        return str(json.loads(body)["token"])


class DockerRegistry(Server):
    """Debian's docker-registry (distribution 2.8), without authentication and without an access log."""

    name = "docker-registry"

    def command(self) -> list[str]:
        """The command line."""
        configuration = self.folder / "config.yml"
        configuration.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            "storage:\n"
            "  cache: {blobdescriptor: inmemory}\n"
            f"  filesystem: {{rootdirectory: {self.folder / 'data'}}}\n"
            "  delete: {enabled: true}\n"
            f"http: {{addr: '127.0.0.1:{self.port}', secret: bench}}\n",
            encoding="utf-8",
        )
        return [machine.require("docker-registry", "docker-registry"), "serve", str(configuration)]

    def version(self) -> str:
        """What the server says it is."""
        said = subprocess.run([self.command()[0], "--version"], capture_output=True, text=True, check=True)
        return said.stdout.strip()


class Nginx(Server):
    """nginx, one process, no access log, serving the same bytes as files: the physical ceiling of reading."""

    name = "nginx"
    pushable = False

    @property
    def root(self) -> Path:
        """Where its files are."""
        return self.folder / "root"

    def command(self) -> list[str]:
        """The command line."""
        self.root.mkdir(exist_ok=True)
        (self.folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;\n"
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            "events { worker_connections 2048; }\n"
            "http {\n"
            "  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; etag on;\n"
            "  default_type application/vnd.oci.image.manifest.v1+json;\n"
            + "".join(
                f"  {kind}_temp_path {self.folder}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f"  server {{ listen 127.0.0.1:{self.port} backlog=2048; root {self.root}; }}\n"
            "}\n",
            encoding="utf-8",
        )
        return [
            machine.require("nginx", "nginx-light"),
            "-e",
            f"{self.folder}/error.log",
            "-c",
            f"{self.folder}/nginx.conf",
        ]

    def version(self) -> str:
        """What the server says it is."""
        said = subprocess.run([self.command()[0], "-v"], capture_output=True, text=True, check=True)
        return said.stderr.strip().removeprefix("nginx version: ")


def peers(folder: Path, cores: machine.Cores, wanted: Iterable[str]) -> list[Server]:
    """The peers of these names that the machine has."""
    names = set(wanted)
    # Each is called like its program.
    return [
        kind(folder / kind.name, cores)
        for kind in (DockerRegistry, Nginx)
        if kind.name in names and machine.find(kind.name) is not None
    ]


def request(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def get(port: int, path: str, authorization: str = "") -> tuple[int, bytes]:
    """One GET, as a client that takes every kind of manifest."""
    headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    if authorization:
        headers["Authorization"] = authorization
    return request(port, "GET", path, headers)


def _basic() -> str:
    return "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
