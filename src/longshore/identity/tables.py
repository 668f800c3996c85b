# SPDX-License-Identifier: Apache-2.0
"""People, their sessions and their access tokens."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Table, Text, false, text

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata, partial_index

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
    Column("disabled", Boolean, nullable=False, server_default=false()),
    partial_index("uq_users_username", "username", where="deleted_at IS NULL", unique=True),
    partial_index("uq_users_email", "email", where="deleted_at IS NULL AND email IS NOT NULL", unique=True),
    # All that the list of users filters by: whoever asks for a page far behind skips the others in here. SQLite takes an
    # index for whole only if the column of its condition is in it too.
    partial_index("ix_users_listing", "username", "id", "email", "deleted_at", where="deleted_at IS NULL"),
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", Name, primary_key=True, comment="a keyed hash: the id itself is the browser's only"),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("access_version", BigInteger, nullable=False, comment="of the user at login: another one ends it"),
    Column("created_at", Microseconds, nullable=False),
    Column("renewed_at", Microseconds, nullable=False),
    Column("expires_at", Microseconds, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_at", "expires_at"),
    comment="People who are logged in with a browser",
)

access_tokens = Table(
    "access_tokens",
    metadata,
    identifier(),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Name, nullable=False),
    Column("secret_hash", Name, nullable=False, comment="a keyed hash"),
    Column("scope", Text, comment="JSON as robots.permissions; NULL: all that the owner may do"),
    Column("access_version", BigInteger, nullable=False, comment="of the user when made: another one ends it"),
    Column("created_at", Microseconds, nullable=False),
    Column("expires_at", Microseconds, comment="NULL: never"),
    Column("used_at", Microseconds, comment="at most a minute behind"),
    Index("uq_access_tokens_secret_hash", "secret_hash", unique=True),
    Index("uq_access_tokens_user_name", "user_id", "name", unique=True),
    comment="What people use in the place of their passwords",
    sqlite_autoincrement=True,
)
