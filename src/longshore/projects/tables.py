# SPDX-License-Identifier: Apache-2.0
"""Members of projects and their string settings; the project itself is a table of the registry."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata

project_members = Table(
    "project_members",
    metadata,
    identifier(),
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Microseconds, nullable=False),
    UniqueConstraint("project_id", "user_id"),
    CheckConstraint(
        "role IN ('project_admin', 'maintainer', 'developer', 'guest', 'limited_guest')",
        name="role",
    ),
    Index("ix_project_members_user_id", "user_id"),
    sqlite_autoincrement=True,
)

project_metadata = Table(
    "project_metadata",
    metadata,
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Name, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "name"),
)
