# SPDX-License-Identifier: Apache-2.0
"""All replicas are restarted, one after the other, while clients push and pull: nobody notices."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.acceptance.kinds import Kind
from tests.acceptance.replicas import ADMIN, Front, common_settings, run_replicas

SIZE = 400_000
# More than what lies in the buffers between a server and a client that reads slowly.
LONG_SIZE = 24_000_000
LONG_SECONDS = 5.0
PIECES = 20


class Load:
    """Clients that push and pull images until they are told to stop, and write down whatever doesn't go well."""

    def __init__(self, url: str, *, pushers: int, pullers: int, slow: int = 0) -> None:
        self._url = url
        self._stop = threading.Event()
        self._pushed: list[str] = []
        self.problems: list[str] = []
        self.pushes = self.pulls = self.long_pushes = self.long_pulls = 0
        self._threads = [threading.Thread(target=self._push, args=(number,)) for number in range(pushers)]
        self._threads += [threading.Thread(target=self._pull) for _ in range(pullers)]
        self._threads += [threading.Thread(target=self._push_slowly) for _ in range(slow)]
        self._threads += [threading.Thread(target=self._pull_slowly) for _ in range(slow)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _client(self) -> httpx.Client:
        # No connection is kept: the proxy closes its clients' idle ones when it is told of new upstreams.
        return httpx.Client(
            base_url=self._url,
            auth=httpx.BasicAuth(ADMIN.username, ADMIN.password),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            timeout=60,
        )

    def _expect(self, answer: httpx.Response, status: int) -> httpx.Response:
        if answer.status_code != status:
            request = answer.request
            raise AssertionError(f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _going_on(self, work: Callable[[httpx.Client], None]) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                try:
                    work(client)
                except (httpx.HTTPError, AssertionError) as error:
                    self.problems.append(f"{time.strftime('%X')} {error!r}")

    def _push(self, number: int) -> None:
        def push(client: httpx.Client) -> None:
            repository = f"library/load-{number}"
            layer, config = os.urandom(SIZE), os.urandom(100)
            # One blob in one piece, one in three requests, each of which may meet another replica.
            begun = self._expect(client.post(f"/v2/{repository}/blobs/uploads/"), 202)
            place = begun.headers["location"]
            for offset in range(0, SIZE, SIZE // 2):
                piece = layer[offset : offset + SIZE // 2]
                place = self._expect(client.patch(place, content=piece), 202).headers["location"]
            mark = "&" if "?" in place else "?"
            self._expect(client.put(f"{place}{mark}digest={_digest(layer)}"), 201)
            self._expect(client.post(f"/v2/{repository}/blobs/uploads/?digest={_digest(config)}", content=config), 201)
            manifest, headers = _manifest(config, layer)
            self._expect(client.put(f"/v2/{repository}/manifests/latest", content=manifest, headers=headers), 201)
            self._pushed.append(f"{repository}@{_digest(manifest)}")
            self.pushes += 1

        self._going_on(push)

    def _pull(self) -> None:
        def pull(client: httpx.Client) -> None:
            if not self._pushed:
                time.sleep(0.05)
                return
            repository, _, digest = self._pushed[-1].partition("@")
            manifest = json.loads(self._expect(client.get(f"/v2/{repository}/manifests/{digest}"), 200).content)
            for blob in manifest["layers"]:
                content = self._expect(client.get(f"/v2/{repository}/blobs/{blob['digest']}"), 200).content
                assert _digest(content) == blob["digest"], "the layer isn't what was pushed"
            self.pulls += 1

        self._going_on(pull)

    def _push_slowly(self) -> None:
        """Requests of this kind begin before a server drains, and are answered while it does."""

        def push(client: httpx.Client) -> None:
            layer = os.urandom(SIZE)
            begun = self._expect(client.post("/v2/library/slow/blobs/uploads/"), 202)
            answer = self._expect(client.patch(begun.headers["location"], content=_slow_pieces(layer)), 202)
            place = answer.headers["location"]
            mark = "&" if "?" in place else "?"
            self._expect(client.put(f"{place}{mark}digest={_digest(layer)}"), 201)
            self.long_pushes += 1

        self._going_on(push)

    def _pull_slowly(self) -> None:
        content = os.urandom(LONG_SIZE)
        digest = _digest(content)

        def push(client: httpx.Client) -> None:
            self._expect(client.post(f"/v2/library/slow/blobs/uploads/?digest={digest}", content=content), 201)

        def pull(client: httpx.Client) -> None:
            found = hashlib.sha256()
            with client.stream("GET", f"/v2/library/slow/blobs/{digest}") as answer:
                if answer.is_error:
                    answer.read()
                self._expect(answer, 200)
                for piece in answer.iter_raw(LONG_SIZE // PIECES):
                    found.update(piece)
                    time.sleep(LONG_SECONDS / PIECES)
            assert f"sha256:{found.hexdigest()}" == digest, "the long transfer was cut off"
            self.long_pulls += 1

        with self._client() as client:
            push(client)
        self._going_on(pull)


def _slow_pieces(content: bytes) -> Iterator[bytes]:
    size = len(content) // PIECES
    for offset in range(0, len(content), size):
        time.sleep(LONG_SECONDS / PIECES)
        yield content[offset : offset + size]


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _manifest(config: bytes, layer: bytes) -> tuple[bytes, dict[str, str]]:
    """An image of one layer, and the headers to push it with."""
    kind = "application/vnd.oci.image.manifest.v1+json"
    document = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }
    return json.dumps(document).encode(), {"content-type": kind}


def _descriptor(kind: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits for a minute at most."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("kind", [Kind.POSTGRESQL, Kind.OBJECTS], ids=lambda kind: kind.value)
def test_a_rolling_restart_fails_no_request(request: pytest.FixtureRequest, tmp_path: Path, kind: Kind) -> None:
    """Behind a proxy that sends nothing twice, three replicas take turns, and every push and pull succeeds, short or long."""
    settings = {"LONGSHORE_DRAIN_DELAY": "3s", "LONGSHORE_WORKERS": "2"}
    with (
        run_replicas(tmp_path, common_settings(request, kind, tmp_path) | settings, api=3) as replicas,
        Front(tmp_path / "front", replicas.api) as front,
    ):
        for replica in replicas.api:
            wait_for(partial(front.knows, replica))
        with Load(front.url, pushers=2, pullers=3, slow=2) as load:
            wait_for(lambda: load.pulls > 5)
            for replica in replicas.api:
                replica.stop()
                replica.start()
                wait_for(partial(front.knows, replica))
                time.sleep(1)
        assert load.problems == []
        assert load.pushes > 10
        assert load.pulls > 10
        assert load.long_pushes > 2
        assert load.long_pulls > 2
