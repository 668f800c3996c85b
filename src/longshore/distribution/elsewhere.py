# SPDX-License-Identifier: Apache-2.0
"""Blobs whose bytes somebody else sends: the object store that the client is sent to, or the front server.

A redirect must not cost the client its credentials or the pull. Go's HTTP client, and with it most of the clients there are,
hands its `Authorization` on to a host of the same name or below it, and an object store refuses a signed URL that comes with
another authorisation. What came over https must not go on over plain http. And many stores are known to their servers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from enum import Enum
from urllib.parse import urlsplit

from longshore.edge.origin import Origin
from longshore.edge.request import Request
from longshore.edge.response import Header, Response
from longshore.registry.models import StoredBlob
from longshore.storage.port import BlobStore, PresignedReads, StoreUnavailable

# Long enough for the largest blob over a slow line: the store looks at it when the request begins, and when one is resumed.
LONGEST_LINK_SECONDS = 1200
_SHORTEST_LINK_SECONDS = 60


class RedirectMode(Enum):
    """`LONGSHORE_STORAGE_REDIRECT`."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class Elsewhere:
    """Decides for each GET of a blob whether somebody else sends its bytes.

    Args:
        store: The store.
        redirect: When clients are sent to an object store.
        delay_seconds: How long bytes stay after their blob has gone: no signed URL lives longer, but for tests.
        front_prefix: Below it the front server has the folder of a filesystem store (nginx: an `internal` location).
    """

    def __init__(
        self,
        store: BlobStore,
        *,
        redirect: RedirectMode = RedirectMode.AUTO,
        delay_seconds: float = LONGEST_LINK_SECONDS,
        front_prefix: str | None = None,
    ) -> None:
        self._store = store
        self._redirect = redirect
        self._front_prefix = front_prefix
        self._presigned = store if isinstance(store, PresignedReads) and redirect is not RedirectMode.NEVER else None
        self._link_seconds = int(max(_SHORTEST_LINK_SECONDS, min(LONGEST_LINK_SECONDS, delay_seconds)))

    @property
    def is_possible(self) -> bool:
        """Whether there is anybody else at all."""
        return self._front_prefix is not None or self._presigned is not None

    async def answer(self, request: Request, blob: StoredBlob, description: Sequence[Header]) -> Response | None:
        """The answer that lets somebody else send the bytes; None when this process has to.

        Raises:
            ServiceUnavailable: the store is away, or its object is gone or damaged.
        """
        if self._front_prefix is not None and _front_server_sends(request):
            return await self._by_front_server(self._front_prefix, blob, description)
        if self._presigned is not None and self._may_redirect(self._presigned, request.origin):
            url = await self._presigned.presign(blob.key, lifetime_seconds=self._link_seconds)
            # The answer must not outlive the link.
            digest = (b"docker-content-digest", str(blob.digest).encode())
            return Response(307, [(b"location", url.encode()), digest, (b"cache-control", b"no-store")])
        return None

    def _may_redirect(self, store: PresignedReads, origin: Origin) -> bool:
        return self._redirect is RedirectMode.ALWAYS or may_lead(origin, store.reads_from)

    async def _by_front_server(self, prefix: str, blob: StoredBlob, description: Sequence[Header]) -> Response:
        # A file that isn't there would be the front server's 404, which tells clients that the blob doesn't exist.
        with closing(await self._store.open(blob.key)) as reader:
            check_size(blob, reader.size)
        return Response(200, [*description, (b"x-accel-redirect", f"{prefix}{blob.key}".encode())])


def _front_server_sends(request: Request) -> bool:
    """Whether a front server of ours says of itself that it sends files: not each trusted proxy has the folder."""
    return request.header(b"x-sendfile-type") == "X-Accel-Redirect" and request.through_trusted_proxy


def may_lead(origin: Origin, target: str | None) -> bool:
    """Whether a client that sees the registry at `origin` may be sent to `target` (scheme and host; None: out of reach)."""
    if target is None:
        return False
    there = urlsplit(target)
    if origin.scheme == "https" and there.scheme != "https":
        return False
    host, registry = there.hostname, urlsplit(f"//{origin.host}").hostname
    if not host or not registry:
        return False
    return host != registry and not host.endswith(f".{registry}")


def check_size(blob: StoredBlob, size: int) -> None:
    """Refuses an object of another length than its blob's.

    Raises:
        StoreUnavailable: it is damaged.
    """
    if size != blob.size:
        raise StoreUnavailable(
            f"The store holds {size} bytes of blob {blob.digest} instead of {blob.size}: it is damaged. Push the image again;"
            " `longshore verify` lists what else is damaged."
        )
