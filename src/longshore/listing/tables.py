# SPDX-License-Identifier: Apache-2.0
"""How many items lists have: numbers that every change keeps true, so that nobody counts."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, PrimaryKeyConstraint, Table, text

from longshore.database.schema import Identifier, Name, metadata

list_totals = Table(
    "list_totals",
    metadata,
    Column("list", Name, nullable=False),
    Column("scope_id", Identifier, nullable=False, comment="the parent of the list; 0: the registry itself"),
    Column("total", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("list", "scope_id"),
    CheckConstraint("total >= 0", name="total"),
    comment="Maintained by the transactions that add and remove items",
)
