# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from longshore.distribution.elsewhere import Elsewhere, RedirectMode, may_lead
from longshore.edge.origin import Origin, TrustedProxies
from longshore.edge.request import Request
from longshore.edge.response import Response
from longshore.oci.digest import Algorithm, Digest
from longshore.registry.models import StoredBlob
from longshore.storage.memory import MemoryStore
from longshore.storage.port import BlobStore, ObjectKey, ObjectMissing, StoreUnavailable

PAYLOAD = b"layer"
DIGEST = Digest.of(PAYLOAD)
IDENTITY = [(b"docker-content-digest", str(DIGEST).encode())]


class SigningStore(MemoryStore):
    """Hands out URLs as an object store does."""

    reads_from: str | None = "https://bucket.s3.example.net"
    lifetime: int = 0

    async def presign(self, key: ObjectKey, *, lifetime_seconds: int) -> str:
        self.lifetime = lifetime_seconds
        return f"{self.reads_from}/{key}?signature=x"


SENDS_FILES = (b"x-sendfile-type", b"X-Accel-Redirect")


def request(
    *headers: tuple[bytes, bytes],
    host: str = "registry.example.com",
    scheme: str = "https",
    peer: str = "198.51.100.7",
) -> Request:
    """A GET of a blob as the proxy in 10.0.0.0/8, or a stranger, would send it."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v2/library/app/blobs/x",
        "query_string": b"",
        "scheme": scheme,
        "headers": [(b"host", host.encode()), *headers],
        "client": (peer, 1234),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    return Request(scope, receive, proxies=TrustedProxies([ip_network("10.0.0.0/8")]), body_seconds=1)


async def blob_in(store: BlobStore, size: int = len(PAYLOAD)) -> StoredBlob:
    key = ObjectKey.fresh()
    writer = await store.create(key)
    await writer.append([PAYLOAD], Algorithm.SHA256.hasher())
    await writer.sync()
    return StoredBlob(1, DIGEST, size, key)


def header(response: Response | None, name: bytes) -> str | None:
    assert response is not None
    return next((value.decode() for key, value in response.headers if key == name), None)


@pytest.mark.parametrize(
    ("scheme", "host", "target", "expected"),
    [
        ("https", "registry.example.com", "https://bucket.s3.example.net", True),
        ("https", "registry.example.com:8443", "https://s3.example.com", True),
        ("http", "registry.example.com", "http://s3.example.net:9000", True),
        ("http", "registry.example.com", "https://s3.example.net", True),
        ("https", "registry.example.com", "http://s3.example.net", False),
        ("https", "registry.example.com", None, False),
        ("https", "registry.example.com", "https://registry.example.com:9000", False),
        ("https", "REGISTRY.example.com", "https://registry.example.com:9000", False),
        ("https", "registry.example.com", "https://s3.registry.example.com", False),
        ("https", "example.com", "https://otherexample.com", True),
        ("http", "127.0.0.1:8080", "http://127.0.0.1:7070", False),
        ("http", "[::1]:8080", "http://[::1]:7070", False),
        ("http", "[::1]:8080", "http://127.0.0.1:7070", True),
        ("http", "", "http://s3.example.net", False),
    ],
)
def test_a_redirect_keeps_credentials_and_encryption(
    scheme: str, host: str, target: str | None, expected: bool
) -> None:
    """No redirect to the registry's own host or below it, from https to http, or to where nobody gets."""
    assert may_lead(Origin(scheme, host, ""), target) is expected


@pytest.mark.parametrize(
    ("mode", "reads_from", "redirected"),
    [
        (RedirectMode.AUTO, "https://s3.example.net", True),
        (RedirectMode.AUTO, None, False),
        (RedirectMode.AUTO, "https://registry.example.com", False),
        (RedirectMode.ALWAYS, "https://registry.example.com", True),
        (RedirectMode.ALWAYS, None, True),
        (RedirectMode.NEVER, "https://s3.example.net", False),
    ],
)
async def test_the_setting_decides(mode: RedirectMode, reads_from: str | None, redirected: bool) -> None:
    """`auto` redirects where it can go well, `always` and `never` do what they say."""
    store = SigningStore()
    store.reads_from = reads_from
    blob = await blob_in(store)
    answer = await Elsewhere(store, redirect=mode).answer(request(), blob, list(IDENTITY))
    if not redirected:
        assert answer is None
        return
    assert header(answer, b"location") == f"{reads_from}/{blob.key}?signature=x"
    assert header(answer, b"cache-control") == "no-store"
    assert header(answer, b"docker-content-digest") == str(DIGEST)
    assert answer is not None
    assert answer.status == 307


@pytest.mark.parametrize(("delay", "lifetime"), [(24 * 3600.0, 1200), (600.0, 600), (0.0, 60)])
async def test_a_link_ends_before_the_bytes_go(delay: float, lifetime: int) -> None:
    """A signed URL lives no longer than the bytes of a collected blob stay, down to a minute."""
    store = SigningStore()
    await Elsewhere(store, delay_seconds=delay).answer(request(), await blob_in(store), list(IDENTITY))
    assert store.lifetime == lifetime


async def test_a_folder_needs_this_process() -> None:
    """Without a front server there is nobody else who could send a file."""
    store = MemoryStore()
    assert await Elsewhere(store, redirect=RedirectMode.ALWAYS).answer(request(), await blob_in(store), []) is None


async def test_the_front_server_sends_the_file_for_its_own_requests_only() -> None:
    """The file's place is told to the trusted proxy, to nobody else."""
    store = MemoryStore()
    blob = await blob_in(store)
    delivery = Elsewhere(store, front_prefix="/_store/")
    answer = await delivery.answer(request(SENDS_FILES, peer="10.1.2.3"), blob, list(IDENTITY))
    assert header(answer, b"x-accel-redirect") == f"/_store/{blob.key}"
    assert header(answer, b"docker-content-digest") == str(DIGEST)
    assert await delivery.answer(request(SENDS_FILES, peer="198.51.100.7"), blob, list(IDENTITY)) is None
    assert await delivery.answer(request(peer="10.1.2.3"), blob, list(IDENTITY)) is None


async def test_the_front_server_gets_no_missing_or_damaged_file() -> None:
    """Its 404 would say that the blob doesn't exist, and a file of another length would be wrong bytes."""
    store = MemoryStore()
    delivery = Elsewhere(store, front_prefix="/_store/")
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await delivery.answer(request(SENDS_FILES, peer="10.1.2.3"), await blob_in(store, size=6), [])
    blob = await blob_in(store)
    await store.delete([blob.key])
    with pytest.raises(ObjectMissing):
        await delivery.answer(request(SENDS_FILES, peer="10.1.2.3"), blob, [])
