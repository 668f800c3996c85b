# SPDX-License-Identifier: Apache-2.0
"""Single requests of the benchmark itself: they set up, look after and check, and are no load."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_PIECE = 1024 * 1024


def request(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def get(port: int, path: str, authorization: str = "", content_range: str = "") -> tuple[int, bytes]:
    """One GET, as a client that takes every kind of manifest."""
    headers = {"Accept": f"{MANIFEST}, {INDEX}"}
    if authorization:
        headers["Authorization"] = authorization
    if content_range:
        headers["Range"] = content_range
    return request(port, "GET", path, headers)


def download(port: int, path: str, authorization: str, take: Callable[[bytes], object]) -> int:
    """One GET whose body is handed on in pieces; the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        answer = connection.getresponse()
        while piece := answer.read(_PIECE):
            take(piece)
        return answer.status
    finally:
        connection.close()


def post(port: int, path: str, authorization: str, document: dict[str, Any]) -> Any:
    """Makes something through Longshore's API; what it answered, None for nothing.

    Raises:
        RuntimeError: it refused.
    """
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    status, body = request(port, "POST", path, headers, json.dumps(document).encode())
    if status != http.client.CREATED:
        raise RuntimeError(f"POST {path}: {status} {body.decode(errors='replace')}")
    return json.loads(body) if body else None


def basic(name: str, password: str) -> str:
    """The Authorization header's value for a name and a password."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
