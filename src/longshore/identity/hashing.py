# SPDX-License-Identifier: Apache-2.0
"""Argon2id on threads of its own, never in the way of a pull; and what Harbor had stored, until its first use."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import ARGON2_VERSION

from longshore.access.imported import is_imported, matches_imported
from longshore.oci.errors import ServiceUnavailable

UNUSABLE: Final = "!"
"""What stands for a password in a row that nobody can log in with."""

_THREADS: Final = 2
_WAITING: Final = 64

_Result = TypeVar("_Result")


class Passwords:
    """Hashes passwords and checks them; at most two at a time, at most 64 waiting.

    Args:
        memory_kib: Argon2's memory per hash, in KiB. The rest of its parameters are the library's.
    """

    def __init__(self, *, memory_kib: int = 65_536) -> None:
        self._hasher = PasswordHasher(memory_cost=memory_kib)
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="passwords")
        self._waiting = 0
        self._decoy = _decoy(self._hasher)

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            ServiceUnavailable: too many passwords are waiting.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one that was stored; takes as long with None, for a name that nobody has.

        Raises:
            ServiceUnavailable: too many passwords are waiting.
        """
        return await self._run(lambda: self._verify(stored or UNUSABLE, password))

    @staticmethod
    def is_outdated(stored: str) -> bool:
        """Whether what was stored should be replaced by `hash` as soon as the password is known."""
        return is_imported(stored)

    def close(self) -> None:
        """Ends the threads when they have done what they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[[], _Result]) -> _Result:
        if self._waiting >= _WAITING:
            raise ServiceUnavailable("Too many people are logging in at once. Try again in a moment.", retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._waiting -= 1

    def _verify(self, stored: str, password: str) -> bool:
        if is_imported(stored):
            return matches_imported(stored, password)
        if stored == UNUSABLE:
            stored = self._decoy
        try:
            self._hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            return False
        return True


def _decoy(hasher: PasswordHasher) -> str:
    """A hash that no password has and that takes as long to check as any other, from the very first check on."""
    salt, digest = (
        base64.b64encode(os.urandom(length)).decode().rstrip("=") for length in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"
