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
    _labels()
    _quotas()
    _robots()


def _robots() -> None:
    op.add_column(
        "robots",
        sa.Column("previous_secret_hash", sa.Text(), nullable=True, comment="the one before, while both are good"),
    )
    op.add_column("robots", sa.Column("previous_secret_until", sa.BigInteger(), nullable=True))
    op.add_column(
        "robots",
        sa.Column("creator_type", sa.Text(), server_default="local", nullable=False, comment="local: a user; robot"),
    )
    op.add_column(
        "robots",
        sa.Column(
            "creator_ref",
            _IDENTIFIER,
            server_default=sa.text("0"),
            nullable=False,
            comment="its number; 0: not known",
        ),
    )
    # So far the name alone told them apart: people's can't have a dollar sign.
    op.execute("UPDATE robots SET creator_type = 'robot' WHERE creator LIKE 'robot$%'")
    op.execute(
        "INSERT INTO list_totals (list, scope_id, total)"
        " SELECT 'robots', coalesce(project_id, 0), count(*) FROM robots GROUP BY project_id"
    )


def _quotas() -> None:
    op.add_column(
        "projects",
        sa.Column("quota_updated_at", sa.BigInteger(), nullable=True, comment="NULL: not since it was made"),
    )
    op.add_column(
        "project_usage",
        sa.Column(
            "exceeded_at",
            sa.BigInteger(),
            nullable=True,
            comment="the first refusal since something was given back; NULL: it has room",
        ),
    )
    op.create_index("ix_artifacts_project_id_size", "artifacts", ["project_id", "size"], unique=False)


def _labels() -> None:
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
