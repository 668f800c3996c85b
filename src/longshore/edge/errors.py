# SPDX-License-Identifier: Apache-2.0
"""The one place where an exception becomes a response.

Both edges answer the same envelope, `{"errors": [{"code", "message", "detail"}], "request_id"}`: it is OCI's and Harbor's.
"""

from __future__ import annotations

from typing import Any

import structlog

from longshore.edge.request import Request
from longshore.edge.response import Header, Response, json_response
from longshore.oci.errors import LongshoreError, RangeInvalid

_log = structlog.get_logger("longshore.errors")


def render(error: BaseException, request: Request, headers: list[Header] | None = None) -> Response:
    """The response for an error. Whatever isn't ours is a fault of ours: it is logged and says only the request id."""
    extra = list(headers or [])
    if not isinstance(error, LongshoreError):
        _log.error("unexpected error", request_id=request.id, method=request.method, path=request.path, exc_info=error)
        return _envelope(
            500,
            "UNKNOWN",
            f"Something went wrong inside the registry. Tell its operator the request id {request.id}; the log has the rest.",
            None,
            request,
            extra,
        )
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        extra.append((b"retry-after", str(retry_after).encode()))
    if isinstance(error, RangeInvalid) and error.size is not None:
        extra.append((b"content-range", f"bytes */{error.size}".encode()))
    return _envelope(error.status, error.code, error.message, error.detail, request, extra)


def _envelope(
    status: int, code: str, message: str, detail: object, request: Request, headers: list[Header]
) -> Response:
    entry: dict[str, Any] = {"code": code, "message": message}
    if detail is not None:
        entry["detail"] = detail
    return json_response(status, {"errors": [entry], "request_id": request.id}, headers)
