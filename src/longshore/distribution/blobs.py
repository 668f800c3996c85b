# SPDX-License-Identifier: Apache-2.0
"""Blobs: GET, HEAD and DELETE (distribution specification 1.1, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

from longshore.access.models import ARTIFACT_DELETE, REPOSITORY_PULL, Caller
from longshore.distribution.delivery import DESCRIPTION, identity
from longshore.distribution.references import digest_of
from longshore.distribution.services import Services
from longshore.edge.request import Request
from longshore.edge.response import Response
from longshore.oci.names import RepositoryName
from longshore.oci.ranges import ByteRange, etag_matches
from longshore.registry.models import StoredBlob


async def head(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """Whether the blob is there; a yes promises it for half of the grace period."""
    digest = digest_of(tail)
    request.digest = tail
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    blob = await services.blobs.promise(project.id, name.path, digest)
    return Response(200, [*identity(digest), *DESCRIPTION], length=blob.size)


async def get(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """The blob's bytes, or a range of them."""
    digest = digest_of(tail)
    request.digest = tail
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    blob = await services.blobs.find(project.id, name.path, digest)
    known = request.header(b"if-none-match")
    if known is not None and etag_matches(known, digest):
        return Response(304, list(identity(digest)))
    return await services.delivery.answer(request, blob, _part(request, blob))


def _part(request: Request, blob: StoredBlob) -> ByteRange | None:
    """The range asked for; None for the whole, also where it was to be of another content (RFC 9110, 13.1.5)."""
    wanted = request.header(b"range")
    if wanted is None:
        return None
    condition = request.header(b"if-range")
    if condition is not None and not etag_matches(condition, blob.digest):
        return None
    return ByteRange.parse(wanted, blob.size)


async def delete(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """Makes the blob invisible at once; refused while a live manifest needs it."""
    digest = digest_of(tail)
    request.digest = tail
    project = await services.access.authorise(caller, ARTIFACT_DELETE, name)
    await services.blobs.delete(project.id, name.path, digest)
    return Response(202)
