# SPDX-License-Identifier: Apache-2.0
"""Uploads: POST, PATCH, PUT, GET and DELETE (distribution specification 1.1, "Pushing blobs").

The whole state is named by the last segment of `Location`, so clients that drop its query go on working.
"""

from __future__ import annotations

from longshore.access.models import REPOSITORY_PUSH, Caller
from longshore.distribution.services import Services
from longshore.edge.request import Request
from longshore.edge.response import Header, Response
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUploadUnknown, DigestInvalid, LongshoreError, SizeInvalid
from longshore.oci.names import ProjectName, RepositoryName
from longshore.oci.ranges import ContentRange
from longshore.registry.blobs import MountSource
from longshore.registry.models import Upload


async def start(request: Request, services: Services, caller: Caller, name: RepositoryName, _tail: str) -> Response:
    """POST: a mount, a whole blob in one request, or a new upload."""
    project = await services.access.authorise(caller, REPOSITORY_PUSH, name)
    mounted = request.parameter("mount")
    if mounted is not None:
        digest = Digest.parse(mounted)
        request.digest = mounted
        if await _mount(request, services, caller, name, project.id, digest):
            return _created(name, digest)
        upload = await services.uploads.start(project.id, name.path)
        return _started(name, upload, services)
    whole = request.parameter("digest")
    if whole is None:
        async for _ in request.body():
            raise SizeInvalid("A POST with a body needs ?digest=<digest> to say what the body is. Nothing was stored.")
        upload = await services.uploads.start(project.id, name.path)
        return _started(name, upload, services)
    digest = Digest.parse(whole)
    request.digest = whole
    upload = await services.uploads.start(project.id, name.path, declared=request.content_length or 0)
    await services.uploads.finish(project.id, name.path, upload.id, digest, request.body(), resumable=False)
    return _created(name, digest)


async def _mount(
    request: Request, services: Services, caller: Caller, name: RepositoryName, project_id: int, digest: Digest
) -> bool:
    """Mounts from where the principal itself may read, whatever the token names; unknown and unreadable look alike."""
    origin = request.parameter("from")
    if origin is not None:
        try:
            source = RepositoryName.parse(origin)
        except LongshoreError:
            return False
        facts = await services.access.project(source.project)
        if facts is None or not await services.access.readable(caller.principal, facts):
            return False
        found = MountSource(facts.id, source.path, source.project.value)
        return await services.blobs.mount(project_id, name.path, digest, found)
    for candidate in await services.blobs.sources(project_id, digest):
        facts = await services.access.project(ProjectName.parse(candidate.project))
        readable = facts is not None and await services.access.readable(caller.principal, facts)
        if readable and await services.blobs.mount(project_id, name.path, digest, candidate):
            return True
    return False


async def append(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """PATCH: one more chunk, with or without Content-Range; an empty one is fine."""
    project = await services.access.authorise(caller, REPOSITORY_PUSH, name)
    content_range = _content_range(request)
    upload = await services.uploads.receive(
        project.id, name.path, _session(tail), request.body(), content_range=content_range
    )
    return _accepted(name, upload)


async def finish(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """PUT: the last chunk, if any, and the digest of the whole."""
    project = await services.access.authorise(caller, REPOSITORY_PUSH, name)
    text = request.parameter("digest")
    if text is None:
        raise DigestInvalid("The PUT that ends an upload needs ?digest=<digest of the whole blob>.")
    digest = Digest.parse(text)
    request.digest = text
    session_id = _session(tail)
    if request.content_length == 0:
        # What docker, containerd and podman send: everything came with PATCH.
        if not await services.uploads.finish_received(project.id, name.path, session_id, digest):
            await services.uploads.finish(project.id, name.path, session_id, digest, request.body())
        return _created(name, digest)
    await services.uploads.finish(
        project.id, name.path, session_id, digest, request.body(), content_range=_content_range(request)
    )
    return _created(name, digest)


async def status(_request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """GET: how far the upload has come."""
    project = await services.access.authorise(caller, REPOSITORY_PUSH, name)
    upload = await services.uploads.status(project.id, name.path, _session(tail))
    return Response(204, _progress(name, upload))


async def cancel(_request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """DELETE: the upload ends and leaves nothing behind."""
    project = await services.access.authorise(caller, REPOSITORY_PUSH, name)
    await services.uploads.cancel(project.id, name.path, _session(tail))
    return Response(204)


def _session(tail: str) -> str:
    if len(tail) != 32 or not tail.isascii() or not tail.isalnum():
        raise BlobUploadUnknown("The upload's address is not one that this registry gave out. Start a new upload.")
    return tail


def _content_range(request: Request) -> ContentRange | None:
    text = request.header(b"content-range")
    if text is None:
        return None
    content_range = ContentRange.parse(text)
    announced = request.content_length
    if announced is not None and announced != content_range.length:
        raise SizeInvalid(
            f"Content-Range says {content_range.length} bytes, Content-Length {announced}: they must agree. Nothing was stored."
        )
    return content_range


def _created(name: RepositoryName, digest: Digest) -> Response:
    return Response(
        201,
        [(b"location", f"/v2/{name}/blobs/{digest}".encode()), (b"docker-content-digest", str(digest).encode())],
    )


def _started(name: RepositoryName, upload: Upload, services: Services) -> Response:
    """A new upload; a store that takes parts tells which chunks it would rather not have, and takes them all the same."""
    response = _accepted(name, upload)
    if services.uploads.smallest_chunk:
        response.headers.append((b"oci-chunk-min-length", str(services.uploads.smallest_chunk).encode()))
    return response


def _accepted(name: RepositoryName, upload: Upload) -> Response:
    return Response(202, _progress(name, upload))


def _progress(name: RepositoryName, upload: Upload) -> list[Header]:
    return [
        (b"location", f"/v2/{name}/blobs/uploads/{upload.id}".encode()),
        (b"range", f"0-{max(upload.received - 1, 0)}".encode()),
        (b"docker-upload-uuid", upload.id.encode()),
    ]
