# SPDX-License-Identifier: Apache-2.0
"""Secrets of robots: made here, shown once, stored as one keyed hash.

A secret of 32 random characters can't be guessed, so it needs no slow hash; the key keeps a stolen database from being
searched for the ones that people chose themselves.
"""

from __future__ import annotations

import hmac
import secrets
import string
from typing import Final

from longshore.access.imported import is_imported, matches_imported
from longshore.access.keys import derive_key
from longshore.oci.errors import BadRequest

_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32
_LONGEST: Final = 128
_SHORTEST: Final = 8
_LONGEST_GRACE: Final = 30 * 86_400

SECOND: Final = 1_000_000
"""A second in microseconds."""


class RobotSecrets:
    """Makes secrets and compares them with what was stored."""

    def __init__(self, secret_key: bytes) -> None:
        self._key = derive_key(secret_key, "robot-secrets")

    def hash(self, secret: str) -> str:
        """What is stored of a secret."""
        return hmac.digest(self._key, secret.encode(errors="surrogatepass"), "sha256").hex()

    def matches(self, stored: str, secret: str) -> bool:
        """Whether this is the secret that was stored; takes as long when it isn't, and milliseconds if it `is_outdated`."""
        if is_imported(stored):
            return matches_imported(stored, secret)
        return hmac.compare_digest(stored, self.hash(secret))

    @staticmethod
    def is_outdated(stored: str) -> bool:
        """Whether what was stored came from Harbor, and should be replaced by `hash` as soon as the secret is known."""
        return is_imported(stored)

    @staticmethod
    def generate() -> str:
        """32 random letters and digits, some of each kind."""
        while True:
            secret = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
            if _has_every_kind(secret):
                return secret


def check_secret(secret: str) -> None:
    """Accepts a secret that somebody chose: 8 to 128 characters with upper case, lower case and a digit.

    Raises:
        BadRequest: it is another one.
    """
    if not _SHORTEST <= len(secret) <= _LONGEST or not _has_every_kind(secret):
        raise BadRequest(
            f"The secret must have {_SHORTEST} to {_LONGEST} characters, among them at least one upper-case letter, one"
            " lower-case letter and one digit. Leave it out to have one made."
        )


def check_grace(seconds: int) -> None:
    """Accepts how long a replaced secret stays good: 0 (not at all) to 30 days.

    Raises:
        BadRequest: it is longer, or below zero.
    """
    if not 0 <= seconds <= _LONGEST_GRACE:
        raise BadRequest(f"grace_seconds: the old secret stays good for 0 to {_LONGEST_GRACE} seconds, not {seconds}.")


def _has_every_kind(secret: str) -> bool:
    return all(
        any(character in kind for character in secret)
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    )
