# SPDX-License-Identifier: Apache-2.0
"""From the `Authorization` header of a request to its caller."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from longshore.access.errors import AuthenticationRequired
from longshore.access.models import ANONYMOUS, Caller
from longshore.access.sign_in import SignIn
from longshore.access.tokens import TokenService

_LONGEST_BASIC: Final = 4_096


class Authenticator:
    """Recognises the caller of a request. A token that was seen before costs one look-up."""

    def __init__(self, tokens: TokenService, sign_in: SignIn) -> None:
        self._tokens = tokens
        self._sign_in = sign_in

    async def caller(self, authorization: bytes | None, source: str) -> Caller:
        """The caller that the header's value tells: of a token, of a user or robot (Basic), or nobody in particular.

        Args:
            authorization: The value of the `Authorization` header, None when there is none.
            source: The address the request came from.

        Raises:
            AuthenticationRequired: the header is malformed, or the token isn't good.
            WrongCredentials: the name, password or secret is wrong.
            TooManyRequests: too many attempts failed from this source.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        if authorization is None:
            return Caller(ANONYMOUS, None, source)
        if authorization[:7].lower() == b"bearer ":
            return self._tokens.verify(authorization[7:].decode("latin-1").strip(), source)
        if authorization[:6].lower() == b"basic ":
            name, secret = decode_basic(authorization)
            return Caller(await self._sign_in.authenticate(name, secret, source), None, source)
        raise AuthenticationRequired(
            "The Authorization header is neither Basic nor Bearer. Log in with a name and a password, or with a token."
        )


def decode_basic(authorization: bytes) -> tuple[str, str]:
    """Name and password of a Basic `Authorization` (RFC 7617).

    Raises:
        AuthenticationRequired: it isn't one.
    """
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _LONGEST_BASIC:
        raise _malformed()
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise _malformed() from None
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    name, colon, secret = text.partition(":")
    if not colon or "\0" in text:
        raise _malformed()
    return name, secret


def _malformed() -> AuthenticationRequired:
    return AuthenticationRequired(
        "The Authorization header says Basic and isn't the base64 of name:password. Log in again."
    )
