# SPDX-License-Identifier: Apache-2.0
"""People."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Table, Text, false, text

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
    # All that the list of users filters by: whoever asks for a page far behind skips the others in here. SQLite takes an
    # index for whole only if the column of its condition is in it too.
    partial_index("ix_users_listing", "username", "id", "email", "deleted_at", where="deleted_at IS NULL"),
    sqlite_autoincrement=True,
)
