# SPDX-License-Identifier: Apache-2.0
"""Groups of users, and who is in them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata

user_groups = Table(
    "user_groups",
    metadata,
    identifier(),
    Column("type", Text, nullable=False),
    Column("name", Name, nullable=False),
    Column("ldap_dn", Name, comment="as it was given"),
    Column(
        "key", Name, nullable=False, comment="what tells groups of one type apart: the DN in lower case, or the name"
    ),
    Column("created_at", Microseconds, nullable=False),
    Column("updated_at", Microseconds, nullable=False),
    CheckConstraint("type IN ('ldap', 'http', 'oidc')", name="type"),
    CheckConstraint("(type = 'ldap') = (ldap_dn IS NOT NULL)", name="ldap_dn"),
    UniqueConstraint("type", "key"),
    Index("ix_user_groups_type", "type", "id"),
    Index("ix_user_groups_name", "name"),
    sqlite_autoincrement=True,
)

user_group_members = Table(
    "user_group_members",
    metadata,
    Column("user_id", Identifier, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("group_id", Identifier, ForeignKey("user_groups.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("user_id", "group_id"),
    Index("ix_user_group_members_group_id", "group_id"),
    comment="As of the last login of each user",
)
