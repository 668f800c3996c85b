# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own, in a temporary folder, for as long as they run."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_START_SECONDS = 30.0
# Speed over safety: nothing in here outlives the tests. What PostgreSQL promises about fsync isn't ours to test.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "deadlock_timeout": "200ms",
    "log_min_messages": "fatal",
}


class PostgreSQLMissingError(Exception):
    """There is no `initdb` on this machine."""


def programs() -> Path:
    """The folder of `initdb` and `postgres`.

    Raises:
        PostgreSQLMissingError: nothing was found on PATH, in LONGSHORE_TEST_POSTGRESQL, or where Debian puts them.
    """
    named = os.environ.get("LONGSHORE_TEST_POSTGRESQL")
    if named:
        return Path(named)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    if debian:
        return debian[-1].parent
    if found is None:
        raise PostgreSQLMissingError(
            "no initdb found: install PostgreSQL (Debian: apt-get install postgresql), or set LONGSHORE_TEST_POSTGRESQL"
        )
    return Path(found).resolve().parent


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL server that is started, stopped, frozen and started again on the same data and port."""

    programs: Path
    data: Path
    user: str | None
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL without a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it lets somebody in."""
        options = [argument for name, value in _SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        with self.data.with_name(f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port), *options],
                user=self.user,
                cwd=self.data.parent,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - nothing else ends it after a kill -9
            )
        _wait(self.process, self.programs / "pg_isready", self.port)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stops it: at once (SIGQUIT, as a crash does), or after it has thrown everybody out (SIGINT)."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it answers: not the listener, not a backend. Who connects gets as far as the kernel's queue."""
        assert self.process is not None
        listener = psutil.Process(self.process.pid)
        # The listener first: it could start another process meanwhile.
        listener.suspend()
        stopped = [listener, *listener.children(recursive=True)]
        for process in stopped[1:]:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(stopped):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    @contextmanager
    def standby(self) -> Iterator[Cluster]:
        """A running copy that follows this one and takes no writes."""
        copy = Cluster(self.programs, self.data.with_name("standby"), self.user, _free_port())
        command = [
            str(self.programs / "pg_basebackup"),
            "-d",
            f"{self.url}/postgres",
            "-D",
            str(copy.data),
            "-R",
            "-c",
            "fast",
        ]
        subprocess.run(command, check=True, user=self.user, cwd=self.data.parent, stdout=subprocess.DEVNULL)
        copy.start()
        try:
            yield copy
        finally:
            copy.stop()

    def promote(self) -> None:
        """Makes a standby the server that takes writes."""
        command = [str(self.programs / "pg_ctl"), "promote", "-w", "-D", str(self.data)]
        subprocess.run(command, check=True, user=self.user, cwd=self.data.parent, stdout=subprocess.DEVNULL)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server in a temporary folder."""
    where = programs()
    with tempfile.TemporaryDirectory(prefix="longshore-postgresql-", ignore_cleanup_errors=True) as folder:
        user = _user()
        if user is not None:
            shutil.chown(folder, user)
        running = Cluster(where, Path(folder, "data"), user, _free_port())
        initdb = [
            str(where / "initdb"),
            "-D",
            str(running.data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(initdb, check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder)
        try:
            running.start()
            yield running
        finally:
            running.stop()


@contextmanager
def server() -> Iterator[str]:
    """Starts a server and yields its URL without a database: `postgresql://postgres@127.0.0.1:port`."""
    with cluster() as running:
        yield running.url


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise PostgreSQLMissingError("PostgreSQL doesn't run as root, and there is no user postgres or nobody to run it")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], ready: Path, port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the PostgreSQL of the tests ended with {process.returncode}")
        # An open port isn't enough: it refuses logins while it starts up.
        if (
            subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"], check=False).returncode
            == 0
        ):
            return
        time.sleep(0.02)
    raise RuntimeError("the PostgreSQL of the tests did not start")
