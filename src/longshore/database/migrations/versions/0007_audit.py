# SPDX-License-Identifier: Apache-2.0
"""The audit log. It begins with the first event that the database still has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", _IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("project_id", _IDENTIFIER, nullable=True, comment="NULL: of the whole registry"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="the client's address; empty where it isn't known"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_listing", "audit_log", ["at", "id"])
    op.create_index("ix_audit_log_project", "audit_log", ["project_id", "at", "id"])
    op.create_table(
        "audit_cursors",
        sa.Column(
            "name", _NAME, nullable=False, comment="log: what audit_log has; forward: what the syslog server has"
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="of the last event that was read"),
        sa.Column("holder", sa.Text(), nullable=False, comment="who forwards at present"),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_cursors")),
    )
    op.execute("INSERT INTO audit_cursors (name, seq, holder, held_until) VALUES ('log', 0, '', 0)")
