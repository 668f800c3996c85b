# SPDX-License-Identifier: Apache-2.0
"""The instance: one row that says which database this is and which key it was made with."""

from __future__ import annotations

import uuid

from longshore.config import SettingsError
from longshore.database.connection import Database, Transaction
from longshore.database.statement import Statement
from longshore.system.secret import key_check

_INSERT = Statement(
    "INSERT INTO instance (id, uuid, key_check, created_at) VALUES (1, :uuid, :key_check, {now})"
    " ON CONFLICT (id) DO NOTHING"
)
_SELECT = Statement("SELECT uuid, key_check FROM instance WHERE id = 1")


async def ensure_instance(database: Database, secret_key: bytes) -> str:
    """The id of the database, given to it at the first start.

    Raises:
        SettingsError: the database was made with another secret key.
    """
    check = key_check(secret_key)

    async def run(transaction: Transaction) -> tuple[str, str]:
        await transaction.execute(_INSERT, uuid=str(uuid.uuid4()), key_check=check)
        row = await transaction.one(_SELECT)
        if row is None:
            raise AssertionError
        return row[0], row[1]

    instance, found = await database.write(run)
    if found != check:
        raise SettingsError(
            "LONGSHORE_SECRET_KEY: is not the key that this database was made with. Set the original key; with another one"
            " no token, session or machine secret would be valid"
        )
    return instance
