# SPDX-License-Identifier: Apache-2.0
"""Pushing and pulling of single things, for tests that look at each answer."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import httpx

from tests.crash.pushing import Acknowledged, digest_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_BINARY = {"Content-Type": "application/octet-stream"}


def some_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes that compress to nothing less."""
    return random.Random(f"{seed} {size}").randbytes(size)


def push_blob(client: httpx.Client, repository: str, blob: bytes) -> httpx.Response:
    """The answer to a push in one request."""
    return client.post(
        f"/v2/{repository}/blobs/uploads/", params={"digest": digest_of(blob)}, content=blob, headers=_BINARY
    )


def push_manifest(client: httpx.Client, repository: str, tag: str, *blobs: bytes) -> httpx.Response:
    """The answer to the push of an image of these blobs, of which the first is its configuration."""
    described = [{"mediaType": _LAYER, "digest": digest_of(blob), "size": len(blob)} for blob in blobs]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    payload = json.dumps(document).encode()
    return client.put(f"/v2/{repository}/manifests/{tag}", content=payload, headers={"Content-Type": MANIFEST})


def push_image(client: httpx.Client, repository: str, tag: str, *blobs: bytes) -> Acknowledged:
    """Pushes an image that must be accepted, and says what was acknowledged."""
    acknowledged = Acknowledged()
    for blob in blobs:
        answer = push_blob(client, repository, blob)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        acknowledged.blobs[repository, digest_of(blob)] = blob
    answer = push_manifest(client, repository, tag, *blobs)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    acknowledged.manifests[repository, tag] = answer.request.content
    return acknowledged


def begin_upload(client: httpx.Client, repository: str) -> str:
    """The address of a new upload."""
    answer = client.post(f"/v2/{repository}/blobs/uploads/")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    location: str = answer.headers["Location"]
    return location


def received(client: httpx.Client, upload: str) -> int:
    """How many bytes the server says it has of an upload."""
    answer = client.get(upload)
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
    end = int(answer.headers["Range"].partition("-")[2])
    return end + 1 if end else 0


def slowly(blob: bytes, seconds: float, *, pieces: int = 40) -> Iterator[bytes]:
    """The blob as a body that takes so many seconds to send."""
    size = -(-len(blob) // pieces)
    for offset in range(0, len(blob), size):
        yield blob[offset : offset + size]
        time.sleep(seconds / pieces)
