# SPDX-License-Identifier: Apache-2.0
"""Members of projects, their string settings and allowlists; the project itself is a table of the registry."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata, partial_index

project_members = Table(
    "project_members",
    metadata,
    identifier(),
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), comment="NULL: a group is the member"),
    Column("role", Text, nullable=False),
    Column("created_at", Microseconds, nullable=False),
    Column(
        "group_id", Identifier, ForeignKey("user_groups.id", ondelete="CASCADE"), comment="NULL: a user is the member"
    ),
    Column("name", Name, nullable=False, server_default="", comment="of the user or group, to sort by"),
    UniqueConstraint("project_id", "user_id"),
    CheckConstraint(
        "role IN ('project_admin', 'maintainer', 'developer', 'guest', 'limited_guest')",
        name="role",
    ),
    CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="entity"),
    Index("ix_project_members_user_id", "user_id"),
    Index("ix_project_members_group_id", "group_id"),
    partial_index(
        "uq_project_members_project_id_group_id", "project_id", "group_id", where="group_id IS NOT NULL", unique=True
    ),
    Index("ix_project_members_name", "project_id", "name", "id"),
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

cve_allowlists = Table(
    "cve_allowlists",
    metadata,
    identifier(),
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), comment="NULL: the system's"),
    Column("scope_id", Identifier, nullable=False, comment="the project, 0 for the system: there is one of each"),
    Column("items", Text, nullable=False, comment="JSON: the identifiers, in the order in which they were given"),
    Column("expires_at", Microseconds, comment="NULL: never"),
    Column("created_at", Microseconds, nullable=False),
    Column("updated_at", Microseconds, nullable=False),
    UniqueConstraint("scope_id"),
    CheckConstraint("scope_id = coalesce(project_id, 0)", name="scope"),
    Index("ix_cve_allowlists_project_id", "project_id"),
    sqlite_autoincrement=True,
    comment="Vulnerabilities that are accepted",
)
