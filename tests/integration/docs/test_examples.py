# SPDX-License-Identifier: Apache-2.0
"""The examples of the documentation that need nothing but curl and longshore, run as they are printed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, Block, blocks, pages

PASSWORD = "Harbor12345"
ADDRESS = "127.0.0.1:8080"
RUNNABLE = [page for page in pages() if any(block.mark == "run" for block in blocks(page))]
MARK = "@@@ end of block"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its address, and the environment that its commands run in."""

    address: str
    environment: dict[str, str]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server on a free port, made for one page, with the command line on the path; its parameter is more settings."""
    port = free_port()
    commands = Path(sys.executable).parent
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "LONGSHORE_PORT": str(port),
        "LONGSHORE_DATA_DIR": str(tmp_path / "data"),
        "LONGSHORE_ADMIN_PASSWORD": PASSWORD,
        **getattr(request, "param", {}),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([commands / "longshore", "serve"], env=environment, stdout=output, stderr=output)
    try:
        until = time.monotonic() + 60
        while not ready(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield Server(f"127.0.0.1:{port}", environment)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def run(server: Server, folder: Path, marked: list[Block]) -> list[str]:
    """Runs the blocks one after the other in one shell that stops at the first error; what each has printed."""
    texts = [block.text for block in marked if block.mark == "run"]
    script = "set -euo pipefail\n" + "".join(f"{text}\necho '{MARK}'\n" for text in texts)
    done = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, server.address)],
        cwd=folder,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.split(f"{MARK}\n")[:-1]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_do_what_the_page_says(page: Path, server: Server, tmp_path: Path) -> None:
    """Every block that is marked to be run succeeds, and prints what the block after it says."""
    folder = tmp_path / secrets.token_hex(4)
    folder.mkdir()
    marked = [block for block in blocks(page) if block.mark]
    printed = iter(run(server, folder, marked))
    last = ""
    for block in marked:
        if block.mark == "run":
            last = next(printed).replace(server.address, ADDRESS)
        else:
            assert last.strip() == block.text.strip()


def test_the_examples_are_found() -> None:
    """The README and both tutorials have examples that are run."""
    found = {str(page.relative_to(ROOT)) for page in RUNNABLE}
    assert {"README.md", "docs/tutorial/first-push-and-pull.md", "docs/tutorial/by-hand-with-curl.md"} <= found


@pytest.fixture
def nginx(server: Server, tmp_path: Path) -> Iterator[str]:
    """Nginx with the configuration that the how-to shows, in front of the server; the address that it listens on."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("the example needs nginx and openssl")
    page = ROOT / "docs" / "how-to" / "reverse-proxy.md"
    shown = next(block.text for block in blocks(page) if block.language == "nginx")
    address = f"127.0.0.1:{free_port()}"
    shown = shown.replace(ADDRESS, server.address).replace("listen 443 ssl", f"listen {address} ssl")
    shown = shown.replace("/etc/nginx/registry", str(tmp_path / "registry"))
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;\n"
        f"fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n{shown}\n}}\n"
    )
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-keyout", f"{tmp_path}/registry.key", "-out", f"{tmp_path}/registry.pem"]
    subprocess.run([*certificate, *names], check=True, capture_output=True)
    process = subprocess.Popen([program, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log"])
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("server", [{"LONGSHORE_TRUSTED_PROXIES": "127.0.0.1"}], indirect=True)
def test_the_reverse_proxy_example_works(server: Server, nginx: str, tmp_path: Path) -> None:
    """Behind the nginx of the how-to clients are sent to it for a token, push 3 MiB, and strangers see no metrics."""
    (tmp_path / "blob").write_bytes(secrets.token_bytes(3 * 1024 * 1024))
    script = f"""
        set -euo pipefail
        for _ in $(seq 100); do curl -sk -o /dev/null https://{nginx}/livez && break; sleep 0.1; done
        curl -sk -D - -o /dev/null https://{nginx}/v2/ | grep -i '^www-authenticate'
        digest=sha256:$(sha256sum {tmp_path}/blob | cut -d ' ' -f 1)
        curl -sk -u admin:{PASSWORD} -X POST --data-binary @{tmp_path}/blob -o /dev/null -w '%{{http_code}}\\n' \
            "https://{nginx}/v2/library/proxied/blobs/uploads/?digest=$digest"
        curl -sk https://{nginx}/v2/library/proxied/blobs/$digest | cmp - {tmp_path}/blob && echo same
        curl -sk -o /dev/null -w '%{{http_code}}\\n' https://{nginx}/metrics
    """
    done = subprocess.run(
        ["bash", "-c", script], env=server.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    challenge, *answers = done.stdout.split("\n")
    assert f'realm="https://{nginx}/service/token"' in challenge
    assert answers[:3] == ["201", "same", "403"]
