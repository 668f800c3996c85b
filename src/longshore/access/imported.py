# SPDX-License-Identifier: Apache-2.0
"""Passwords and secrets that Harbor stored: PBKDF2 with a salt of its own each, in the three variants that it has had.

They are kept as `pbkdf2:<hash>:<iterations>:<hex of 16 bytes>:<salt>` until they are used for the first time. Then whoever
checks them stores their own form instead. Computing one takes milliseconds: never on the event loop.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from longshore.oci.errors import BadRequest

_BYTES: Final = 16
_VARIANTS: Final = {"sha1": ("sha1", 4_096), "sha256": ("sha256", 4_096), "pbkdf2_sha256": ("sha256", 600_000)}
_STORED: Final = re.compile(r"pbkdf2:(sha1|sha256):(4096|600000):([0-9a-f]{32}):(.+)", re.DOTALL)
_HEX: Final = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class _Parts:
    algorithm: str
    iterations: int
    digest: str
    salt: str


def imported_hash(version: str, salt: str, digest: str) -> str:
    """What is stored of a hash of Harbor's.

    Args:
        version: `sha1`, `sha256` or `pbkdf2_sha256`, as Harbor's `password_version` says; for robots `sha256`.
        salt: The salt, as text.
        digest: 32 hexadecimal digits.

    Raises:
        BadRequest: it isn't one of Harbor's.
    """
    variant = _VARIANTS.get(version)
    if variant is None:
        raise BadRequest(f"password_version is one of {', '.join(_VARIANTS)}, not {version[:40]!a}.")
    if _HEX.fullmatch(digest) is None or not salt:
        raise BadRequest("A stored password of Harbor has 32 hexadecimal digits and a salt.")
    algorithm, iterations = variant
    return f"pbkdf2:{algorithm}:{iterations}:{digest.lower()}:{salt}"


def is_imported(stored: str) -> bool:
    """Whether it is such a hash."""
    return _parse(stored) is not None


def matches_imported(stored: str, secret: str) -> bool:
    """Whether this is the password or secret of such a hash; takes milliseconds."""
    parts = _parse(stored)
    if parts is None:
        return False
    given = secret.encode(errors="surrogatepass")
    found = hashlib.pbkdf2_hmac(parts.algorithm, given, parts.salt.encode(), parts.iterations, _BYTES)
    return hmac.compare_digest(found.hex(), parts.digest)


def _parse(stored: str) -> _Parts | None:
    found = _STORED.fullmatch(stored)
    return None if found is None else _Parts(found[1], int(found[2]), found[3], found[4])
