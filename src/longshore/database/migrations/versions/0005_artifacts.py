# SPDX-License-Identifier: Apache-2.0
"""Artifacts: what lists show of manifests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Facts that are columns already. The rest is read from the blobs in the background.
_ACCESSORY = """
    CASE WHEN m.subject_digest IS NULL THEN
        CASE WHEN EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = m.id AND t.subject_digest IS NOT NULL
            AND t.name LIKE '%.sig') THEN 'signature.cosign' END
    WHEN m.artifact_type = 'application/vnd.cncf.notary.signature' THEN 'signature.notation'
    WHEN m.artifact_type IN ('application/vnd.dev.cosign.artifact.sig.v1+json',
        'application/vnd.dev.sigstore.bundle.v0.3+json') THEN 'signature.cosign'
    WHEN m.artifact_type = 'application/vnd.goharbor.harbor.sbom.v1' THEN 'sbom.harbor'
    ELSE 'subject.accessory' END
"""
_FILL = f"""
    INSERT INTO artifacts (manifest_id, repository_id, project_id, pushed_at, tag_count, size, accessory_type,
        subject_digest, describe_after)
    SELECT m.id, m.repository_id, r.project_id, m.pushed_at,
        (SELECT count(*) FROM tags t WHERE t.manifest_id = m.id), m.size, {_ACCESSORY},
        coalesce(m.subject_digest, (SELECT min(t.subject_digest) FROM tags t WHERE t.manifest_id = m.id
            AND t.name LIKE '%.sig')), 0
    FROM manifests m JOIN repositories r ON r.id = m.repository_id
"""
_LIST = """
    UPDATE artifacts SET listed = true WHERE accessory_type IS NULL
    AND EXISTS (SELECT 1 FROM manifests m WHERE m.id = artifacts.manifest_id AND m.deleted_at IS NULL)
    AND (tag_count > 0 OR NOT EXISTS (
        SELECT 1 FROM manifest_children c JOIN manifests p ON p.id = c.parent_id
        WHERE c.child_id = artifacts.manifest_id AND p.deleted_at IS NULL))
"""
_COUNT = """
    UPDATE repositories SET
        artifact_count = (SELECT count(*) FROM artifacts a WHERE a.repository_id = repositories.id AND a.listed),
        pull_count = (SELECT coalesce(sum(s.pull_count), 0) FROM manifests m
            JOIN manifest_pulls s ON s.manifest_id = m.id WHERE m.repository_id = repositories.id),
        updated_at = (SELECT coalesce(max(m.pushed_at), repositories.created_at) FROM manifests m
            WHERE m.repository_id = repositories.id)
"""
_COUNT_PROJECTS = """
    UPDATE project_usage SET artifact_count = (SELECT coalesce(sum(r.artifact_count), 0) FROM repositories r
        WHERE r.project_id = project_usage.project_id AND r.deleted_at IS NULL)
"""
_TAGS = """
    UPDATE tags SET id = (SELECT max(j.id) FROM tag_journal j
        WHERE j.repository_id = tags.repository_id AND j.name = tags.name)
"""


def upgrade() -> None:

    op.create_table(
        "artifacts",
        sa.Column("manifest_id", _IDENTIFIER, nullable=False),
        sa.Column("repository_id", _IDENTIFIER, nullable=False),
        sa.Column("project_id", _IDENTIFIER, nullable=False),
        sa.Column(
            "pushed_at",
            sa.BigInteger(),
            nullable=False,
            comment="its first push; a push after its deletion is a first one",
        ),
        sa.Column(
            "listed",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="alive, no accessory, and tagged or in no live index; says nothing of the repository",
        ),
        sa.Column("tag_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("type", sa.Text(), server_default="UNKNOWN", nullable=False),
        sa.Column("config_media_type", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "size", sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment="with all that it refers to"
        ),
        sa.Column("accessory_type", sa.Text(), nullable=True),
        sa.Column("subject_digest", _NAME, nullable=True, comment="what an accessory belongs to"),
        sa.Column("icon", _NAME, nullable=True, comment="the digest of its own icon"),
        sa.Column(
            "additions",
            sa.Text(),
            server_default="[]",
            nullable=False,
            comment="JSON: names of what it can be asked for",
        ),
        sa.Column("extra_attributes", sa.Text(), server_default="{}", nullable=False, comment="JSON"),
        sa.Column(
            "described_at", sa.BigInteger(), nullable=True, comment="NULL: facts are still to be read from blobs"
        ),
        sa.Column(
            "describe_after",
            sa.BigInteger(),
            nullable=True,
            comment="when to try that; NULL: described, or there is no use",
        ),
        sa.PrimaryKeyConstraint("manifest_id", name=op.f("pk_artifacts")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name=op.f("fk_artifacts_manifest_id"), ondelete="CASCADE"
        ),
        comment="What lists show of a manifest, kept by whoever changes it; one row per manifest",
    )
    for table, column in (
        (
            "project_usage",
            _number("artifact_count", "listed, in live repositories"),
        ),
        ("repositories", sa.Column("description", sa.Text(), server_default="", nullable=False)),
        ("repositories", _number("artifact_count", "those that are listed")),
        ("repositories", _number("pull_count")),
        (
            "repositories",
            _number("updated_at", "its artifacts, tags, description"),
        ),
        ("tags", sa.Column("id", _IDENTIFIER, nullable=True, comment="of the line of the journal that made it")),
    ):
        op.add_column(table, column)
    for statement in (_FILL, _LIST, _COUNT, _COUNT_PROJECTS, _TAGS):
        op.execute(statement)
    _index()


def _number(name: str, comment: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment=comment)


def _index() -> None:
    _partial("ix_artifacts_listing", "artifacts", ["repository_id", "pushed_at", "manifest_id", "listed"], "listed")
    _partial(
        "ix_artifacts_project_listing",
        "artifacts",
        ["project_id", "pushed_at", "manifest_id", "repository_id", "listed"],
        "listed",
    )
    _partial(
        "ix_artifacts_accessories",
        "artifacts",
        ["repository_id", "subject_digest", "manifest_id"],
        "accessory_type IS NOT NULL",
    )
    _partial("ix_artifacts_icon", "artifacts", ["icon"], "icon IS NOT NULL")
    _partial("ix_artifacts_describe_after", "artifacts", ["describe_after"], "describe_after IS NOT NULL")
    _partial(
        "ix_repositories_listing",
        "repositories",
        ["project_id", "created_at", "id", "listed_at", "deleted_at"],
        "listed_at IS NOT NULL AND deleted_at IS NULL",
    )
    _partial(
        "ix_repositories_newest",
        "repositories",
        ["created_at", "id", "project_id", "listed_at", "deleted_at"],
        "listed_at IS NOT NULL AND deleted_at IS NULL",
    )
    op.create_index("ix_tags_id", "tags", ["id"], unique=True)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
