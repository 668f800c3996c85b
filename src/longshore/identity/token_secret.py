# SPDX-License-Identifier: Apache-2.0
"""What access tokens look like: `lsp_`, 36 random letters and digits, and a checksum, so that scanners find lost ones."""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from typing import Final

from longshore.access.keys import derive_key

PREFIX: Final = "lsp_"
"""What every access token begins with."""

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM: Final = 36
_CHECKSUM: Final = 6
_FORM: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


class TokenSecrets:
    """Makes access tokens, and the keyed hash of one that is stored in its place."""

    def __init__(self, secret_key: bytes) -> None:
        self._key = derive_key(secret_key, "access-tokens")

    def hash(self, secret: str) -> str:
        """What is stored of a token: 214 random bits need no slow hash."""
        return hmac.digest(self._key, secret.encode(), "sha256").hex()

    @staticmethod
    def generate() -> str:
        """A new token."""
        body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
        return f"{PREFIX}{body}{_checksum(body)}"


def is_access_token(text: str) -> bool:
    """Whether a text has the form of an access token, checksum included; no password is likely to."""
    return _FORM.fullmatch(text) is not None and text[-_CHECKSUM:] == _checksum(text[len(PREFIX) : -_CHECKSUM])


def _checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
