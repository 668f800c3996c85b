# SPDX-License-Identifier: Apache-2.0
"""Keeping the numbers of items true: whoever adds or removes an item says so in the same transaction."""

from __future__ import annotations

from typing import Final

from longshore.database.connection import Transaction
from longshore.database.statement import Statement

EVERYWHERE: Final = 0
"""The scope of lists that belong to the registry itself."""

# Two statements: an upsert would check the constraint on what it would have inserted, also when it doesn't.
_CHANGE = Statement("UPDATE list_totals SET total = total + :change WHERE list = :list AND scope_id = :scope_id")
_BEGIN = Statement(
    "INSERT INTO list_totals (list, scope_id, total) VALUES (:list, :scope_id, :change)"
    " ON CONFLICT (list, scope_id) DO UPDATE SET total = list_totals.total + excluded.total"
)
_FORGET = Statement("DELETE FROM list_totals WHERE list = :list AND scope_id = :scope_id")


async def change_total(transaction: Transaction, name: str, scope_id: int, change: int) -> None:
    """So many items more (or fewer, below zero) in the list of that name below that parent."""
    if change and not await transaction.execute(_CHANGE, list=name, scope_id=scope_id, change=change):
        await transaction.execute(_BEGIN, list=name, scope_id=scope_id, change=change)


async def forget_total(transaction: Transaction, name: str, scope_id: int) -> None:
    """The parent is gone, and its list with it."""
    await transaction.execute(_FORGET, list=name, scope_id=scope_id)


def total_of(name: str, scope: str = "0") -> str:
    """The SQL that tells the number of items of a list; `scope` is `0`, or a parameter such as `:project_id`."""
    return f"SELECT total FROM list_totals WHERE list = '{name}' AND scope_id = {scope}"
