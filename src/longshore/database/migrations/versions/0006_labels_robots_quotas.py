# SPDX-License-Identifier: Apache-2.0
"""Labels, robots and quotas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:

    op.create_table(
        "labels",
        sa.Column("id", _IDENTIFIER, autoincrement=True, nullable=False),
        sa.Column("project_id", _IDENTIFIER, nullable=True, comment="NULL: of the registry"),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("color", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_labels_project_id"), ondelete="CASCADE"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 128", name=op.f("ck_labels_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_labels_project_id_name", "labels", ["project_id", "name"], unique=True)
    op.create_index("ix_labels_project_id_id", "labels", ["project_id", "id"], unique=False)
    op.create_index(
        "uq_labels_global_name",
        "labels",
        ["name"],
        unique=True,
        sqlite_where=sa.text("project_id IS NULL"),
        postgresql_where=sa.text("project_id IS NULL"),
    )
    op.create_table(
        "artifact_labels",
        sa.Column("manifest_id", _IDENTIFIER, nullable=False),
        sa.Column("label_id", _IDENTIFIER, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("manifest_id", "label_id", name=op.f("pk_artifact_labels")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name=op.f("fk_artifact_labels_manifest_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["label_id"], ["labels.id"], name=op.f("fk_artifact_labels_label_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(
        "ix_artifact_labels_label_id_manifest_id", "artifact_labels", ["label_id", "manifest_id"], unique=False
    )
