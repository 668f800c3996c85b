# SPDX-License-Identifier: Apache-2.0
"""Tokens against requests that other sites make a browser send (CSRF), as clients of Harbor know them.

A signed random value is in the cookie `_gorilla_csrf`; the header `X-Harbor-CSRF-Token` brings it back, masked anew with each
answer, so that compressed answers don't give it away. Other sites can make a browser send the cookie, but can't read it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import Final

from longshore.access.keys import derive_key
from longshore.edge.request import Request
from longshore.edge.response import Header
from longshore.oci.errors import Denied

COOKIE: Final = "_gorilla_csrf"
"""The cookie's name."""

HEADER: Final = b"x-harbor-csrf-token"
"""The header's name, in answers and in requests."""

_LENGTH: Final = 32


class CSRFInvalid(Denied):
    """The token against forged requests is missing or wrong. The answer carries one: repeat the request with it.

    Attributes:
        headers: What the answer says so that the request can be repeated.
    """

    def __init__(self, headers: list[Header]) -> None:
        super().__init__("CSRF token invalid")
        self.headers = headers


class CSRF:
    """Gives out tokens and checks them."""

    def __init__(self, secret_key: bytes) -> None:
        self._key = derive_key(secret_key, "csrf")

    def check(self, request: Request) -> None:
        """Lets a request pass that brings the token of its cookie.

        Raises:
            CSRFInvalid: it doesn't.
        """
        value = self._value(request)
        token = _unmasked(request.header(HEADER) or "")
        if value is None or token is None or not hmac.compare_digest(value, token):
            raise CSRFInvalid(self.headers(request))

    def headers(self, request: Request) -> list[Header]:
        """What an answer says so that the next request can pass: the token, and the cookie where there was none."""
        value = self._value(request)
        if value is not None:
            return [(HEADER, _masked(value))]
        value = secrets.token_bytes(_LENGTH)
        text = base64.urlsafe_b64encode(value + self._sign(value)).decode()
        return [(HEADER, _masked(value)), (b"set-cookie", cookie(request, COOKIE, text))]

    def _value(self, request: Request) -> bytes | None:
        text = read_cookie(request, COOKIE)
        decoded = None if text is None else _decoded(text)
        if decoded is None or len(decoded) != 2 * _LENGTH:
            return None
        value, signature = decoded[:_LENGTH], decoded[_LENGTH:]
        return value if hmac.compare_digest(signature, self._sign(value)) else None

    def _sign(self, value: bytes) -> bytes:
        return hmac.digest(self._key, value, "sha256")


def read_cookie(request: Request, name: str) -> str | None:
    """A cookie of the request."""
    text = request.header(b"cookie")
    if text is None:
        return None
    # Over HTTP/2 cookies may come in lines of their own, which were joined by commas.
    pairs = (pair.partition("=") for pair in text.replace(", ", ";").split(";"))
    return next((value.strip().strip('"') for key, _, value in pairs if key.strip() == name), None)


def cookie(request: Request, name: str, value: str) -> bytes:
    """The value of `Set-Cookie` for a cookie that lasts as long as the browser does; an empty one is taken away."""
    secure = "; Secure" if request.origin.scheme == "https" else ""
    over = "" if value else "; Max-Age=0"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{over}".encode()


def _masked(value: bytes) -> bytes:
    mask = secrets.token_bytes(_LENGTH)
    return base64.b64encode(mask + _exclusive_or(mask, value))


def _unmasked(text: str) -> bytes | None:
    decoded = _decoded(text)
    if decoded is None or len(decoded) != 2 * _LENGTH:
        return None
    return _exclusive_or(decoded[:_LENGTH], decoded[_LENGTH:])


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None


def _exclusive_or(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
