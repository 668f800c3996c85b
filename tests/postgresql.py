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
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def server() -> Iterator[str]:
    """Starts a server and yields its URL without a database: `postgresql://postgres@127.0.0.1:port`."""
    where = programs()
    with tempfile.TemporaryDirectory(prefix="longshore-postgresql-", ignore_cleanup_errors=True) as folder:
        user = _user()
        if user is not None:
            shutil.chown(folder, user)
        data = Path(folder, "data")
        initdb = [
            str(where / "initdb"),
            "-D",
            str(data),
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
        port = _free_port()
        options = [argument for name, value in _SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        process = subprocess.Popen(
            [str(where / "postgres"), "-D", str(data), "-p", str(port), *options],
            user=user,
            cwd=folder,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads run yet, and nothing else ends it after a kill -9
        )
        try:
            _wait(process, where / "pg_isready", port)
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)


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
