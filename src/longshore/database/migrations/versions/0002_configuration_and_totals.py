# SPDX-License-Identifier: Apache-2.0
"""What administrators set, and how many items lists have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:

    op.create_table(
        "configuration",
        sa.Column("name", _NAME, nullable=False),
        sa.Column("value", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_configuration")),
        comment="What administrators have set; items that aren't here have their default",
    )
    op.create_table(
        "list_totals",
        sa.Column("list", _NAME, nullable=False),
        sa.Column("scope_id", _IDENTIFIER, nullable=False, comment="the parent of the list; 0: the registry itself"),
        sa.Column("total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("list", "scope_id", name=op.f("pk_list_totals")),
        sa.CheckConstraint("total >= 0", name=op.f("ck_list_totals_total")),
        comment="Maintained by the transactions that add and remove items",
    )
