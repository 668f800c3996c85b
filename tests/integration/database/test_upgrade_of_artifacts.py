# SPDX-License-Identifier: Apache-2.0
"""The upgrade of a registry that has manifests already: what lists show of them is there, and every number is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from longshore.registry.invariants import INVARIANTS
from tests.upgrading import fill_first_schema, on_empty_database, upgrade

_SIGNATURE = "sha256-" + "a" * 64 + ".sig"
_SUBJECT = "sha256:" + "a" * 64
_FILL = f"""
INSERT INTO projects (id, name, created_at, updated_at) VALUES (7, 'team', 0, 0);
INSERT INTO project_usage (project_id) VALUES (7);
INSERT INTO repositories (id, project_id, name, created_at, listed_at, deleted_at, purge_after)
VALUES (1, 7, 'app', 5, 5, NULL, NULL), (2, 7, 'gone', 5, 5, 6, 7), (3, 7, 'empty', 5, NULL, NULL, NULL);
INSERT INTO manifests (id, repository_id, digest, media_type, artifact_type, subject_digest, size, pushed_at, deleted_at,
    purge_after, payload)
VALUES (1, 1, 'index', 'm', NULL, NULL, 1, 10, NULL, NULL, 'x'), (2, 1, 'child', 'm', NULL, NULL, 1, 10, NULL, NULL, 'x'),
    (3, 1, 'tagged child', 'm', NULL, NULL, 1, 10, NULL, NULL, 'x'), (4, 1, 'gone', 'm', NULL, NULL, 1, 10, 20, 30, 'x'),
    (5, 1, 'child of gone', 'm', NULL, NULL, 1, 11, NULL, NULL, 'x'),
    (6, 1, 'note', 'm', 'text/note', 'index', 1, 10, NULL, NULL, 'x'),
    (7, 1, 'signature', 'm', 'application/vnd.cncf.notary.signature', 'index', 1, 10, NULL, NULL, 'x'),
    (8, 1, 'by tag', 'm', NULL, NULL, 1, 10, NULL, NULL, 'x'), (9, 2, 'other', 'm', NULL, NULL, 1, 10, NULL, NULL, 'x');
INSERT INTO manifest_children (parent_id, repository_id, child_digest, child_id)
VALUES (1, 1, 'child', 2), (1, 1, 'tagged child', 3), (4, 1, 'child of gone', 5);
INSERT INTO tags (repository_id, name, manifest_id, subject_digest, pushed_at)
VALUES (1, 'latest', 1, NULL, 0), (1, '1', 1, NULL, 0), (1, 'amd64', 3, NULL, 0), (1, '{_SIGNATURE}', 8, '{_SUBJECT}', 0);
INSERT INTO tag_journal (id, repository_id, name, digest, action, actor, at)
VALUES (21, 1, 'latest', 'index', 'created', 'a', 0), (22, 1, '1', 'index', 'created', 'a', 0),
    (23, 1, 'amd64', 'tagged child', 'created', 'a', 0), (24, 1, '{_SIGNATURE}', 'by tag', 'created', 'a', 0),
    (25, 1, '1', 'index', 'moved', 'a', 0);
INSERT INTO manifest_pulls (manifest_id, pull_count, pulled_at) VALUES (1, 4, 0), (2, 3, 0);
"""
_RECOUNTS = [each for each in INVARIANTS if each.name.startswith(("artifact-", "project-artifact", "tag-count"))]


def _upgrade(connection: Connection) -> dict[str, Any]:
    """From the first schema to the newest, and what is there then."""
    fill_first_schema(connection, _FILL)
    upgrade(connection)

    def rows(text: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(text).all()]

    violations = []
    for each in _RECOUNTS:
        text = each.violations.sqlite if connection.dialect.name == "sqlite" else each.violations.postgresql
        violations += rows(text.replace("?1", "100").replace("$1", "100"))
    return {
        "violations": violations,
        "listed": [row[0] for row in rows("SELECT manifest_id FROM artifacts WHERE listed ORDER BY manifest_id")],
        "accessories": rows(
            "SELECT manifest_id, accessory_type, subject_digest FROM artifacts WHERE accessory_type IS NOT NULL"
            " ORDER BY manifest_id"
        ),
        "waiting": rows("SELECT count(*) FROM artifacts WHERE describe_after = 0 AND described_at IS NULL"),
        "repositories": rows("SELECT id, artifact_count, pull_count, updated_at FROM repositories ORDER BY id"),
        "project": rows("SELECT artifact_count FROM project_usage"),
        "tags": rows("SELECT name, id FROM tags WHERE id < 24 OR id > 24 ORDER BY id"),
    }


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_artifacts_are_listed_and_counted(tmp_path: Path, postgresql_server: str, dialect: str) -> None:
    """From the first release's schema, on both databases; the blobs are read by the worker later."""
    found = await on_empty_database(dialect, tmp_path, postgresql_server, _upgrade)
    assert len(_RECOUNTS) == 5
    assert found == {
        "violations": [],
        "listed": [1, 3, 5, 9],
        "accessories": [
            (6, "subject.accessory", "index"),
            (7, "signature.notation", "index"),
            (8, "signature.cosign", _SUBJECT),
        ],
        "waiting": [(9,)],
        "repositories": [(1, 3, 7, 11), (2, 1, 0, 10), (3, 0, 0, 5)],
        "project": [(3,)],
        "tags": [("latest", 21), ("amd64", 23), ("1", 25)],
    }
