# SPDX-License-Identifier: Apache-2.0
"""Lists: tags, catalog and referrers, in pages with `Link` (distribution specification 1.1, "Content Discovery")."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.access.models import REPOSITORY_PULL, Caller
from longshore.distribution.services import Services
from longshore.edge.request import Request
from longshore.edge.response import Header, Response, json_response
from longshore.oci.digest import Digest
from longshore.oci.errors import PaginationInvalid
from longshore.oci.links import next_link
from longshore.oci.mediatypes import OCI_INDEX
from longshore.oci.names import RepositoryName

_MOST_TAGS = 100_000
_MOST_REPOSITORIES = 10_000
_DEFAULT_REPOSITORIES = 1_000
REFERRERS = 1_000


async def tags(request: Request, services: Services, caller: Caller, name: RepositoryName, _tail: str) -> Response:
    """The tags in the order of their bytes; `n` limits a page, `last` goes on after a name, existing or not."""
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    wanted = _number(request)
    last = request.parameter("last") or ""
    # A page of none is still a question about this repository: an unknown one is unknown.
    limit = min(_MOST_TAGS if wanted is None else max(wanted, 1), _MOST_TAGS)
    page = await services.tags.page(project.id, name.path, last=last, limit=limit)
    headers: list[Header] = [(b"content-type", b"application/json; charset=utf-8")]
    if page.after is not None and wanted != 0:
        headers.append((b"link", next_link(request.path, n=limit, last=page.after).encode()))
    names = b"[]" if wanted == 0 else page.names
    return Response(200, headers, b'{"name":' + msgspec.json.encode(str(name)) + b',"tags":' + names + b"}")


async def catalog(request: Request, services: Services, caller: Caller) -> Response:
    """The repositories that the caller may see."""
    visible = await services.access.authorise_catalog(caller)
    wanted = _number(request)
    if wanted == 0:
        return json_response(200, {"repositories": []})
    limit = min(wanted or _DEFAULT_REPOSITORIES, _MOST_REPOSITORIES)
    names = await services.listings.catalog(
        everything=visible.everything,
        public=visible.public,
        project_ids=visible.project_ids,
        last=request.parameter("last") or "",
        limit=limit + 1,
    )
    shown = names[:limit]
    headers: list[Header] = []
    if len(names) > limit:
        headers.append((b"link", next_link(request.path, n=limit, last=shown[-1]).encode()))
    return json_response(200, {"repositories": shown}, headers)


async def referrers(request: Request, services: Services, caller: Caller, name: RepositoryName, tail: str) -> Response:
    """An index of the manifests whose subject is the digest; the subject need not exist."""
    subject = Digest.parse(tail)
    request.digest = tail
    project = await services.access.authorise(caller, REPOSITORY_PULL, name)
    artifact_type = request.parameter("artifactType") or None
    after = request.parameter("after") or "0"
    if not after.isascii() or not after.isdigit() or len(after) > 18:
        raise PaginationInvalid(
            "`after` comes from the Link of the page before; it is a number. Follow the Link as it is."
        )
    page = await services.listings.referrers(
        project.id, name.path, subject, artifact_type=artifact_type, after=int(after), limit=REFERRERS
    )
    entries: list[dict[str, Any]] = []
    for found in page.referrers:
        entry: dict[str, Any] = {"mediaType": found.media_type, "digest": found.digest, "size": found.size}
        if found.artifact_type:
            entry["artifactType"] = found.artifact_type
        if found.annotations:
            entry["annotations"] = found.annotations
        entries.append(entry)
    headers: list[Header] = [(b"content-type", OCI_INDEX.encode())]
    if artifact_type is not None:
        headers.append((b"oci-filters-applied", b"artifactType"))
    if page.after is not None:
        link = next_link(request.path, artifactType=artifact_type, after=page.after)
        headers.append((b"link", link.encode()))
    body = msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    return Response(200, headers, body)


def _number(request: Request) -> int | None:
    text = request.parameter("n")
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise PaginationInvalid(f"`n` is how many entries a page has, a number from 0 up; it can't be {text[:40]!r}.")
    return int(text)
