# SPDX-License-Identifier: Apache-2.0
"""Labels, and which artifacts have them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text

from longshore.database.schema import Identifier, Microseconds, Name, identifier, metadata, partial_index

labels = Table(
    "labels",
    metadata,
    identifier(),
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), comment="NULL: of the registry"),
    Column("name", Name, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("color", Text, nullable=False, server_default=""),
    Column("created_at", Microseconds, nullable=False),
    Column("updated_at", Microseconds, nullable=False),
    CheckConstraint("length(name) BETWEEN 1 AND 128", name="name"),
    Index("uq_labels_project_id_name", "project_id", "name", unique=True),
    partial_index("uq_labels_global_name", "name", where="project_id IS NULL", unique=True),
    # The order of the lists.
    Index("ix_labels_project_id_id", "project_id", "id"),
    sqlite_autoincrement=True,
)

artifact_labels = Table(
    "artifact_labels",
    metadata,
    Column("manifest_id", Identifier, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("label_id", Identifier, ForeignKey("labels.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Microseconds, nullable=False),
    PrimaryKeyConstraint("manifest_id", "label_id"),
    Index("ix_artifact_labels_label_id_manifest_id", "label_id", "manifest_id"),
)
