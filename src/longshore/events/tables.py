# SPDX-License-Identifier: Apache-2.0
"""Events are written by the transaction that causes them and numbered after it, in the order of commits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, UniqueConstraint

from longshore.database.schema import Identifier, Microseconds, identifier, metadata, partial_index

events = Table(
    "events",
    metadata,
    identifier(),
    Column("seq", BigInteger, comment="the only order that consumers may rely on; NULL until it is numbered"),
    Column("kind", Text, nullable=False),
    Column("project_id", Identifier),
    Column("payload", Text, nullable=False),
    Column("at", Microseconds, nullable=False),
    UniqueConstraint("seq"),
    partial_index("ix_events_unnumbered", "id", where="seq IS NULL"),
    sqlite_autoincrement=True,
)
