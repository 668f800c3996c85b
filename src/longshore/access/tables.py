# SPDX-License-Identifier: Apache-2.0
"""Failed attempts to sign in."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, PrimaryKeyConstraint, Table

from longshore.database.schema import Microseconds, Name, metadata

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("source", Name, nullable=False),
    Column("account", Name, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("blocked_until", Microseconds, nullable=False),
    Column("at", Microseconds, nullable=False),
    PrimaryKeyConstraint("source", "account"),
    Index("ix_sign_in_failures_at", "at"),
    comment="Throttling by source and account, shared by every process",
)
