# SPDX-License-Identifier: Apache-2.0
"""Keys for single purposes, derived from the instance's secret key."""

from __future__ import annotations

import hmac


def derive_key(secret_key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose; knowing it tells nothing about the secret key or the keys of other purposes.

    The secret key has full entropy, so one round of HMAC is all that HKDF (RFC 5869) would add to it.
    """
    return hmac.digest(secret_key, f"longshore/{purpose}".encode(), "sha256")
