# SPDX-License-Identifier: Apache-2.0
"""TLS served directly: certificates are tried before they are served, and exchanged while clients go on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
import psutil
import pytest

from tests.acceptance.certificates import Pair, make_pair
from tests.acceptance.clients import find_tool
from tests.acceptance.server import check_log, free_port, log_tail, longshore_command

ADMIN = ("admin", "Harbor12345")


class TLSServer:
    """A server with TLS, and the files that it watches."""

    def __init__(self, folder: Path, chain: Path, key: Path, **settings: str) -> None:
        self.port = free_port()
        self.log = folder / "server.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "LONGSHORE_PORT": str(self.port),
            "LONGSHORE_DATA_DIR": str(folder / "data"),
            "LONGSHORE_ADMIN_PASSWORD": ADMIN[1],
            "LONGSHORE_TLS_CERT": str(chain),
            "LONGSHORE_TLS_KEY": str(key),
            **settings,
        }
        self.url = f"https://127.0.0.1:{self.port}"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                longshore_command("serve"), env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=ADMIN, verify=False, trust_env=False, timeout=60)  # noqa: S501

    def subject(self) -> str:
        """The common name of the certificate that a new connection is shown."""
        context = ssl._create_unverified_context()  # noqa: S323
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
            assert shown is not None
        named = subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=shown, capture_output=True, check=True
        )
        return named.stdout.decode().rpartition("CN = ")[2].strip()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 40) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, log_tail(self.log)
            if condition():
                return
            time.sleep(0.1)
        raise AssertionError(f"waited in vain:\n{log_tail(self.log)}")

    def ready(self) -> bool:
        try:
            with self.client() as client:
                return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()


@contextmanager
def tls_server(folder: Path, chain: Path, key: Path, **settings: str) -> Iterator[TLSServer]:
    """Runs a server until the block ends, and demands that it stops cleanly."""
    server = TLSServer(folder, chain, key, **settings)
    try:
        server.wait_for(server.ready)
        yield server
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0, log_tail(server.log)
        check_log(server.log)
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def _kubernetes_volume(folder: Path, pair: Pair) -> tuple[Path, Path]:
    """Files as a Secret's volume has them: symbolic links through `..data`, which is one itself."""
    folder.mkdir()
    _swap(folder, pair, "first")
    for name in ("tls.crt", "tls.key"):
        (folder / name).symlink_to(f"..data/{name}")
    return folder / "tls.crt", folder / "tls.key"


def _swap(folder: Path, pair: Pair, version: str) -> None:
    """Exchanges what `..data` points to, as a kubelet does; no file's time of change says so."""
    content = folder / f"..{version}"
    content.mkdir()
    for source, name in ((pair.chain, "tls.crt"), (pair.key, "tls.key")):
        shutil.copy(source, content / name)
        os.utime(content / name, (1_700_000_000, 1_700_000_000))
    link = folder / "..new"
    link.symlink_to(content.name)
    link.rename(folder / "..data")


class Visitors:
    """Clients that come and go all the time, some with new connections and some on one they keep."""

    def __init__(self, server: TLSServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self.answers = 0
        self.problems: list[str] = []
        self._threads = [
            threading.Thread(target=target) for target in (self._come_anew, self._come_anew, self._stay, self._stay)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _come_anew(self) -> None:
        while not self._stop.wait(0.02):
            with self._server.client() as client:
                self._ask(client)

    def _stay(self) -> None:
        with self._server.client() as client:
            while not self._stop.wait(0.02):
                self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        try:
            answer = client.get("/v2/")
            if answer.status_code != 200:
                self.problems.append(f"{answer.status_code}: {answer.text}")
        except httpx.HTTPError as error:
            self.problems.append(repr(error))
        self.answers += 1


class Download:
    """A client that takes a blob slowly."""

    def __init__(self, server: TLSServer, path: str, *, seconds: float) -> None:
        self._server, self._path, self._seconds = server, path, seconds
        self.begun = threading.Event()
        self.digest = ""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        found = hashlib.sha256()
        with self._server.client() as client, client.stream("GET", self._path) as answer:
            pieces = int(answer.headers["content-length"]) // 65536
            for piece in answer.iter_raw(65536):
                found.update(piece)
                self.begun.set()
                time.sleep(self._seconds / pieces)
        self.digest = f"sha256:{found.hexdigest()}"

    def over(self) -> str:
        self._thread.join(120)
        return self.digest


def _http2_download(server: TLSServer, path: str, target: Path) -> subprocess.Popen[bytes]:
    """The same by HTTP/2, whose connections are ended by a frame instead of a header."""
    options = ["--silent", "--fail", "--insecure", "--http2", "--limit-rate", "2M", "--max-time", "60"]
    return subprocess.Popen(
        [find_tool("curl"), *options, "--user", ":".join(ADMIN), "--output", str(target), f"{server.url}{path}"]
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_certificate_is_exchanged_under_load(tmp_path: Path, workers: str) -> None:
    """New connections get the new certificate; no transfer is cut off, no connection refused, no request fails."""
    first, second = make_pair(tmp_path, "first"), make_pair(tmp_path, "second", days=60)
    volume = tmp_path / "volume"
    chain, key = _kubernetes_volume(volume, first)
    content = os.urandom(30_000_000)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with tls_server(tmp_path, chain, key, LONGSHORE_WORKERS=workers) as server:
        with server.client() as client:
            assert client.post(f"/v2/library/x/blobs/uploads/?digest={digest}", content=content).status_code == 201
        assert server.subject() == "first"
        with (
            Visitors(server) as visitors,
            _http2_download(server, f"/v2/library/x/blobs/{digest}", tmp_path / "got") as other,
        ):
            download = Download(server, f"/v2/library/x/blobs/{digest}", seconds=15)
            assert download.begun.wait(30)
            _swap(volume, second, "second")
            server.wait_for(lambda: server.logged("certificate exchanged"))
            # For a moment the old processes accept what had reached them already.
            server.wait_for(lambda: {server.subject() for _ in range(6)} == {"second"})
            assert download.over() == digest
            assert other.wait(60) == 0
            assert (tmp_path / "got").read_bytes() == content
            # Until the old processes are gone.
            time.sleep(6)
        assert visitors.problems == []
        assert visitors.answers > 200
        shown = httpx.get(f"{server.url}/metrics", verify=False).text  # noqa: S501
        expiry = next(
            line for line in shown.splitlines() if line.startswith("longshore_tls_certificate_expiry_seconds")
        )
        assert 59 < (float(expiry.split()[1]) - time.time()) / 86400 < 61


def test_what_can_not_be_served_is_refused_and_the_old_certificate_kept(tmp_path: Path) -> None:
    """Files that are broken, expired, or don't belong together change nothing, and the log says which and why."""
    good, other = make_pair(tmp_path, "good"), make_pair(tmp_path, "other")
    expired = make_pair(tmp_path, "expired", days=-1)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(good.chain, chain)
    shutil.copy(good.key, key)
    with tls_server(tmp_path, chain, key) as server:
        shutil.copy(other.chain, chain)
        server.wait_for(lambda: server.logged("key values mismatch"))
        assert server.subject() == "good"
        shutil.copy(expired.chain, chain)
        shutil.copy(expired.key, key)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: server.logged("certificate has expired"))
        key.unlink()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: server.logged(f"LONGSHORE_TLS_KEY: the file {key} can't be read"))
        assert server.subject() == "good"
        text = server.log.read_text()
        assert "certificate refused, the old one is kept" in text
        assert "LONGSHORE_TLS_CERT, LONGSHORE_TLS_KEY" in text
        assert "PRIVATE KEY" not in text
        # A process that is started again meanwhile serves what was tried, not what lies there now.
        _kill_a_process(server)
        server.wait_for(server.ready)
        assert server.subject() == "good"
        # The chain first, and its key a moment later: no pair in between is worth an error.
        before = text.count("certificate refused")
        shutil.copy(other.chain, chain)
        shutil.copy(other.key, key)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: server.subject() == "other")
        assert server.log.read_text().count("certificate refused") == before
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: server.logged("certificate unchanged"))


def _kill_a_process(server: TLSServer) -> None:
    """Kills the HTTP process as the kernel does when memory runs out."""
    # The worker role's process is the one that has let go of the listening sockets.
    children = psutil.Process(server.process.pid).children()
    serving = [child for child in children if any(c.laddr.port == server.port for c in child.net_connections())]
    assert len(serving) == 1
    serving[0].kill()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"days": -1}, "certificate has expired"),
        ({"key": "rsa:1024"}, "key too small"),
        ({"key": "ec:secp521r1"}, "P-521"),
        ({"key": "rsa:2048", "password": "hunter22"}, "the key has a password"),
    ],
)
def test_a_certificate_that_no_client_would_accept_keeps_the_server_from_starting(
    tmp_path: Path, options: dict[str, int | str], reason: str
) -> None:
    """At start the error names the settings and the reason, and asks nothing at the terminal."""
    pair = make_pair(tmp_path, "bad", **options)  # type: ignore[arg-type] # the values fit their names
    said = _refused(tmp_path, pair)
    assert "LONGSHORE_TLS_CERT, LONGSHORE_TLS_KEY" in said
    assert reason in said
    assert "hunter22" not in said


def test_a_pair_that_is_none_keeps_the_server_from_starting(tmp_path: Path) -> None:
    """A key of another certificate, and a file that is no certificate."""
    first, second = make_pair(tmp_path, "first"), make_pair(tmp_path, "second")
    assert "key values mismatch" in _refused(tmp_path, Pair(first.chain, second.key))
    assert "isn't PEM" in _refused(tmp_path, Pair(first.key, first.key))
    assert "LONGSHORE_TLS_CERT: the file" in _refused(tmp_path, Pair(tmp_path / "missing", first.key))


def _refused(folder: Path, pair: Pair) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "LONGSHORE_PORT": str(free_port()),
        "LONGSHORE_DATA_DIR": str(folder / "data"),
        "LONGSHORE_TLS_CERT": str(pair.chain),
        "LONGSHORE_TLS_KEY": str(pair.key),
    }
    done = subprocess.run(
        longshore_command("serve"), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


async def test_a_handshake_that_has_begun_is_finished(tmp_path: Path) -> None:
    """A connection whose handshake hangs while certificates are exchanged can still be finished."""
    first, second = make_pair(tmp_path, "first"), make_pair(tmp_path, "second")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(first.chain, chain)
    shutil.copy(first.key, key)
    with tls_server(tmp_path, chain, key) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        # The old process has accepted before it hears of the new certificate.
        await asyncio.sleep(0.5)
        shutil.copy(second.chain, chain)
        shutil.copy(second.key, key)
        await asyncio.to_thread(server.wait_for, lambda: server.logged("certificate exchanged"))
        await writer.start_tls(ssl._create_unverified_context())  # noqa: S323
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        writer.close()
