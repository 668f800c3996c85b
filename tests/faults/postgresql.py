# SPDX-License-Identifier: Apache-2.0
"""Talking to PostgreSQL past the server under test."""

from __future__ import annotations

import asyncio

import asyncpg


def query(url: str, *statements: str) -> object:
    """The first value of the last statement; each is a transaction of its own."""

    async def run() -> object:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())
