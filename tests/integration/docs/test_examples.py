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
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on a free port, made for one page, with the command line on the path."""
    port = free_port()
    commands = Path(sys.executable).parent
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "LONGSHORE_PORT": str(port),
        "LONGSHORE_DATA_DIR": str(tmp_path / "data"),
        "LONGSHORE_ADMIN_PASSWORD": PASSWORD,
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
