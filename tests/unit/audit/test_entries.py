# SPDX-License-Identifier: Apache-2.0
"""What the audit log says of each kind of event, word for word as Harbor says it where Harbor does."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.audit.entries import HARBORS_TYPES, OURS, entries_of, is_ruled
from longshore.events.models import Event, EventKind

_DIGEST = "sha256:" + "a" * 64


def _event(kind: str, project_id: int | None = 7, **payload: Any) -> Event:
    return Event(seq=1, kind=kind, project_id=project_id, payload=payload, at=5)


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_has_a_rule(kind: EventKind) -> None:
    """Every kind of event is told, or left out on purpose; its type is in the list of types."""
    assert is_ruled(kind)
    for entry in entries_of(_event(kind, actor="dora"), "demo"):
        assert entry.event_type in (*HARBORS_TYPES, *OURS)
        assert entry.username == "dora"


def test_harbors_types() -> None:
    """Harbor's eighteen types all have a kind of event that is told so."""
    assert len(set(HARBORS_TYPES)) == 18
    told = {entry.event_type for kind in EventKind for entry in entries_of(_event(kind), "demo")}
    missing = set(HARBORS_TYPES) - told
    assert missing <= {"login_user", "logout_user"}, "the kinds of these come with sessions"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            _event("manifest.pushed", repository="a/b", digest=_DIGEST, tags=["1", "2"]),
            [("create_artifact", "demo/a/b:1"), ("create_artifact", "demo/a/b:2")],
        ),
        (
            _event("manifest.pushed", repository="a", digest=_DIGEST, tags=[]),
            [("create_artifact", f"demo/a@{_DIGEST}")],
        ),
        (_event("manifest.pulled", repository="a", digest=_DIGEST, tag="1"), [("pull_artifact", "demo/a:1")]),
        (_event("manifest.pulled", repository="a", digest=_DIGEST, tag=""), [("pull_artifact", f"demo/a@{_DIGEST}")]),
        (
            _event("manifest.deleted", repository="a", digest=_DIGEST, tags=["1"], manifests=[_DIGEST]),
            [("delete_artifact", f"demo/a@{_DIGEST}")],
        ),
        (_event("tag.deleted", repository="a", tag="1", digest=_DIGEST), [("delete_tag", "demo/a:1")]),
        (_event("repository.created", repository="a"), []),
        (_event("repository.deleted", repository="a"), [("delete_repository", "demo/a")]),
        (_event("project.created", project="demo"), [("create_project", "demo")]),
        (_event("project.deleted", repositories=2), [("delete_project", "demo")]),
        (_event("member.added", username="erik", role="guest"), [("create_member", "erik")]),
        (_event("member.removed", username="erik", role="guest"), [("delete_member", "erik")]),
        (_event("member.added", username="", group="devs", role="guest"), [("create_member", "devs")]),
        (_event("group.deleted", None, group="devs", type="oidc"), [("delete_group", "devs")]),
        (_event("user.updated", None, username="erik", changed=["email"]), [("update_user", "erik")]),
        (_event("user.logged_in", None, username="erik", success=False), [("login_user", "erik")]),
        (_event("robot.created", name="ci", level="project"), [("create_robot", "demo+ci")]),
        (_event("robot.deleted", None, name="ci", level="system"), [("delete_robot", "ci")]),
        (_event("configuration.updated", None, changed=["read_only"]), [("update_configuration", "configuration")]),
        (_event("galaxy.explored", None, name="x"), [("explored_galaxy", "x")]),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_what_is_told(event: Event, told: list[tuple[str, str]]) -> None:
    """The type and the resource of the entries."""
    assert [(entry.event_type, entry.resource) for entry in entries_of(event, "demo")] == told


def test_details() -> None:
    """An entry says who, where from, whether it worked, and what changed."""
    payload = {"username": "erik", "actor": "dora", "changed": ["email", "comment"], "source": "10.0.0.1"}
    (entry,) = entries_of(_event("user.updated", None, **payload), "")
    assert (entry.username, entry.source, entry.success, entry.at) == ("dora", "10.0.0.1", True, 5)
    assert entry.description == "update user erik; changed: email, comment"
    (failed,) = entries_of(_event("user.logged_in", None, username="x" * 5000, success=False), "")
    assert (failed.success, len(failed.resource), len(failed.description)) == (False, 1024, 1024)
    assert failed.username == "x" * 255
