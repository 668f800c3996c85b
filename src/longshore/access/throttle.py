# SPDX-License-Identifier: Apache-2.0
"""Throttling of failed sign-ins by source *and* account, shared by every process through the database.

A stranger who guesses passwords of an account slows down only himself: the account's owner comes from another source.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Final

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.oci.errors import TooManyRequests

FREE_FAILURES: Final = 5
"""So many failures in a row cost nothing but time: people mistype, and containerd tries every password twice."""

LONGEST_SECONDS: Final = 300
"""A delay doubles with each failure, up to this."""

_SECOND: Final = 1_000_000
_MEMORY: Final = 3600 * _SECOND
_LONGEST_NAME: Final = 255
_CLEAN_SECONDS: Final = 1.0
_REMEMBERED: Final = 8_192
_SOURCES: Final = 1_024

_STATE = Statement(
    "SELECT failures, blocked_until - {now} FROM sign_in_failures WHERE source = :source AND account = :account"
)
_FAILED = Statement(
    """
    INSERT INTO sign_in_failures (source, account, failures, blocked_until, at) VALUES (:source, :account, 1, 0, {now})
    ON CONFLICT (source, account) DO UPDATE SET failures = sign_in_failures.failures + 1, at = excluded.at
    RETURNING failures
    """
)
_BLOCK = Statement(
    "UPDATE sign_in_failures SET blocked_until = {now} + :delay WHERE source = :source AND account = :account"
)
_CLEAR = Statement("DELETE FROM sign_in_failures WHERE source = :source AND account = :account")
# The time is asked for once, so that PostgreSQL compares an index with it, and a guesser can't have it search for ever.
_FORGET = Statement(
    """
    DELETE FROM sign_in_failures WHERE (source, account) IN (
        SELECT source, account FROM sign_in_failures WHERE at < (SELECT {now} - CAST(:memory AS BIGINT)) LIMIT 100
    )
    """
)


class Throttle:
    """Counts failures and tells how long to wait. That there are none is taken for true for a second.

    Args:
        database: Where failures are counted.
        clock: Seconds, monotonic.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._clean: dict[tuple[str, str], float] = {}

    async def check(self, source: str, account: str) -> int:
        """How many attempts of the source on the account failed lately.

        Raises:
            TooManyRequests: the source has to wait before it may try this account again.
        """
        source, account = _network(source), account[:_LONGEST_NAME]
        if self._clean.get((source, account), 0.0) > self._clock():
            return 0

        async def read(connection: Connection) -> tuple[int, int]:
            row = await connection.one(_STATE, source=source, account=account)
            return (0, 0) if row is None else (row[0], row[1])

        failures, wait = await self._database.read(read)
        # A longer one comes from a clock that has been put back.
        if 0 < wait <= LONGEST_SECONDS * _SECOND:
            seconds = -(-wait // _SECOND)
            raise TooManyRequests(
                f"{failures} attempts to log in from {source} with this name failed. Check name and password, and try again"
                f" in {seconds} {'second' if seconds == 1 else 'seconds'}.",
                retry_after=seconds,
            )
        if not failures:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean[(source, account)] = self._clock() + _CLEAN_SECONDS
        return failures

    async def failed(self, source: str, account: str) -> None:
        """Counts a failure; forgets those that nobody repeated for an hour."""
        source, account = _network(source), account[:_LONGEST_NAME]
        self._clean.pop((source, account), None)

        async def write(transaction: Transaction) -> None:
            await transaction.execute(_FORGET, memory=_MEMORY)
            failures = await transaction.value(_FAILED, source=source, account=account)
            if failures > FREE_FAILURES:
                seconds = min(2 ** min(failures - FREE_FAILURES - 1, 20), LONGEST_SECONDS)
                await transaction.execute(_BLOCK, source=source, account=account, delay=seconds * _SECOND)

        await self._database.write(write)

    async def clear(self, source: str, account: str) -> None:
        """Forgets the failures of the source on the account: it got in."""
        source, account = _network(source), account[:_LONGEST_NAME]
        await self._database.write(lambda transaction: transaction.execute(_CLEAR, source=source, account=account))


@lru_cache(_SOURCES)
def _network(source: str) -> str:
    """Who is one source: an IPv4 address, but of IPv6 a network of /64, which is what one customer has to guess from."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))
