# SPDX-License-Identifier: Apache-2.0
"""Manifests: GET, HEAD, PUT and DELETE by tag and by digest (distribution specification 1.1)."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from longshore.access.models import (
    ARTIFACT_DELETE,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    Caller,
    PrincipalKind,
    ProjectFacts,
)
from longshore.distribution.references import reference_of
from longshore.distribution.services import Services
from longshore.edge.request import Request
from longshore.edge.response import Header, Response
from longshore.oci.digest import Digest
from longshore.oci.errors import BadRequest, DigestInvalid
from longshore.oci.manifest import Manifest, parse_manifest
from longshore.oci.names import RepositoryName, TagName, parse_reference
from longshore.oci.ranges import etag_matches
from longshore.registry.models import StoredManifest
from longshore.registry.pull_log import Pull
from longshore.registry.storing import ManifestPush

MANIFEST_LIMIT = 4 * 1024 * 1024
_MOST_TAGS = 100
_SMALL = 64 * 1024


async def head(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """The manifest's type, size and digest. Not a pull."""
    _, manifest = await _find(request, services, caller, name, tail)
    return _respond(request, manifest)


async def get(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """The manifest, byte for byte as it was pushed. Counts as a pull unless it is the registry's own doing."""
    project, manifest = await _find(request, services, caller, name, tail)
    if caller.principal.kind is not PrincipalKind.INTERNAL:
        tag = tail if ":" not in tail else None
        services.pulls.add(manifest.id, tag)
        actor = caller.principal.actor
        services.pull_log.add(Pull(project.id, name.path, manifest.digest, tag or "", actor, request.source))
    return _respond(request, manifest)


async def put(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """Stores a manifest under its digest, and under a tag or under every `?tag=`."""
    reference = parse_reference(tail)
    tags = _tags(request, reference)
    project = await services.access.authorise(caller, REPOSITORY_PUSH, name)
    payload = await request.whole_body(MANIFEST_LIMIT, "manifest")
    if isinstance(reference, Digest):
        digest = reference
        found = Digest.of(payload, reference.algorithm)
        if found != reference:
            raise DigestInvalid(
                f"The manifest's digest is {found}, not {reference}. Send exactly the bytes of that digest."
            )
    else:
        digest = Digest.of(payload)
    request.digest = str(digest)
    manifest = await _parse(payload, request.header(b"content-type"))
    # Before the transaction of the push, which waits for nothing.
    facts = await services.describer.facts(project.id, name.path, manifest, tags)
    actor = caller.principal.actor
    push = ManifestPush(manifest=manifest, digest=digest, payload=payload, tags=tags, actor=actor, facts=facts)
    pushed = await services.manifests.push(project.id, name.path, push)
    headers: list[Header] = [
        (b"location", f"/v2/{name}/manifests/{digest}".encode()),
        (b"docker-content-digest", str(digest).encode()),
    ]
    if pushed.subject is not None:
        headers.append((b"oci-subject", str(pushed.subject).encode()))
    if isinstance(reference, Digest):
        headers.extend((b"oci-tag", str(tag).encode()) for tag in pushed.tags)
    return Response(201, headers)


async def _parse(payload: bytes, content_type: str | None) -> Manifest:
    """Parses small manifests here, and on another thread what could keep everybody else waiting."""
    if len(payload) <= _SMALL:
        return parse_manifest(payload, content_type)
    return await asyncio.to_thread(parse_manifest, payload, content_type)


async def delete(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """By tag: takes the name away. By digest: moves the manifest, its tags and what hangs on it to the trash."""
    reference = parse_reference(tail)
    actor = caller.principal.actor
    if isinstance(reference, TagName):
        project = await services.access.authorise(caller, TAG_DELETE, name)
        await services.tags.delete(project.id, name.path, reference, actor=actor, reason="deleted by tag")
    else:
        request.digest = tail
        project = await services.access.authorise(caller, ARTIFACT_DELETE, name)
        await services.deletion.delete(project.id, name.path, reference, actor=actor, reason="deleted by digest")
    return Response(202)


async def _find(
    request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str
) -> tuple[ProjectFacts, StoredManifest]:
    reference = reference_of(tail)
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    manifest = await services.manifests.find(project.id, name.path, reference)
    request.digest = manifest.digest
    return project, manifest


def _respond(request: Request, manifest: StoredManifest) -> Response:
    # A registry has one representation of a manifest: what was pushed is what its digest names. `Accept` can't choose
    # another, so a client that doesn't list the type gets it all the same and says better than we could what it lacks.
    headers = list(_identity(manifest.media_type, manifest.digest))
    known = request.header(b"if-none-match")
    if known is not None and etag_matches(known, Digest.parse(manifest.digest)):
        return Response(304, headers)
    return Response(200, headers, manifest.payload)


@lru_cache(maxsize=4096)
def _identity(media_type: str, digest: str) -> tuple[Header, ...]:
    name = digest.encode()
    return (
        (b"content-type", media_type.encode()),
        (b"docker-content-digest", name),
        (b"etag", b'"' + name + b'"'),
        (b"vary", b"Accept"),
    )


def _tags(request: Request, reference: Digest | TagName) -> tuple[TagName, ...]:
    names = [value for key, value in request.query if key == "tag"]
    if isinstance(reference, TagName):
        if names:
            raise BadRequest("?tag= goes with a push by digest; this push names a tag in its path. Use one of them.")
        return (reference,)
    if len(names) > _MOST_TAGS:
        raise BadRequest(
            f"One push sets at most {_MOST_TAGS} tags, not {len(names)}. Send the others with another PUT."
        )
    return tuple(dict.fromkeys(TagName.parse(name) for name in names))
