# SPDX-License-Identifier: Apache-2.0
"""A request as controllers see it: what the edge already knows of it, and the conventions of its paths and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from litestar import Request as FrameworkRequest

from longshore.access.models import Caller
from longshore.api.paging import Listing, Page, page_headers, parse_page
from longshore.api.query import is_true, parse_wanted
from longshore.api.serialising import Read, read
from longshore.api.services import APIServices
from longshore.edge.request import Request
from longshore.listing.models import Wanted
from longshore.oci.errors import Unprocessable
from longshore.oci.names import ProjectName

_ID: Final = re.compile(r"-?[0-9]{1,18}")
_LONGEST_NAME: Final = 255
_IMPOSSIBLE: Final = ProjectName("")

_Document = TypeVar("_Document", bound=Read)


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a request before its controller is called.

    `path` is canonical and percent-encoded; `changes` tells whether what others were let see or do may be changed by it.
    """

    request: Request
    path: str
    caller: Caller
    services: APIServices
    body: bytes
    changes: bool


class APIRequest(FrameworkRequest[Any, Any, Any]):
    """What controllers are given."""

    @property
    def call(self) -> Call:
        """What the edge knows of the request."""
        known: Call = self.scope["state"]["call"]
        return known

    @property
    def incoming(self) -> Request:
        """The edge's request: parameters, headers, origin."""
        return self.call.request

    @property
    def caller(self) -> Caller:
        """Who calls."""
        return self.call.caller

    @property
    def actor(self) -> str:
        """The caller's name, for events."""
        return self.caller.principal.actor

    @property
    def services(self) -> APIServices:
        """The services behind the controllers."""
        return self.call.services

    def document(self, document: type[_Document]) -> _Document:
        """The body.

        Raises:
            Unprocessable: it is missing, malformed, or a member has the wrong type.
        """
        return read(self.call.body, document)

    def page(self) -> Page:
        """The page of a list that is asked for.

        Raises:
            Unprocessable: `page` or `page_size` isn't acceptable.
        """
        return parse_page(self.incoming)

    def wanted(self) -> Wanted:
        """What `q` and `sort` ask a list for.

        Raises:
            BadRequest: one of them doesn't parse.
        """
        return parse_wanted(self.incoming)

    def page_headers(self, page: Page, listing: Listing[Any]) -> dict[str, str]:
        """The headers of a page: its total, and links to its neighbours."""
        return page_headers(self.incoming, self.call.path, page, listing.total)

    def flag(self, name: bytes) -> bool:
        """Whether a header (by its lower-case name) says true."""
        return is_true(self.incoming.header(name) or "")

    def project(self, segment: str) -> ProjectName | int:
        """The project that a segment `{project_name_or_id}` names: by number if it is one, unless a header says otherwise.

        A name that breaks the rules is that of a project which doesn't exist.
        """
        text = unquote(segment, errors="replace")
        if _ID.fullmatch(text) and not self.flag(b"x-is-resource-name"):
            return int(text)
        return ProjectName(text) if len(text) <= _LONGEST_NAME else _IMPOSSIBLE


def parse_id(segment: str, name: str) -> int:
    """The number that a segment of a path is.

    Raises:
        Unprocessable: it isn't one.
    """
    if _ID.fullmatch(segment) is None:
        raise Unprocessable(f"{name} in path must be of type int64: {segment[:100]!a}")
    return int(segment)
