# SPDX-License-Identifier: Apache-2.0
"""Clients that push while the server dies, and remember what they were promised."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.acceptance.server import Registry

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LARGEST = 300_000


def digest_of(payload: bytes) -> str:
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


@dataclass(slots=True)
class Acknowledged:
    """What was answered with 201; several threads write to it, each entry once."""

    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    interrupted: int = 0
    refused: Counter[int] = field(default_factory=Counter)


class PushingClient(threading.Thread):
    """Pushes one image after another until it is told to stop."""

    def __init__(self, registry: Registry, number: int, seed: int, acknowledged: Acknowledged) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._registry = registry
        self._repository = f"library/crash-{number % 2}"
        self._number = number
        self._choice = random.Random(f"{seed} {number}")
        self._acknowledged = acknowledged
        self.stopping = threading.Event()
        self.failure: str | None = None

    def run(self) -> None:
        pushes = 0
        while not self.stopping.is_set() and self.failure is None:
            try:
                with self._registry.client(self._registry.admin) as client:
                    while not self.stopping.is_set():
                        self._push(client, f"c{self._number}-{pushes}")
                        pushes += 1
            except httpx.TransportError:
                # The server died under us, or is not there yet.
                self._acknowledged.interrupted += 1
                self.stopping.wait(0.05)
            except AssertionError as error:
                self.failure = str(error)

    def _push(self, client: httpx.Client, tag: str) -> None:
        blobs = [self._choice.randbytes(self._choice.randint(1, _LARGEST)) for _ in range(self._choice.randint(1, 3))]
        for blob in blobs:
            if not self._upload(client, blob):
                return
            self._acknowledged.blobs[self._repository, digest_of(blob)] = blob
        described = [{"mediaType": _LAYER, "digest": digest_of(blob), "size": len(blob)} for blob in blobs]
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": described[0],
            "layers": described[1:],
        }
        payload = json.dumps(document).encode()
        answer = client.put(
            f"/v2/{self._repository}/manifests/{tag}", content=payload, headers={"Content-Type": _MANIFEST}
        )
        if self._accepted(answer):
            self._acknowledged.manifests[self._repository, tag] = payload

    def _upload(self, client: httpx.Client, blob: bytes) -> bool:
        answer = client.post(f"/v2/{self._repository}/blobs/uploads/")
        if answer.status_code != httpx.codes.ACCEPTED:
            return self._accepted(answer)
        location, offset = answer.headers["Location"], 0
        while self._choice.random() < 0.4 and offset < len(blob):
            end = self._choice.randint(offset + 1, len(blob))
            answer = client.patch(
                location,
                content=blob[offset:end],
                headers={"Content-Range": f"{offset}-{end - 1}", "Content-Type": "application/octet-stream"},
            )
            if answer.status_code != httpx.codes.ACCEPTED:
                return self._accepted(answer)
            location, offset = answer.headers["Location"], end
        answer = client.put(
            location,
            params={"digest": digest_of(blob)},
            content=blob[offset:],
            headers={"Content-Type": "application/octet-stream"},
        )
        return self._accepted(answer)

    def _accepted(self, answer: httpx.Response) -> bool:
        """Whether it is done; a server that lacks something may say 503 or 507 and when to try again, nothing else."""
        if answer.status_code == httpx.codes.CREATED:
            return True
        check_refusal(answer)
        self._acknowledged.refused[answer.status_code] += 1
        return False


def check_refusal(answer: httpx.Response, *statuses: int) -> str:
    """The message of an answer that says: not now, for a reason that is told, and try again then."""
    told = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
    assert answer.status_code in (statuses or (503, 507)), told
    assert int(answer.headers["Retry-After"]) > 0, told
    document = answer.json()
    assert document["request_id"] == answer.headers["X-Request-Id"], told
    assert document["errors"][0]["code"] == "UNAVAILABLE", told
    message: str = document["errors"][0]["message"]
    assert len(message) > 20, told
    return message


def check_pulls(registry: Registry, acknowledged: Acknowledged) -> None:
    """Everything that was acknowledged comes back, byte for byte."""
    with registry.client(registry.admin) as client:
        for (repository, tag), payload in acknowledged.manifests.items():
            answer = client.get(f"/v2/{repository}/manifests/{tag}", headers={"Accept": _MANIFEST})
            assert answer.status_code == httpx.codes.OK, f"{repository}:{tag}: {answer.status_code} {answer.text}"
            assert answer.content == payload
        for (repository, digest), blob in acknowledged.blobs.items():
            answer = client.get(f"/v2/{repository}/blobs/{digest}")
            assert answer.status_code == httpx.codes.OK, f"{repository} {digest}: {answer.status_code} {answer.text}"
            assert answer.content == blob
