# SPDX-License-Identifier: Apache-2.0
"""What a real server has synced before each 201 leaves, read from its system calls."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess

import httpx
import psutil
import pytest

from tests.acceptance.server import Login, Registry, free_port, longshore_command, wait_until_ready
from tests.crash.pushing import digest_of

_CALLS = "openat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,close,unlink,unlinkat,rename"
_BLOB = os.urandom(300_000)
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The calls of a server, with SQLite and a folder, while it is pushed a blob, one in chunks, and a manifest."""
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is missing; CI must prove the order of the system calls: apt-get install strace")
        pytest.skip("strace is missing: apt-get install strace")
    directory = tmp_path_factory.mktemp("traced")
    registry = Registry(
        host=f"127.0.0.1:{free_port()}",
        admin=Login(username="admin", password="Harbor12345"),
        environment={},
        log=directory / "server.log",
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "LONGSHORE_PORT": registry.host.partition(":")[2],
        "LONGSHORE_DATA_DIR": str(directory / "data"),
        "LONGSHORE_ADMIN_PASSWORD": registry.admin.password,
    }
    output = directory / "trace"
    with registry.log.open("wb") as log:
        process = subprocess.Popen(
            [strace, "-f", "-y", "-s", "48", "-e", f"trace={_CALLS}", "-o", output, *longshore_command("serve")],
            env=environment,
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(process, registry)
        with registry.client(registry.admin) as client:
            _push(client)
        for child in psutil.Process(process.pid).children():
            child.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        for child in psutil.Process(process.pid).children() if process.poll() is None else ():
            child.kill()
        process.kill()
        process.wait()
    return _joined(output.read_text(errors="replace").splitlines())


def _push(client: httpx.Client) -> None:
    binary = {"Content-Type": "application/octet-stream"}
    location = client.post("/v2/library/traced/blobs/uploads/").headers["Location"]
    answer = client.put(location, params={"digest": digest_of(_BLOB)}, content=_BLOB, headers=binary)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    config = b"{}"
    location = client.post("/v2/library/traced/blobs/uploads/").headers["Location"]
    location = client.patch(location, content=config, headers=binary).headers["Location"]
    answer = client.put(location, params={"digest": digest_of(config)})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    described = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(blob), "size": len(blob)}
        for blob in (config, _BLOB)
    ]
    document = {"schemaVersion": 2, "mediaType": _MANIFEST_TYPE, "config": described[0], "layers": described[1:]}
    answer = client.put(
        "/v2/library/traced/manifests/v1", content=json.dumps(document), headers={"Content-Type": _MANIFEST_TYPE}
    )
    assert answer.status_code == httpx.codes.CREATED, answer.text


def _joined(lines: list[str]) -> list[str]:
    """Calls that strace cut in two, because another thread spoke meanwhile, where they ended."""
    begun: dict[str, str] = {}
    calls: list[str] = []
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif (resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call)) and thread in begun:
            calls.append(begun.pop(thread) + resumed[1])
        else:
            calls.append(call)
    return calls


def _answers(trace: list[str]) -> list[int]:
    """Where each 201 leaves."""
    return [number for number, call in enumerate(trace) if "HTTP/1.1 201" in call]


def _before(trace: list[str], answer: int, since: int) -> list[str]:
    return [call for call in trace[since:answer] if re.search(r"\) += +\d+", call)]


def _last(calls: list[str], pattern: str) -> int:
    """Where the last call that matches is; fails when there is none."""
    found = [number for number, call in enumerate(calls) if re.match(pattern, call)]
    assert found, f"no {pattern} in {[call[:160] for call in calls]}"
    return found[-1]


_WRITE_OBJECT = r"p?writev?(?:64|2)?\(\d+<[^>]*/(?P<key>(?P<shard>[0-9a-f]{2})/(?P=shard)[0-9a-f]{30})>"
_COMMIT = r"f(data)?sync\(\d+<[^>]*\.db-wal>"
_WRITE_LOG = r"pwrite64\(\d+<[^>]*\.db-wal>"


@pytest.mark.parametrize("number", [0, 1], ids=["monolithic", "chunked"])
def test_a_blob_is_synced_before_its_201(trace: list[str], number: int) -> None:
    """The object's bytes, its name, and then the rows that own it are durable when the answer leaves."""
    answers = _answers(trace)
    assert len(answers) == 3
    calls = _before(trace, answers[number], answers[number - 1] if number else 0)
    written = _last(calls, _WRITE_OBJECT)
    match = re.match(_WRITE_OBJECT, calls[written])
    assert match is not None
    key = match["key"]
    file = _last(calls, rf"f(data)?sync\(\d+<[^>]*/{key}>")
    shard = _last(calls, rf"fsync\(\d+<[^>]*/{key[:2]}>")
    rows, commit = _last(calls, _WRITE_LOG), _last(calls, _COMMIT)
    assert written < file
    assert max(file, shard) < rows < commit


def test_a_manifest_is_synced_before_its_201(trace: list[str]) -> None:
    """The rows of the manifest and its tag are durable when the answer leaves."""
    answers = _answers(trace)
    calls = _before(trace, answers[2], answers[1])
    assert _last(calls, _WRITE_LOG) < _last(calls, _COMMIT)


def test_nothing_is_renamed(trace: list[str]) -> None:
    """A key's object has its name from the first byte on."""
    assert not [call for call in trace if call.startswith("rename") and re.search(r"/[0-9a-f]{2}/[0-9a-f]{32}", call)]
