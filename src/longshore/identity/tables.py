# SPDX-License-Identifier: Apache-2.0
"""People."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, false, text

from longshore.database.schema import Microseconds, Name, identifier, metadata, partial_index

users = Table(
    "users",
    metadata,
    identifier(),
    Column("username", Name, nullable=False),
    Column("email", Name),
    Column("realname", Text, nullable=False, server_default=""),
    Column("comment", Text, nullable=False, server_default=""),
    Column("password_hash", Text, nullable=False),
    Column("sysadmin", Boolean, nullable=False, server_default=false()),
    Column("access_version", BigInteger, nullable=False, server_default=text("1")),
    Column("created_at", Microseconds, nullable=False),
    Column("updated_at", Microseconds, nullable=False),
    Column("deleted_at", Microseconds),
    partial_index("uq_users_username", "username", where="deleted_at IS NULL", unique=True),
    partial_index("uq_users_email", "email", where="deleted_at IS NULL AND email IS NOT NULL", unique=True),
    sqlite_autoincrement=True,
)

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
