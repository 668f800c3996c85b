# SPDX-License-Identifier: Apache-2.0
"""The metadata graph: what is stored, what refers to what, and what may go (`docs/why/metadata.md`).

The rules that keep an image alive are foreign keys, so the database refuses to lose a blob that something needs. A
nullable time means *held* (NULL) or *review me then*; times are microseconds since 1970 by the database's clock.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from longshore.database.schema import Identifier, Microseconds, Name, Payload, identifier, metadata, partial_index

projects = Table(
    "projects",
    metadata,
    identifier(),
    Column("name", Name, nullable=False),
    Column("owner_id", Identifier, ForeignKey("users.id")),
    Column("public", Boolean, nullable=False, server_default=false()),
    Column("quota_bytes", BigInteger, comment="NULL: no limit"),
    Column("quota_updated_at", Microseconds, comment="NULL: not since it was made"),
    Column("undelete_window", BigInteger, comment="microseconds; NULL: the setting"),
    Column("untagged_ttl", BigInteger, comment="microseconds; NULL: untagged manifests are kept"),
    Column("sparse", Text, nullable=False, server_default="none"),
    Column("access_version", BigInteger, nullable=False, server_default=text("1")),
    Column("created_at", Microseconds, nullable=False),
    Column("updated_at", Microseconds, nullable=False),
    Column("deleted_at", Microseconds),
    Column("purge_after", Microseconds),
    Column("deletion_id", Text),
    CheckConstraint("sparse IN ('none', 'children', 'any')", name="sparse"),
    CheckConstraint("quota_bytes IS NULL OR quota_bytes >= 0", name="quota_bytes"),
    partial_index("uq_projects_name", "name", where="deleted_at IS NULL", unique=True),
    partial_index("ix_projects_purge_after", "purge_after", where="purge_after IS NOT NULL"),
    Index("ix_projects_owner_id", "owner_id"),
    # All that the list of projects filters by: whoever asks for a page far behind skips the others in here. SQLite takes an
    # index for whole only if the column of its condition is in it too.
    partial_index("ix_projects_listing", "name", "id", "public", "owner_id", "deleted_at", where="deleted_at IS NULL"),
    # The same of the public ones and of the others, whose list is what most readers see.
    partial_index(
        "ix_projects_public_listing", "public", "name", "id", "owner_id", "deleted_at", where="deleted_at IS NULL"
    ),
    partial_index("ix_projects_created_at", "created_at", "id", "public", "deleted_at", where="deleted_at IS NULL"),
    partial_index("ix_projects_updated_at", "updated_at", "id", "public", "deleted_at", where="deleted_at IS NULL"),
    sqlite_autoincrement=True,
)

project_usage = Table(
    "project_usage",
    metadata,
    Column("project_id", Identifier, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("used_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("stored_bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("repository_count", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "artifact_count", BigInteger, nullable=False, server_default=text("0"), comment="listed, in live repositories"
    ),
    Column("exceeded_at", Microseconds, comment="the first refusal since something was given back; NULL: it has room"),
    CheckConstraint("used_bytes >= 0 AND stored_bytes >= used_bytes", name="bytes"),
    comment="The ledger, apart from projects so that a counter never blocks a reader; trash = stored - used",
)

repositories = Table(
    "repositories",
    metadata,
    identifier(),
    Column("project_id", Identifier, ForeignKey("projects.id"), nullable=False),
    Column("name", Name, nullable=False, comment="the path below the project"),
    Column("created_at", Microseconds, nullable=False),
    Column("listed_at", Microseconds, comment="its first manifest; NULL: not listed yet"),
    Column("deleted_at", Microseconds),
    Column("purge_after", Microseconds),
    Column("deletion_id", Text),
    Column("description", Text, nullable=False, server_default=""),
    Column("artifact_count", BigInteger, nullable=False, server_default=text("0"), comment="those that are listed"),
    Column("pull_count", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "updated_at", Microseconds, nullable=False, server_default=text("0"), comment="its artifacts, tags, description"
    ),
    partial_index("uq_repositories_name", "project_id", "name", where="deleted_at IS NULL", unique=True),
    Index("ix_repositories_project_id", "project_id"),
    partial_index("ix_repositories_purge_after", "purge_after", where="purge_after IS NOT NULL"),
    partial_index("ix_repositories_deletion_id", "deletion_id", where="deletion_id IS NOT NULL"),
    partial_index("ix_repositories_unlisted", "created_at", where="listed_at IS NULL"),
    partial_index(
        "ix_repositories_listing",
        "project_id",
        "created_at",
        "id",
        "listed_at",
        "deleted_at",
        where="listed_at IS NOT NULL AND deleted_at IS NULL",
    ),
    # The same without a project, for who sees all of them.
    partial_index(
        "ix_repositories_newest",
        "created_at",
        "id",
        "project_id",
        "listed_at",
        "deleted_at",
        where="listed_at IS NOT NULL AND deleted_at IS NULL",
    ),
    sqlite_autoincrement=True,
)

blobs = Table(
    "blobs",
    metadata,
    identifier(),
    Column("digest", Name, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("location", Text, nullable=False, server_default=""),
    Column("key", Name, nullable=False),
    Column("verified_at", Microseconds),
    Column("damaged", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("digest"),
    UniqueConstraint("key"),
    CheckConstraint("size >= 0", name="size"),
    sqlite_autoincrement=True,
    comment="A row means: the bytes are durable under key and hash to digest",
)

project_blobs = Table(
    "project_blobs",
    metadata,
    Column("project_id", Identifier, ForeignKey("projects.id"), nullable=False),
    Column("blob_id", Identifier, ForeignKey("blobs.id"), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("counted", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("project_id", "blob_id"),
    Index("ix_project_blobs_blob_id", "blob_id"),
    comment="The unit of quota; counted: live content or a lease holds it",
)

repository_blobs = Table(
    "repository_blobs",
    metadata,
    Column("repository_id", Identifier, ForeignKey("repositories.id"), nullable=False),
    Column("blob_id", Identifier, nullable=False),
    Column("project_id", Identifier, nullable=False),
    Column("lease_until", Microseconds, comment="NULL: held by a manifest"),
    Column("hidden_at", Microseconds),
    PrimaryKeyConstraint("repository_id", "blob_id"),
    ForeignKeyConstraint(["project_id", "blob_id"], ["project_blobs.project_id", "project_blobs.blob_id"]),
    Index("ix_repository_blobs_blob_id", "blob_id"),
    Index("ix_repository_blobs_project_id_blob_id", "project_id", "blob_id"),
    partial_index("ix_repository_blobs_lease_until", "lease_until", where="lease_until IS NOT NULL"),
    comment="Membership: this repository may serve this blob",
)

manifests = Table(
    "manifests",
    metadata,
    identifier(),
    Column("repository_id", Identifier, ForeignKey("repositories.id"), nullable=False),
    Column("digest", Name, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("artifact_type", Text),
    Column("subject_digest", Name),
    Column("size", BigInteger, nullable=False),
    Column("annotations", Text, nullable=False, server_default="{}"),
    Column("pushed_at", Microseconds, nullable=False),
    Column("review_after", Microseconds),
    Column("deleted_at", Microseconds),
    Column("purge_after", Microseconds),
    Column("deletion_id", Text),
    Column("hold", Boolean, nullable=False, server_default=false()),
    # The last column: SQLite reads past it page by page to reach what stands behind.
    Column("payload", Payload, nullable=False),
    UniqueConstraint("repository_id", "digest"),
    CheckConstraint("(deleted_at IS NULL) = (purge_after IS NULL)", name="deleted"),
    partial_index(
        "ix_manifests_repository_id_subject_digest",
        "repository_id",
        "subject_digest",
        "id",
        where="subject_digest IS NOT NULL",
    ),
    partial_index("ix_manifests_review_after", "review_after", where="review_after IS NOT NULL"),
    partial_index("ix_manifests_purge_after", "purge_after", where="purge_after IS NOT NULL"),
    # NULL first: the live ones of a repository.
    Index("ix_manifests_repository_id_purge_after", "repository_id", "purge_after"),
    partial_index("ix_manifests_hold", "repository_id", where="hold"),
    partial_index("ix_manifests_deletion_id", "deletion_id", where="deletion_id IS NOT NULL"),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("manifest_id", Identifier, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("repository_id", Identifier, nullable=False),
    Column("project_id", Identifier, nullable=False),
    Column(
        "pushed_at", Microseconds, nullable=False, comment="its first push; a push after its deletion is a first one"
    ),
    Column(
        "listed",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="alive, no accessory, and tagged or in no live index; says nothing of the repository",
    ),
    Column("tag_count", BigInteger, nullable=False, server_default=text("0")),
    Column("type", Text, nullable=False, server_default="UNKNOWN"),
    Column("config_media_type", Text, nullable=False, server_default=""),
    Column("size", BigInteger, nullable=False, server_default=text("0"), comment="with all that it refers to"),
    Column("accessory_type", Text),
    Column("subject_digest", Name, comment="what an accessory belongs to"),
    Column("icon", Name, comment="the digest of its own icon"),
    Column("additions", Text, nullable=False, server_default="[]", comment="JSON: names of what it can be asked for"),
    Column("extra_attributes", Text, nullable=False, server_default="{}", comment="JSON"),
    Column("described_at", Microseconds, comment="NULL: facts are still to be read from blobs"),
    Column("describe_after", Microseconds, comment="when to try that; NULL: described, or there is no use"),
    # All that their own order looks at, so that pages are skipped in here; `listed` because SQLite asks for the column of the
    # condition too.
    partial_index("ix_artifacts_listing", "repository_id", "pushed_at", "manifest_id", "listed", where="listed"),
    partial_index(
        "ix_artifacts_project_listing",
        "project_id",
        "pushed_at",
        "manifest_id",
        "repository_id",
        "listed",
        where="listed",
    ),
    partial_index(
        "ix_artifacts_accessories",
        "repository_id",
        "subject_digest",
        "manifest_id",
        where="accessory_type IS NOT NULL",
    ),
    partial_index("ix_artifacts_icon", "icon", where="icon IS NOT NULL"),
    partial_index("ix_artifacts_describe_after", "describe_after", where="describe_after IS NOT NULL"),
    # What a full project could do without is looked for among its largest.
    Index("ix_artifacts_project_id_size", "project_id", "size"),
    comment="What lists show of a manifest, kept by whoever changes it; one row per manifest",
)

manifest_pulls = Table(
    "manifest_pulls",
    metadata,
    Column("manifest_id", Identifier, ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("pull_count", BigInteger, nullable=False, server_default=text("0")),
    Column("pulled_at", Microseconds, nullable=False),
    comment="Apart from manifests, so that counting a pull never rewrites a payload",
)

manifest_blobs = Table(
    "manifest_blobs",
    metadata,
    Column("manifest_id", Identifier, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("repository_id", Identifier, nullable=False),
    Column("blob_id", Identifier, nullable=False),
    PrimaryKeyConstraint("manifest_id", "blob_id"),
    ForeignKeyConstraint(["repository_id", "blob_id"], ["repository_blobs.repository_id", "repository_blobs.blob_id"]),
    Index("ix_manifest_blobs_repository_id_blob_id", "repository_id", "blob_id"),
)

manifest_wants = Table(
    "manifest_wants",
    metadata,
    Column("manifest_id", Identifier, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("repository_id", Identifier, nullable=False),
    Column("digest", Name, nullable=False),
    PrimaryKeyConstraint("manifest_id", "digest"),
    Index("ix_manifest_wants_repository_id_digest", "repository_id", "digest"),
    comment="Blobs that a sparse manifest still lacks",
)

manifest_children = Table(
    "manifest_children",
    metadata,
    Column("parent_id", Identifier, ForeignKey("manifests.id", ondelete="CASCADE"), nullable=False),
    Column("repository_id", Identifier, nullable=False),
    Column("child_digest", Name, nullable=False),
    Column("child_id", Identifier, ForeignKey("manifests.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("parent_id", "child_digest"),
    Index("ix_manifest_children_repository_id_child_digest", "repository_id", "child_digest"),
    Index("ix_manifest_children_child_id", "child_id"),
)

tags = Table(
    "tags",
    metadata,
    Column("repository_id", Identifier, ForeignKey("repositories.id"), nullable=False),
    Column("name", Name, nullable=False),
    Column("manifest_id", Identifier, ForeignKey("manifests.id", ondelete="RESTRICT"), nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("subject_digest", Name, comment="set for cosign's tag scheme: the digest it speaks of"),
    Column("pushed_at", Microseconds, nullable=False),
    Column("pulled_at", Microseconds),
    Column("pull_count", BigInteger, nullable=False, server_default=text("0")),
    Column("id", Identifier, comment="of the line of the journal that made it"),
    PrimaryKeyConstraint("repository_id", "name"),
    Index("ix_tags_manifest_id", "manifest_id"),
    Index("ix_tags_id", "id", unique=True),
    partial_index(
        "ix_tags_repository_id_subject_digest", "repository_id", "subject_digest", where="subject_digest IS NOT NULL"
    ),
)

tag_journal = Table(
    "tag_journal",
    metadata,
    identifier(),
    Column("repository_id", Identifier, nullable=False),
    Column("name", Name, nullable=False),
    Column("digest", Name, nullable=False, comment="what the name pointed to after a push, before a deletion"),
    Column("deletion_id", Text),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("at", Microseconds, nullable=False),
    CheckConstraint("action IN ('created', 'moved', 'deleted', 'restored')", name="action"),
    Index("ix_tag_journal_repository_id_name_id", "repository_id", "name", "id"),
    partial_index("ix_tag_journal_deletion_id", "deletion_id", where="deletion_id IS NOT NULL"),
    sqlite_autoincrement=True,
    comment="Append-only; by digest, so that it outlives the manifest",
)

upload_sessions = Table(
    "upload_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository_id", Identifier, ForeignKey("repositories.id"), nullable=False),
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("digest_so_far", Name, comment="of the first `bytes` bytes, in `algorithm`"),
    Column("algorithm", Text, nullable=False, server_default="sha256"),
    Column("verified_digest", Name, comment="the digest it was completed with"),
    Column("state", Text, nullable=False, server_default="open"),
    Column("owner", Text),
    Column("owner_until", Microseconds),
    Column("created_at", Microseconds, nullable=False),
    Column("expires_at", Microseconds, nullable=False),
    CheckConstraint("state IN ('open', 'receiving', 'completing', 'done')", name="state"),
    CheckConstraint("bytes >= 0", name="bytes"),
    Index("ix_upload_sessions_repository_id", "repository_id"),
    Index("ix_upload_sessions_expires_at", "expires_at"),
)

upload_keys = Table(
    "upload_keys",
    metadata,
    Column("key", Name, primary_key=True),
    Column("session_id", Text, ForeignKey("upload_sessions.id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("backend", Text, nullable=False, server_default="{}"),
    CheckConstraint("role IN ('body', 'copy', 'tail')", name="role"),
    Index("ix_upload_keys_session_id", "session_id"),
    partial_index("uq_upload_keys_body", "session_id", where="role = 'body'", unique=True),
)

trash = Table(
    "trash",
    metadata,
    Column("key", Name, primary_key=True),
    Column("location", Text, nullable=False, server_default=""),
    Column("backend", Text, nullable=False, server_default="{}"),
    Column("purge_after", Microseconds, nullable=False),
    Column("swept_at", Microseconds),
    Index("ix_trash_purge_after", "purge_after"),
)

# The one row of each kind of background step: where it is, when it last did something, and whether people paused it.
reclaim_steps = Table(
    "reclaim_steps",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("handled", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("ran_at", Microseconds),
)
