# SPDX-License-Identifier: Apache-2.0
"""The tag `description`: what the API says of itself, for programs and for people."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache
from importlib.resources import files
from typing import Final

from litestar import Controller, Response, get

from longshore.api.serialising import JSON

DOCUMENT: Final = "openapi.json"
"""The name of the document; `docs/generate.py` writes it."""

_PAGE: Final = "page.html"


class DescriptionController(Controller):
    """Describes the API; for anybody."""

    path = "/api"

    @get("/openapi.json", operation_id="getOpenAPI")
    async def document(self) -> Response[bytes]:
        """The OpenAPI 3.1 document of everything that is served below /api."""
        return Response(_read(DOCUMENT), media_type=JSON)

    @get("/docs", operation_id="getDocs")
    async def page(self) -> Response[bytes]:
        """A page to browse the document."""
        page = _read(_PAGE)
        headers = {"Content-Security-Policy": _policy(page), "X-Content-Type-Options": "nosniff"}
        return Response(page, media_type="text/html", headers=headers)


@cache
def _read(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()


@cache
def _policy(page: bytes) -> str:
    """Lets the page do what it is made of and nothing else."""
    script, style = (_hash(page, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; frame-ancestors 'none';"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(page: bytes, tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>".encode(), page, re.DOTALL)
    content = b"" if found is None else found[1]
    return f"sha256-{b64encode(hashlib.sha256(content).digest()).decode()}"
