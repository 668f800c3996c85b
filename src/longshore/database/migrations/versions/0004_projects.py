# SPDX-License-Identifier: Apache-2.0
"""Projects: groups, members, allowlists, and how many projects, members and repositories there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIVE = "deleted_at IS NULL"


def upgrade() -> None:
    _make_groups()
    _open_members_to_groups()
    _make_allowlists()
    _index_projects()
    _count()


def _make_groups() -> None:
    op.create_table(
        "user_groups",
        sa.Column("id", _IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("ldap_dn", _NAME, nullable=True, comment="as it was given"),
        sa.Column(
            "key",
            _NAME,
            nullable=False,
            comment="what tells groups of one type apart: the DN in lower case, or the name",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("type IN ('ldap', 'http', 'oidc')", name=op.f("ck_user_groups_type")),
        sa.CheckConstraint("(type = 'ldap') = (ldap_dn IS NOT NULL)", name=op.f("ck_user_groups_ldap_dn")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_groups")),
        sa.UniqueConstraint("type", "key", name=op.f("uq_user_groups_type_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_user_groups_type", "user_groups", ["type", "id"])
    op.create_index("ix_user_groups_name", "user_groups", ["name"])
    op.create_table(
        "user_group_members",
        sa.Column("user_id", _IDENTIFIER, nullable=False),
        sa.Column("group_id", _IDENTIFIER, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_group_members_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["user_groups.id"], name=op.f("fk_user_group_members_group_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "group_id", name=op.f("pk_user_group_members")),
        comment="As of the last login of each user",
    )
    op.create_index("ix_user_group_members_group_id", "user_group_members", ["group_id"])


def _open_members_to_groups() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _make_members_anew()
    else:
        op.alter_column("project_members", "user_id", nullable=True, comment="NULL: a group is the member")
        op.add_column(
            "project_members", sa.Column("group_id", _IDENTIFIER, nullable=True, comment="NULL: a user is the member")
        )
        op.add_column(
            "project_members",
            sa.Column("name", _NAME, server_default="", nullable=False, comment="of the user or group, to sort by"),
        )
        op.create_foreign_key(
            op.f("fk_project_members_group_id"),
            "project_members",
            "user_groups",
            ["group_id"],
            ["id"],
            ondelete="CASCADE",
        )
        op.create_check_constraint(
            op.f("ck_project_members_entity"), "project_members", "(user_id IS NULL) <> (group_id IS NULL)"
        )
    op.execute(
        "UPDATE project_members SET name = (SELECT username FROM users WHERE users.id = project_members.user_id)"
    )
    op.create_index("ix_project_members_group_id", "project_members", ["group_id"])
    op.create_index("ix_project_members_name", "project_members", ["project_id", "name", "id"])
    _partial_index(
        "uq_project_members_project_id_group_id",
        "project_members",
        ["project_id", "group_id"],
        "group_id IS NOT NULL",
        unique=True,
    )


def _make_members_anew() -> None:
    """SQLite can't drop NOT NULL from a column: the table is made anew, and goes on with the numbers of the old one."""
    op.create_table(
        "new_project_members",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_members")),
        sa.UniqueConstraint("project_id", "user_id", name=op.f("uq_project_members_project_id_user_id")),
        sa.CheckConstraint(
            "role IN ('project_admin', 'maintainer', 'developer', 'guest', 'limited_guest')",
            name=op.f("ck_project_members_role"),
        ),
        sa.CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name=op.f("ck_project_members_entity")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_members_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_project_members_user_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["user_groups.id"], name=op.f("fk_project_members_group_id"), ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO new_project_members (id, project_id, user_id, role, created_at)"
        " SELECT id, project_id, user_id, role, created_at FROM project_members"
    )
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'new_project_members'")
    op.execute(
        "INSERT INTO sqlite_sequence (name, seq)"
        " SELECT 'new_project_members', seq FROM sqlite_sequence WHERE name = 'project_members'"
    )
    op.drop_table("project_members")
    op.rename_table("new_project_members", "project_members")
    op.create_index("ix_project_members_user_id", "project_members", ["user_id"])


def _make_allowlists() -> None:
    op.create_table(
        "cve_allowlists",
        sa.Column("id", _IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("project_id", _IDENTIFIER, nullable=True, comment="NULL: the system's"),
        sa.Column(
            "scope_id", _IDENTIFIER, nullable=False, comment="the project, 0 for the system: there is one of each"
        ),
        sa.Column(
            "items", sa.Text(), nullable=False, comment="JSON: the identifiers, in the order in which they were given"
        ),
        sa.Column("expires_at", sa.BigInteger(), nullable=True, comment="NULL: never"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("scope_id = coalesce(project_id, 0)", name=op.f("ck_cve_allowlists_scope")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_cve_allowlists_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cve_allowlists")),
        sa.UniqueConstraint("scope_id", name=op.f("uq_cve_allowlists_scope_id")),
        comment="Vulnerabilities that are accepted",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cve_allowlists_project_id", "cve_allowlists", ["project_id"])


def _index_projects() -> None:
    _partial_index("ix_projects_public_listing", "projects", ["public", "name", "id", "owner_id", "deleted_at"], _LIVE)
    _partial_index("ix_projects_created_at", "projects", ["created_at", "id", "public", "deleted_at"], _LIVE)
    _partial_index("ix_projects_updated_at", "projects", ["updated_at", "id", "public", "deleted_at"], _LIVE)


def _count() -> None:
    for name, count in (
        ("projects", "SELECT count(*) FROM projects WHERE deleted_at IS NULL"),
        ("projects.public", "SELECT count(*) FROM projects WHERE deleted_at IS NULL AND public"),
        ("repositories", "SELECT coalesce(sum(repository_count), 0) FROM project_usage"),
        (
            "repositories.public",
            "SELECT coalesce(sum(repository_count), 0) FROM project_usage u JOIN projects p ON p.id = project_id WHERE public",
        ),
    ):
        op.execute(f"INSERT INTO list_totals (list, scope_id, total) SELECT '{name}', 0, ({count})")
    op.execute(
        "INSERT INTO list_totals (list, scope_id, total)"
        " SELECT 'members.' || role, project_id, count(*) FROM project_members GROUP BY role, project_id"
    )


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
