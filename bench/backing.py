# SPDX-License-Identifier: Apache-2.0
"""What Longshore needs beside it in its larger configurations: a durable PostgreSQL, an S3 server, a front server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

from bench import machine

_START_SECONDS = 60.0
# All that makes it durable stays as it comes: fsync, full_page_writes and synchronous_commit are on.
_POSTGRESQL = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "50",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}
_BUCKET = "longshore"
_ACCESS = "bench-access"
_SECRET = "bench-secret"  # noqa: S105 - of a server that lives for minutes on loopback


class Backing(ABC):
    """A server that the one under test depends on; it runs on the same cores, and its CPU time is told apart."""

    program: ClassVar[str]
    package: ClassVar[str]
    user: ClassVar[str | None] = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = machine.free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    def start(self, cores: Sequence[int]) -> None:
        """Starts it and waits until it answers.

        Raises:
            Unavailable: it isn't installed.
        """
        self.prepare()
        with (self.folder.parent / f"{self.program}.log").open("ab") as log:
            self._process = subprocess.Popen(
                machine.pinned(cores, self.command()),
                user=self.user if os.geteuid() == 0 else None,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.program} didn't start, see {self.folder.parent}/{self.program}.log")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        """Ends every process of it at once."""
        if self._process is not None:
            machine.kill(self._process.pid)
            self._process.wait(30)
            self._process = None

    def seconds(self) -> float:
        """Its CPU time so far."""
        return 0.0 if self._process is None else machine.cpu_seconds(self._process.pid)

    def memory(self) -> float:
        """Its memory in megabytes (10^6), a page that several processes use counted once."""
        return 0.0 if self._process is None else machine.memory(self._process.pid).shared_once

    @abstractmethod
    def prepare(self) -> None:
        """Makes its folder, unless it is there."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    @abstractmethod
    def version(self) -> str:
        """What it says it is."""

    def ready(self) -> bool:
        """Whether it answers."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class PostgreSQL(Backing):
    """A cluster of its own, durable as it comes."""

    program = "postgres"
    package = "postgresql"
    user = "postgres"

    @property
    def url(self) -> str:
        """What LONGSHORE_DATABASE_URL says."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/longshore"

    def prepare(self) -> None:
        """Makes the cluster, owned by PostgreSQL's own user, since it refuses to run as root."""
        if (self.folder / "PG_VERSION").exists():
            # Left by a kill: the process of that number may be anybody by now.
            (self.folder / "postmaster.pid").unlink(missing_ok=True)
            return
        self.folder.mkdir(parents=True)
        owner = self.user if os.geteuid() == 0 else None
        if owner is not None:
            shutil.chown(self.folder, owner)
        subprocess.run(
            [self._find("initdb"), "-D", str(self.folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True,
            user=owner,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def command(self) -> list[str]:
        """The command line."""
        options = [argument for name, value in _POSTGRESQL.items() for argument in ("-c", f"{name}={value}")]
        return [self._find("postgres"), "-D", str(self.folder), "-p", str(self.port), *options]

    def ready(self) -> bool:
        """Whether it takes logins: an open port isn't enough, it refuses them while it starts up."""
        command = [self._find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        return subprocess.run(command, check=False).returncode == 0

    def make_database(self) -> bool:
        """Makes the database; False when it was there."""
        command = [self._find("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "longshore"]
        return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0

    def version(self) -> str:
        """What it says it is."""
        said = subprocess.run([self._find("postgres"), "--version"], capture_output=True, text=True, check=True)
        return said.stdout.strip()

    def _find(self, program: str) -> str:
        debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
        return str(debian[-1]) if debian else machine.require(program, self.package)


class ObjectStore(Backing):
    """versitygw on a folder: an S3 server that needs nothing else."""

    program = "versitygw"
    package = "none"

    @property
    def url(self) -> str:
        """What LONGSHORE_STORAGE_URL says."""
        query = {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "region": "us-east-1",
            "path_style": "true",
            "access_key": _ACCESS,
            "secret_key": _SECRET,
        }
        return f"s3://{_BUCKET}?{urlencode(query, safe=':/')}"

    def prepare(self) -> None:
        """Makes the bucket, which is a folder."""
        (self.folder / _BUCKET).mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """The command line."""
        return [
            machine.require(self.program, self.package),
            *("--port", f"127.0.0.1:{self.port}", "--access", _ACCESS, "--secret", _SECRET, "--quiet", "--keep-alive"),
            *("posix", str(self.folder)),
        ]

    def version(self) -> str:
        """What it says it is."""
        command = [machine.require(self.program, self.package), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        return f"versitygw {' '.join(said.stdout.split())}"


class FrontServer(Backing):
    """nginx in front of Longshore, as `docs/how-to/reverse-proxy.md` has it, which also sends the blobs from their folder.

    Args:
        folder: Where its configuration is.
        port: Where clients find it.
        behind: The port of Longshore.
        store: The folder of Longshore's blobs.
    """

    program = "nginx"
    package = "nginx-light"
    prefix: ClassVar[str] = "/_store/"

    def __init__(self, folder: Path, port: int, behind: int, store: Path) -> None:
        super().__init__(folder)
        self.port = port
        self._behind = behind
        self._store = store

    def prepare(self) -> None:
        """Writes its configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = "".join(
            f"  {kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;\n"
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            "events { worker_connections 4096; }\n"
            "http {\n"
            "  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; client_max_body_size 0;\n"
            f"{temporary}"
            f"  upstream longshore {{ server 127.0.0.1:{self._behind}; keepalive 64; keepalive_requests 1000000000; }}\n"
            "  server {\n"
            f"    listen 127.0.0.1:{self.port} backlog=2048;\n"
            "    proxy_request_buffering off; proxy_buffering off; proxy_http_version 1.1;\n"
            '    proxy_set_header Connection ""; proxy_set_header Host $http_host;\n'
            "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
            "    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Sendfile-Type X-Accel-Redirect;\n"
            "    location / { proxy_pass http://longshore; }\n"
            f"    location {self.prefix} {{ internal; alias {self._store}/; }}\n"
            "  }\n"
            "}\n",
            encoding="utf-8",
        )

    def command(self) -> list[str]:
        """The command line."""
        program = machine.require(self.program, self.package)
        return [program, "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"]

    def version(self) -> str:
        """What it says it is."""
        program = machine.require(self.program, self.package)
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
        return f"behind {said.stderr.strip().removeprefix('nginx version: ')}"
