# SPDX-License-Identifier: Apache-2.0
"""Errors as Harbor's API tells them: the envelope of both edges, with Harbor's codes."""

from __future__ import annotations

from typing import Any, Final

from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from longshore.edge.errors import render
from longshore.edge.request import Request
from longshore.edge.response import Header, Response, json_response
from longshore.oci.errors import BadRequest, LongshoreError, NotFound, Unprocessable, Unsupported
from longshore.registry.errors import QuotaExceeded
from longshore.system.errors import ReadOnly

CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    412: "PRECONDITION",
    413: "REQUEST_ENTITY_TOO_LARGE",
    422: "UNPROCESSABLE_ENTITY",
    429: "TOO_MANY_REQUEST",
}
# Harbor's API tells these apart from a missing permission.
_DENIED: Final = (QuotaExceeded, ReadOnly)
_KEPT: Final = frozenset({"DIGEST_INVALID", "MANIFEST_INVALID"})


class NotServed(LongshoreError):  # noqa: N818 - named for what is wrong, like the rest of its tree
    """The contract has the operation, this release hasn't."""

    code = "NOT_IMPLEMENTED"
    status = 501


class MethodNotAllowed(Unsupported):
    """The path is served, with other methods.

    Attributes:
        allowed: These.
    """

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


def path_not_found(path: str) -> NotFound:
    """The answer to a path that neither the contract nor we have."""
    return NotFound(f"path {path[:500]} was not found")


def respond_to(error: Exception, request: Request) -> Response:
    """The response for an error. Whatever isn't known is a fault of ours, which the log tells and the client doesn't."""
    if isinstance(error, HTTPException):
        error = _of_framework(error, request)
    if not isinstance(error, LongshoreError):
        return render(error, request)
    headers: list[Header] = []
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    headers += getattr(error, "headers", ())
    code = error.code if error.code in _KEPT or isinstance(error, _DENIED) else CODES.get(error.status, error.code)
    entry: dict[str, Any] = {"code": code, "message": error.message}
    if error.detail is not None:
        entry["detail"] = error.detail
    return json_response(error.status, {"errors": [entry], "request_id": request.id}, headers)


def _of_framework(error: HTTPException, request: Request) -> Exception:
    """What Litestar raises by itself, in our terms; our own checks come first, so little of it is ever seen."""
    if isinstance(error, NotFoundException):
        return path_not_found(request.path)
    if isinstance(error, MethodNotAllowedException):
        return Unsupported(f"method {request.method} isn't allowed here")
    if error.status_code == 400:
        return BadRequest(error.detail)
    return Unprocessable(error.detail) if error.status_code < 500 else error
