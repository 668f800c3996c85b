# SPDX-License-Identifier: Apache-2.0
"""Several servers on one PostgreSQL and one store, and a front proxy that sends nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.acceptance.clients import find_tool
from tests.acceptance.kinds import Kind
from tests.acceptance.server import (
    Login,
    Registry,
    check_log,
    free_port,
    log_tail,
    longshore,
    longshore_command,
    wait_until_ready,
)

ADMIN = Login(username="admin", password="Harbor12345")


@dataclass(slots=True)
class Replica:
    """One server, which can be started, stopped, killed and started again."""

    folder: Path
    environment: dict[str, str]
    role: str
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def port(self) -> int:
        return int(self.environment["LONGSHORE_PORT"])

    @property
    def log(self) -> Path:
        return self.folder / f"{self.role}-{self.port}-{self.starts}.log"

    @property
    def registry(self) -> Registry:
        """The server as the other tests know one."""
        return Registry(host=f"127.0.0.1:{self.port}", admin=ADMIN, environment=self.environment, log=self.log)

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def start(self) -> None:
        """Starts it, and waits until it is ready if it answers HTTP."""
        self.starts += 1
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                longshore_command("serve", "--role", self.role),
                env=self.environment,
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if self.role != "worker":
            wait_until_ready(self.running, self.registry)

    def stop(self) -> None:
        """Stops it as a service manager does."""
        self.running.send_signal(signal.SIGTERM)
        assert self.running.wait(60) == 0, log_tail(self.log)
        check_log(self.log)

    def kill(self) -> None:
        """Ends it without a warning."""
        self.running.kill()
        self.running.wait()


@dataclass(slots=True)
class Replicas:
    """API servers and workers that share everything but their processes.

    `settings` is what all of them have in common, as a command on the same data needs it.
    """

    settings: dict[str, str]
    api: list[Replica] = field(default_factory=list)
    workers: list[Replica] = field(default_factory=list)

    def client(self, number: int, login: Login | None = ADMIN) -> httpx.Client:
        """A client of one API server."""
        return self.api[number].registry.client(login)


def common_settings(request: pytest.FixtureRequest, kind: Kind, folder: Path) -> dict[str, str]:
    """A fresh database at the schema and an empty store of this kind, which sends its bytes by way of us."""
    settings = {
        "LONGSHORE_STORAGE_URL": f"file://{folder}/store",
        **kind.settings(request, redirect=False),
        "PATH": os.environ["PATH"],
        "LONGSHORE_ADMIN_PASSWORD": ADMIN.password,
        "LONGSHORE_DATABASE_POOL": "2",
    }
    longshore(settings | {"LONGSHORE_DATA_DIR": str(folder / "command")}, "migrate")
    return settings


@contextmanager
def run_replicas(folder: Path, settings: dict[str, str], *, api: int = 2, workers: int = 0) -> Iterator[Replicas]:
    """Runs servers until the block ends, stops them, and demands that database and store agree."""
    folder.mkdir(parents=True, exist_ok=True)
    replicas = Replicas(settings | {"LONGSHORE_DATA_DIR": str(folder / "command")})
    for role, count, servers in (("api", api, replicas.api), ("worker", workers, replicas.workers)):
        for number in range(count):
            place = {
                "LONGSHORE_PORT": str(free_port()),
                "LONGSHORE_DATA_DIR": str(folder / f"{role}-{number}"),
            }
            servers.append(Replica(folder, settings | place, role))
    everyone = [*replicas.api, *replicas.workers]
    try:
        for replica in everyone:
            replica.start()
        yield replicas
        for replica in everyone:
            if replica.running.poll() is None:
                replica.stop()
        longshore(replicas.settings, "verify", "--deep")
    finally:
        for replica in everyone:
            if replica.process is not None and replica.process.poll() is None:
                replica.kill()


class Front:
    """nginx before the replicas. It sends nothing twice, and knows who is ready from a loop that asks."""

    def __init__(self, folder: Path, replicas: Sequence[Replica]) -> None:
        self.port = free_port()
        self._folder = folder
        self._replicas = replicas
        self._ready: list[int] = []
        self._stop = threading.Event()
        self._checking = threading.Thread(target=self._check)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._look()
        (self._folder / "nginx.conf").write_text(_NGINX.format(folder=self._folder, port=self.port))
        self._process = subprocess.Popen(
            [find_tool("nginx"), "-c", self._folder / "nginx.conf", "-e", self._folder / "error.log"]
        )
        self._checking.start()
        wait_for_http(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._checking.join()
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def knows(self, replica: Replica) -> bool:
        """Whether requests go to the replica."""
        return replica.port in self._ready

    def _check(self) -> None:
        while not self._stop.wait(0.25):
            if self._look() and self._process is not None:
                self._process.send_signal(signal.SIGHUP)

    def _look(self) -> bool:
        """Writes down who is ready, and says whether that is something new."""
        ready = [replica.port for replica in self._replicas if _is_ready(replica.port)]
        if not ready or ready == self._ready:
            return False
        servers = "".join(f"server 127.0.0.1:{port} max_fails=0;\n" for port in ready)
        fresh = self._folder / "upstreams.new"
        fresh.write_text(servers)
        fresh.rename(self._folder / "upstreams")
        self._ready = ready
        return True


def wait_for_http(url: str) -> None:
    """Waits until a proxy answers for a server behind it."""
    until = time.monotonic() + 20
    while True:
        try:
            assert httpx.get(f"{url}/livez").status_code == 200
        except httpx.TransportError:
            assert time.monotonic() < until, f"{url} doesn't answer"
            time.sleep(0.1)
        else:
            return


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream longshore {{
        include {folder}/upstreams;
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_next_upstream off;
        location / {{ proxy_pass http://longshore; }}
    }}
}}
"""
