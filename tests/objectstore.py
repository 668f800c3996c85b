# SPDX-License-Identifier: Apache-2.0
"""An S3 server of the tests' own, with its files in a temporary folder, for as long as they run."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_START_SECONDS = 30.0
ACCESS_KEY = "longshore-tests"
SECRET_KEY = "no/secret+at%all"


class ObjectStoreMissingError(Exception):
    """There is no `versitygw` on this machine."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running server.

    Attributes:
        endpoint: Where it answers.
        folder: Where it keeps its buckets, one folder each.
        process: What runs it, for tests that stop it.
    """

    endpoint: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def bucket(self, name: str) -> str:
        """Make a bucket, unless it is there, and return its name."""
        (self.folder / name).mkdir(exist_ok=True)
        return name

    def url(self, bucket: str, prefix: str = "", **options: str) -> str:
        """The storage URL of a bucket, or of a prefix in it."""
        given = {"endpoint": self.endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, **options}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items())
        return f"s3://{bucket}/{prefix}?{query}"


def program() -> str:
    """The server's program.

    Raises:
        ObjectStoreMissingError: it is neither on PATH nor where `.ci/install-tools` puts it.
    """
    tools = os.environ.get("LONGSHORE_TOOLS", "/opt/longshore-tools")
    found = shutil.which("versitygw", path=f"{os.environ.get('PATH', '')}:{tools}/bin")
    if found is None:
        raise ObjectStoreMissingError(
            "no versitygw found: install it with `go install github.com/versity/versitygw/cmd/versitygw@latest`, or put the "
            "folder above its bin/ into LONGSHORE_TOOLS"
        )
    return found


@contextmanager
def server(*, port: int | None = None, folder: Path | None = None) -> Iterator[ObjectStore]:
    """Start a server and yield it; with a `folder` of its own it keeps what was stored there before."""
    versitygw = program()
    with tempfile.TemporaryDirectory(prefix="longshore-objectstore-", ignore_cleanup_errors=True) as temporary:
        data = folder or Path(temporary, "data")
        for each in (data, Path(temporary, "iam")):
            each.mkdir(exist_ok=True)
        port = port or _free_port()
        command = [versitygw, "--port", f"127.0.0.1:{port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY]
        with Path(temporary, "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--iam-dir", f"{temporary}/iam", "--quiet", "--keep-alive", "posix", str(data)],
                stdout=log,
                stderr=log,
                cwd=temporary,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - nothing else ends it after a kill -9
            )
        try:
            _wait(process, port, Path(temporary, "log"))
            yield ObjectStore(f"http://127.0.0.1:{port}", data, process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"versitygw did not start: {log.read_text(errors='replace')[-2000:]}")
