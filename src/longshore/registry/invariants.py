# SPDX-License-Identifier: Apache-2.0
"""What must be true of the metadata at every moment: each invariant is one query for what violates it.

One statement sees one snapshot, so these may run beside any traffic. Each returns a text that names the offender.
"""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Connection
from longshore.database.statement import Statement
from longshore.registry.artifacts import LISTED

_LIVE_EDGE = """
    EXISTS (
        SELECT 1 FROM repository_blobs rb
        JOIN manifest_blobs mb ON mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id
        JOIN manifests m ON m.id = mb.manifest_id
        JOIN repositories r ON r.id = rb.repository_id
        WHERE rb.project_id = pb.project_id AND rb.blob_id = pb.blob_id
        AND m.deleted_at IS NULL AND r.deleted_at IS NULL)
"""
_LIVE_WANT = """
    EXISTS (
        SELECT 1 FROM repository_blobs rb
        JOIN blobs b ON b.id = rb.blob_id
        JOIN manifest_wants w ON w.repository_id = rb.repository_id AND w.digest = b.digest
        JOIN manifests m ON m.id = w.manifest_id
        JOIN repositories r ON r.id = rb.repository_id
        WHERE rb.project_id = pb.project_id AND rb.blob_id = pb.blob_id {visible}
        AND m.deleted_at IS NULL AND r.deleted_at IS NULL)
"""
_MANIFEST_BYTES = """
    SELECT coalesce(sum(m.size), 0) FROM manifests m JOIN repositories r ON r.id = m.repository_id
    WHERE r.project_id = u.project_id
"""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule of the metadata, and the query that finds what breaks it."""

    name: str
    rule: str
    violations: Statement


def _invariant(name: str, rule: str, query: str) -> Invariant:
    return Invariant(name, rule, Statement(f"SELECT offender FROM ({query}) AS broken LIMIT :limit"))


INVARIANTS: tuple[Invariant, ...] = (
    _invariant(
        "key-owned-once",
        "Each stored key is in exactly one of upload_keys, blobs and trash.",
        """
        SELECT 'key ' || owned.key AS offender FROM (
            SELECT key FROM upload_keys UNION ALL SELECT key FROM blobs UNION ALL SELECT key FROM trash) AS owned
        GROUP BY owned.key HAVING count(*) > 1
        """,
    ),
    _invariant(
        "held-means-referenced",
        "A membership without a lease has an edge.",
        """
        SELECT 'repository ' || rb.repository_id || ' blob ' || rb.blob_id AS offender FROM repository_blobs rb
        WHERE rb.lease_until IS NULL AND NOT EXISTS (
            SELECT 1 FROM manifest_blobs mb WHERE mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id)
        """,
    ),
    _invariant(
        "blob-has-membership",
        "Every blob is a member of a repository.",
        """
        SELECT 'blob ' || b.digest AS offender FROM blobs b
        WHERE NOT EXISTS (SELECT 1 FROM repository_blobs rb WHERE rb.blob_id = b.id)
        """,
    ),
    _invariant(
        "project-blob-has-membership",
        "What a project stores is a member of one of its repositories.",
        """
        SELECT 'project ' || pb.project_id || ' blob ' || pb.blob_id AS offender FROM project_blobs pb
        WHERE NOT EXISTS (
            SELECT 1 FROM repository_blobs rb WHERE rb.project_id = pb.project_id AND rb.blob_id = pb.blob_id)
        """,
    ),
    _invariant(
        "size-agrees",
        "A project counts a blob with the blob's size.",
        """
        SELECT 'project ' || pb.project_id || ' blob ' || b.digest AS offender
        FROM project_blobs pb JOIN blobs b ON b.id = pb.blob_id WHERE pb.size <> b.size
        """,
    ),
    _invariant(
        "membership-in-its-project",
        "A membership counts for the project of its repository.",
        """
        SELECT 'repository ' || rb.repository_id || ' blob ' || rb.blob_id AS offender
        FROM repository_blobs rb JOIN repositories r ON r.id = rb.repository_id WHERE rb.project_id <> r.project_id
        """,
    ),
    _invariant(
        "edges-within-repository",
        "Edges, wants, children and tags of a manifest are of its repository.",
        """
        SELECT 'manifest ' || m.digest AS offender FROM manifests m
        WHERE EXISTS (SELECT 1 FROM manifest_blobs mb WHERE mb.manifest_id = m.id AND mb.repository_id <> m.repository_id)
        OR EXISTS (SELECT 1 FROM manifest_wants w WHERE w.manifest_id = m.id AND w.repository_id <> m.repository_id)
        OR EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = m.id AND t.repository_id <> m.repository_id)
        OR EXISTS (
            SELECT 1 FROM manifest_children c LEFT JOIN manifests k ON k.id = c.child_id
            WHERE c.parent_id = m.id AND (c.repository_id <> m.repository_id OR k.repository_id <> m.repository_id))
        """,
    ),
    _invariant(
        "children-linked",
        "An index is linked to every child that is there.",
        """
        SELECT 'index ' || c.parent_id || ' child ' || c.child_digest AS offender FROM manifest_children c
        JOIN manifests m ON m.repository_id = c.repository_id AND m.digest = c.child_digest
        WHERE c.child_id IS NULL OR c.child_id <> m.id
        """,
    ),
    _invariant(
        "live-parent-live-child",
        "What a live index contains is alive.",
        """
        SELECT 'manifest ' || k.digest || ' in ' || p.digest AS offender FROM manifest_children c
        JOIN manifests p ON p.id = c.parent_id JOIN manifests k ON k.id = c.child_id
        WHERE p.deleted_at IS NULL AND k.deleted_at IS NOT NULL
        """,
    ),
    _invariant(
        "tag-of-live-manifest",
        "A tag points to a live manifest.",
        """
        SELECT 'tag ' || t.name || ' of repository ' || t.repository_id AS offender
        FROM tags t JOIN manifests m ON m.id = t.manifest_id WHERE m.deleted_at IS NOT NULL
        """,
    ),
    _invariant(
        "no-hidden-blob-of-live-manifest",
        "A blob that a live manifest has an edge to isn't hidden, unless a client deleted it before that manifest came.",
        """
        SELECT 'blob ' || rb.blob_id || ' of manifest ' || m.digest AS offender FROM repository_blobs rb
        JOIN manifest_blobs mb ON mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id
        JOIN manifests m ON m.id = mb.manifest_id JOIN repositories r ON r.id = m.repository_id
        WHERE rb.hidden_at IS NOT NULL AND rb.hidden_at > m.pushed_at
        AND m.deleted_at IS NULL AND r.deleted_at IS NULL
        """,
    ),
    _invariant(
        "stored-bytes",
        "What a project stores is the sum of its blobs and manifests.",
        f"""
        SELECT 'project ' || u.project_id || ' stored_bytes ' || u.stored_bytes AS offender FROM project_usage u
        WHERE u.stored_bytes <>
            (SELECT coalesce(sum(pb.size), 0) FROM project_blobs pb WHERE pb.project_id = u.project_id)
            + ({_MANIFEST_BYTES})
        """,
    ),
    _invariant(
        "used-bytes",
        "What a project uses is the sum of its counted blobs and live manifests.",
        f"""
        SELECT 'project ' || u.project_id || ' used_bytes ' || u.used_bytes AS offender FROM project_usage u
        WHERE u.used_bytes <>
            (SELECT coalesce(sum(pb.size), 0) FROM project_blobs pb WHERE pb.project_id = u.project_id AND pb.counted)
            + ({_MANIFEST_BYTES} AND m.deleted_at IS NULL AND r.deleted_at IS NULL)
        """,
    ),
    _invariant(
        "usage-row",
        "Every project has a row of the ledger.",
        """
        SELECT 'project ' || p.name AS offender FROM projects p
        WHERE NOT EXISTS (SELECT 1 FROM project_usage u WHERE u.project_id = p.id)
        """,
    ),
    _invariant(
        "repository-count",
        "A project's number of repositories is that of its live, listed ones.",
        """
        SELECT 'project ' || u.project_id || ' repository_count ' || u.repository_count AS offender
        FROM project_usage u
        WHERE u.repository_count <> (
            SELECT count(*) FROM repositories r
            WHERE r.project_id = u.project_id AND r.deleted_at IS NULL AND r.listed_at IS NOT NULL)
        """,
    ),
    _invariant(
        "totals",
        "How many projects and repositories there are, in all and public, is what a count tells.",
        """
        SELECT known.name || ' ' || known.counted AS offender FROM (
            SELECT 'projects' AS name, (SELECT count(*) FROM projects WHERE deleted_at IS NULL) AS counted
            UNION ALL SELECT 'projects.public', (SELECT count(*) FROM projects WHERE deleted_at IS NULL AND public)
            UNION ALL SELECT 'repositories',
                (SELECT count(*) FROM repositories WHERE deleted_at IS NULL AND listed_at IS NOT NULL)
            UNION ALL SELECT 'repositories.public',
                (SELECT count(*) FROM repositories r JOIN projects p ON p.id = r.project_id
                WHERE r.deleted_at IS NULL AND r.listed_at IS NOT NULL AND p.public)
        ) AS known
        WHERE known.counted <> coalesce(
            (SELECT total FROM list_totals t WHERE t.list = known.name AND t.scope_id = 0), 0)
        """,
    ),
    _invariant(
        "artifact-row",
        "Every manifest has a row for lists.",
        """
        SELECT 'manifest ' || m.digest AS offender FROM manifests m LEFT JOIN artifacts a ON a.manifest_id = m.id
        WHERE a.manifest_id IS NULL OR a.repository_id <> m.repository_id
        """,
    ),
    _invariant(
        "artifact-listed",
        "Lists show what is alive, no accessory, and tagged or in no live index.",
        f"""
        SELECT 'artifact ' || artifacts.manifest_id || CASE WHEN listed THEN ' is listed' ELSE ' is not listed' END
            AS offender
        FROM artifacts WHERE listed <> {LISTED}
        """,
    ),
    _invariant(
        "tag-count",
        "An artifact's number of tags is that of its tags.",
        """
        SELECT 'artifact ' || a.manifest_id || ' tag_count ' || a.tag_count AS offender FROM artifacts a
        WHERE a.tag_count <> (SELECT count(*) FROM tags t WHERE t.manifest_id = a.manifest_id)
        """,
    ),
    _invariant(
        "artifact-count",
        "A repository's number of artifacts is that of its listed ones.",
        """
        SELECT 'repository ' || r.id || ' artifact_count ' || r.artifact_count AS offender FROM repositories r
        WHERE r.artifact_count <> (SELECT count(*) FROM artifacts a WHERE a.repository_id = r.id AND a.listed)
        """,
    ),
    _invariant(
        "project-artifact-count",
        "A project's number of artifacts is that of its live repositories.",
        """
        SELECT 'project ' || u.project_id || ' artifact_count ' || u.artifact_count AS offender FROM project_usage u
        WHERE u.artifact_count <> (
            SELECT coalesce(sum(r.artifact_count), 0) FROM repositories r
            WHERE r.project_id = u.project_id AND r.deleted_at IS NULL)
        """,
    ),
    _invariant(
        "live-content-counted",
        "What a live manifest holds counts.",
        f"""
        SELECT 'project ' || pb.project_id || ' blob ' || pb.blob_id AS offender FROM project_blobs pb
        WHERE NOT pb.counted AND ({_LIVE_EDGE} OR {_LIVE_WANT.format(visible="AND rb.hidden_at IS NULL")})
        """,
    ),
    _invariant(
        "dead-content-due",
        "What counts without a live manifest is queued for review.",
        f"""
        SELECT 'project ' || pb.project_id || ' blob ' || pb.blob_id AS offender FROM project_blobs pb
        WHERE pb.counted AND NOT ({_LIVE_EDGE} OR {_LIVE_WANT.format(visible="")}) AND NOT EXISTS (
            SELECT 1 FROM repository_blobs rb
            WHERE rb.project_id = pb.project_id AND rb.blob_id = pb.blob_id AND rb.lease_until IS NOT NULL)
        """,
    ),
    _invariant(
        "journal-agrees",
        "A tag's last line in the journal is what it points to.",
        """
        SELECT 'tag ' || t.name || ' of repository ' || t.repository_id AS offender
        FROM tags t JOIN manifests m ON m.id = t.manifest_id
        WHERE NOT EXISTS (
            SELECT 1 FROM tag_journal j WHERE j.repository_id = t.repository_id AND j.name = t.name
            AND j.digest = m.digest AND j.action <> 'deleted' AND NOT EXISTS (
                SELECT 1 FROM tag_journal later
                WHERE later.repository_id = j.repository_id AND later.name = j.name AND later.id > j.id))
        """,
    ),
    _invariant(
        "session-has-body",
        "An upload that isn't finished has exactly one body.",
        """
        SELECT 'upload ' || s.id AS offender FROM upload_sessions s
        WHERE (s.state <> 'done') <> EXISTS (
            SELECT 1 FROM upload_keys k WHERE k.session_id = s.id AND k.role = 'body')
        """,
    ),
    _invariant(
        "sparse-only",
        "Only a want or a missing child of a sparse manifest names what isn't there.",
        """
        SELECT 'manifest ' || w.manifest_id || ' wants ' || w.digest || ' and has it' AS offender
        FROM manifest_wants w JOIN blobs b ON b.digest = w.digest
        JOIN manifest_blobs mb ON mb.manifest_id = w.manifest_id AND mb.blob_id = b.id
        """,
    ),
)


async def violations(connection: Connection, invariant: Invariant, limit: int = 100) -> list[str]:
    """What breaks the invariant, at most `limit` of it."""
    return [row[0] for row in await connection.all(invariant.violations, limit=limit)]
