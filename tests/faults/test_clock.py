# SPDX-License-Identifier: Apache-2.0
"""The clock of the machine jumps, forwards and backwards."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.crash.pushing import check_pulls, digest_of
from tests.faults.background import running
from tests.faults.content import begin_upload, push_blob, push_image, push_manifest, received, slowly, some_bytes
from tests.faults.disks import MEGABYTE
from tests.faults.server import Server, wait_for

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@dataclass(frozen=True, slots=True)
class Clock:
    """What the server takes for the time of day; the time that passes is left as it is."""

    file: Path

    def settings(self) -> dict[str, str]:
        """The environment that makes it so."""
        return {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def jump(self, hours: float) -> None:
        """So many hours ahead of the truth from now on."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{hours * 3600:+.0f}\n")
        written.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that is right so far."""
    if not _LIBRARIES:
        if os.environ.get("CI") == "true":
            pytest.fail("libfaketime is missing: apt-get install faketime")
        pytest.skip("libfaketime is missing: apt-get install faketime")
    made = Clock(tmp_path / "clock")
    made.jump(0)
    return made


def test_the_clock_jumps(tmp_path: Path, clock: Clock) -> None:
    """Days ahead and back again: an upload under way ends well, nothing is removed, no token outlives its time."""
    with (
        Server(tmp_path / "server", clock.settings()) as server,
        server.registry.client(server.registry.admin) as client,
        server.registry.client() as bearer,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE))
        scope = {"service": "harbor-registry", "scope": "repository:library/kept:pull"}
        token = client.get("/service/token", params=scope).json()["token"]
        bearer.headers["Authorization"] = f"Bearer {token}"
        manifest = "/v2/library/kept/manifests/1"
        assert bearer.get(manifest).status_code == httpx.codes.OK
        waiting, blob = begin_upload(client, "library/waiting"), some_bytes(400_000)
        assert client.patch(waiting, content=blob[:100_000]).status_code == httpx.codes.ACCEPTED
        leased = some_bytes(50_000, 1)
        assert push_blob(client, "library/leased", leased).status_code == httpx.codes.CREATED
        slow, slow_blob = begin_upload(client, "library/slow"), some_bytes(MEGABYTE, 2)

        def push(_stopping: threading.Event) -> None:
            with server.registry.client(server.registry.admin) as own:
                answer = own.put(slow, params={"digest": digest_of(slow_blob)}, content=slowly(slow_blob, 6))
                assert answer.status_code == httpx.codes.CREATED, answer.text

        with running(push):
            time.sleep(1)
            clock.jump(72)
            wait_for(lambda: "clock jumped" in server.registry.log.read_text(), 10, "the worker to notice")
            assert bearer.get(manifest).status_code == httpx.codes.UNAUTHORIZED
            check_pulls(server.registry, kept)
            time.sleep(5)
        clock.jump(0)
        wait_for(lambda: "clock is right again" in server.registry.log.read_text(), 10, "the worker to go on")
        time.sleep(3)
        assert received(client, waiting) == 100_000
        answer = client.put(waiting, params={"digest": digest_of(blob)}, content=blob[100_000:])
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert push_manifest(client, "library/leased", "1", leased).status_code == httpx.codes.CREATED
        clock.jump(-2)
        before = [sum(process.cpu_times()[:2]) for process in server.processes()]
        # By the time that passed, the token is young.
        assert bearer.get(manifest).status_code == httpx.codes.OK
        token = client.get("/service/token", params=scope).json()["token"]
        assert bearer.get(manifest, headers={"Authorization": f"Bearer {token}"}).status_code == httpx.codes.OK
        after = push_image(client, "library/after", "1", b"{}", some_bytes(MEGABYTE, 3))
        time.sleep(4)
        used = [sum(process.cpu_times()[:2]) - known for process, known in zip(server.processes(), before, strict=True)]
        assert max(used) < 2, used
        # The library that bends the time makes a thread's sleep fail now and then, also of those who watch the supervisor.
        for process in server.processes():
            process.kill()
        server.kill()
        told = server.registry.log.rename(tmp_path / "bent.log").read_text()
        assert "unexpected error" not in told
        assert "reclaim_failed" not in told
        del server.registry.environment["LD_PRELOAD"]
        server.start()
        check_pulls(server.registry, kept)
        check_pulls(server.registry, after)
        with server.registry.client(server.registry.admin) as again:
            assert again.get(f"/v2/library/slow/blobs/{digest_of(slow_blob)}").content == slow_blob
        server.finish()
