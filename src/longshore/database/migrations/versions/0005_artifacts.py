# SPDX-License-Identifier: Apache-2.0
"""Artifacts: what lists show of manifests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:

    op.create_table(
        "artifacts",
        sa.Column("manifest_id", _IDENTIFIER, nullable=False),
        sa.Column("repository_id", _IDENTIFIER, nullable=False),
        sa.Column("project_id", _IDENTIFIER, nullable=False),
        sa.Column("pushed_at", sa.BigInteger(), nullable=False),
        sa.Column("listed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("type", sa.Text(), server_default="UNKNOWN", nullable=False),
        sa.Column("config_media_type", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("accessory_type", sa.Text(), nullable=True),
        sa.Column("icon", sa.Text(), nullable=True),
        sa.Column("extra_attributes", sa.Text(), server_default="{}", nullable=False),
        sa.Column("described_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("manifest_id", name=op.f("pk_artifacts")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name=op.f("fk_artifacts_manifest_id"), ondelete="CASCADE"
        ),
    )
