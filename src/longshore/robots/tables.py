# SPDX-License-Identifier: Apache-2.0
"""Robot accounts: identities of machines with permissions of their own."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, false, text

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata, partial_index

robots = Table(
    "robots",
    metadata,
    identifier(),
    Column("name", Name, nullable=False, comment="as given: without prefix and project"),
    Column("level", Text, nullable=False),
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), comment="NULL: system level"),
    Column("description", Text, nullable=False, server_default=""),
    Column("secret_hash", Text, nullable=False),
    Column("previous_secret_hash", Text, comment="the one before, while both are good"),
    Column("previous_secret_until", Microseconds),
    Column("permissions", Text, nullable=False, comment="JSON: [{kind, project, access: [{resource, action}]}]"),
    Column("duration_days", BigInteger, nullable=False),
    Column("expires_at", Microseconds, comment="NULL: never"),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("creator", Text, nullable=False),
    Column("creator_type", Text, nullable=False, server_default="local", comment="local: a user; robot"),
    Column("creator_ref", Identifier, nullable=False, server_default=text("0"), comment="its number; 0: not known"),
    Column("access_version", BigInteger, nullable=False, server_default=text("1")),
    Column("created_at", Microseconds, nullable=False),
    Column("updated_at", Microseconds, nullable=False),
    CheckConstraint("level IN ('system', 'project')", name="level"),
    CheckConstraint("(level = 'system') = (project_id IS NULL)", name="project"),
    Index("uq_robots_project_name", "project_id", "name", unique=True),
    partial_index("uq_robots_system_name", "name", where="project_id IS NULL", unique=True),
    sqlite_autoincrement=True,
)
