# SPDX-License-Identifier: Apache-2.0
"""A real ``longshore serve`` process for tests, and the little of its API that they need to get going."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ACCEPTED = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
START_SECONDS = 60
STOP_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A name and a password."""

    username: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where the registry under test listens, who may do everything there, and how it was started.

    ``environment`` is the server's own; a ``longshore`` command that runs in it works on the same data.
    """

    host: str
    admin: Login
    environment: dict[str, str]
    log: Path

    @property
    def url(self) -> str:
        """The address for plain HTTP requests, without a slash at its end."""
        return f"http://{self.host}"

    @property
    def wrong_login(self) -> Login:
        """The administrator with a password that isn't theirs."""
        return Login(username=self.admin.username, password="not-the-password")

    def client(self, login: Login | None = None) -> httpx.Client:
        """A plain HTTP client of the registry, with Basic credentials when a login is given."""
        authentication = None if login is None else httpx.BasicAuth(login.username, login.password)
        return httpx.Client(base_url=self.url, auth=authentication, trust_env=False, timeout=60)

    def make_project(self, *, public: bool, prefix: str = "acceptance") -> str:
        """Makes a project through Harbor's API and gives its name, which no other test uses."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        body = {"project_name": name, "metadata": {"public": "true" if public else "false"}}
        with self.client(self.admin) as client:
            answer = client.post("/api/v2.0/projects", json=body)
        assert answer.status_code == httpx.codes.CREATED, f"making project {name}: {answer.status_code} {answer.text}"
        return name

    def manifest(self, repository: str, reference: str) -> httpx.Response:
        """The manifest as stored, whatever its type, read with the administrator's credentials."""
        with self.client(self.admin) as client:
            answer = client.get(f"/v2/{repository}/manifests/{reference}", headers={"Accept": ACCEPTED})
        assert answer.status_code == httpx.codes.OK, f"{repository}:{reference}: {answer.status_code} {answer.text}"
        return answer

    def digest(self, repository: str, reference: str) -> str:
        """The digest that the registry names for a reference."""
        return self.manifest(repository, reference).headers["Docker-Content-Digest"]


def longshore_command(*arguments: str) -> list[str]:
    """The command line of the ``longshore`` that is installed beside the Python running the tests."""
    return [str(Path(sys.executable).with_name("longshore")), *arguments]


def longshore(environment: dict[str, str], *arguments: str, timeout: float = 300) -> str:
    """Runs a ``longshore`` command to its end and gives what it printed; raises AssertionError when it fails."""
    done = subprocess.run(
        longshore_command(*arguments), env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, (
        f"longshore {' '.join(arguments)} ended with {done.returncode}: {done.stdout}\n{done.stderr}"
    )
    return done.stdout


def free_port() -> int:
    """A TCP port of loopback that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def log_tail(log: Path, lines: int = 60) -> str:
    """The end of a log file, for messages of failing tests."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def serve(directory: Path, settings: dict[str, str] | None = None) -> Iterator[Registry]:
    """Runs a server on a free port with its data below ``directory`` until the block ends.

    ``settings`` are environment variables beyond address, data and password. The end of the block stops the server with
    SIGTERM, demands that it exits cleanly within a minute, that nothing it answered was an internal error, and that
    ``longshore verify`` finds database and store in agreement.
    """
    admin = Login(username="admin", password="Harbor12345")
    port = free_port()
    data = directory / "data"
    environment = {
        "PATH": os.environ["PATH"],
        "LONGSHORE_HOST": "127.0.0.1",
        "LONGSHORE_PORT": str(port),
        "LONGSHORE_DATA_DIR": str(data),
        "LONGSHORE_ADMIN_PASSWORD": admin.password,
        **(settings or {}),
    }
    if "LONGSHORE_DATABASE_URL" in environment:
        longshore(environment, "migrate")
    registry = Registry(host=f"127.0.0.1:{port}", admin=admin, environment=environment, log=directory / "server.log")
    directory.mkdir(parents=True, exist_ok=True)
    with registry.log.open("wb") as output:
        process = subprocess.Popen(
            longshore_command("serve"), env=environment, cwd=directory, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(process, registry)
        yield registry
    except BaseException:
        process.kill()
        process.wait()
        raise
    stop(process, registry.log)
    check_log(registry.log)
    longshore(environment, "verify", "--deep")
    shutil.rmtree(data)


def wait_until_ready(process: subprocess.Popen[bytes], registry: Registry) -> None:
    """Waits for ``/readyz`` to answer 200; raises AssertionError with the log when it doesn't."""
    deadline = time.monotonic() + START_SECONDS
    with registry.client() as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"longshore serve ended with {process.returncode}:\n{log_tail(registry.log)}")
            try:
                if client.get("/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise AssertionError(f"longshore serve wasn't ready after {START_SECONDS} s:\n{log_tail(registry.log)}")


def stop(process: subprocess.Popen[bytes], log: Path) -> None:
    """Ends the server as a service manager does and demands a clean exit."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"longshore serve didn't stop within {STOP_SECONDS} s:\n{log_tail(log)}") from None
    assert code == 0, f"longshore serve ended with {code} after SIGTERM:\n{log_tail(log)}"


def check_log(log: Path) -> None:
    """Fails when the server logged an unexpected exception or the password of anybody."""
    content = log.read_text(errors="replace")
    assert "Traceback" not in content, f"the server logged an internal error:\n{log_tail(log, 200)}"
    assert "Harbor12345" not in content, f"the server logged a password: {log}"
