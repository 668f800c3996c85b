# SPDX-License-Identifier: Apache-2.0
"""People: sessions, access tokens, accounts that are disabled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:

    op.add_column("users", sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "sessions",
        sa.Column("id_hash", _NAME, nullable=False, comment="a keyed hash: the id itself is the browser's only"),
        sa.Column("user_id", _IDENTIFIER, nullable=False),
        sa.Column(
            "access_version", sa.BigInteger(), nullable=False, comment="of the user at login: another one ends it"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("renewed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_sessions")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"),
        comment="People who are logged in with a browser",
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "access_tokens",
        sa.Column("id", _IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("user_id", _IDENTIFIER, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("secret_hash", _NAME, nullable=False, comment="a keyed hash"),
        sa.Column(
            "scope", sa.Text(), nullable=True, comment="JSON as robots.permissions; NULL: all that the owner may do"
        ),
        sa.Column(
            "access_version", sa.BigInteger(), nullable=False, comment="of the user when made: another one ends it"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True, comment="NULL: never"),
        sa.Column("used_at", sa.BigInteger(), nullable=True, comment="at most a minute behind"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_access_tokens_user_id"), ondelete="CASCADE"),
        comment="What people use in the place of their passwords",
        sqlite_autoincrement=True,
    )
    op.create_index("uq_access_tokens_secret_hash", "access_tokens", ["secret_hash"], unique=True)
    op.create_index("uq_access_tokens_user_name", "access_tokens", ["user_id", "name"], unique=True)
    op.execute(
        "INSERT INTO list_totals (list, scope_id, total)"
        " SELECT 'users', 0, count(*) FROM users WHERE deleted_at IS NULL AND id <> 1"
    )
