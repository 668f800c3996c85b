# SPDX-License-Identifier: Apache-2.0
"""Secrets that the registry keeps for later, encrypted with a key derived from LONGSHORE_SECRET_KEY.

AES-256-GCM with a random nonce for each; the name of what it belongs to is authenticated, so that a sealed text that is
moved to another place in the database opens nothing there.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from typing import Final

from longshore.oci.errors import Internal

_VERSION: Final = "1:"
_NONCE_BYTES: Final = 12


class Sealing:
    """Seals and opens texts.

    Args:
        secret_key: The instance's secret key.
        purpose: What is sealed; texts of one purpose don't open for another.
    """

    def __init__(self, secret_key: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret_key, f"longshore/sealing/{purpose}".encode(), "sha256")

    def seal(self, text: str, owner: str) -> str:
        """The text, encrypted; `owner` names the only place where it can be opened."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - few processes ever seal a thing

        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._key).encrypt(nonce, text.encode(), owner.encode())
        return _VERSION + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, owner: str) -> str:
        """The text that was sealed for that owner.

        Raises:
            Internal: it was sealed with another key or for another owner, or was changed since.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

        try:
            raw = base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
            opened = AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Internal(f"The stored secret of {owner} can't be opened. Set it anew.") from error
        return opened.decode()
