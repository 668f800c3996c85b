# SPDX-License-Identifier: Apache-2.0
"""What the audit log says of an event. Each kind of event has its rule here; a test holds it to that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from longshore.audit.models import Entry
from longshore.events.models import Event

HARBORS_TYPES: Final = (
    "create_artifact",
    "delete_artifact",
    "pull_artifact",
    "create_project",
    "delete_project",
    "update_project",
    "delete_repository",
    "login_user",
    "logout_user",
    "create_user",
    "delete_user",
    "update_user",
    "create_robot",
    "delete_robot",
    "create_member",
    "update_member",
    "delete_member",
    "update_configuration",
)
"""The event types that Harbor has."""

_LONGEST: Final = 1024
_LONGEST_NAME: Final = 255

Payload = Mapping[str, Any]
Name = Callable[[Payload, str], str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a kind of event is told.

    Attributes:
        operation: What was done; no entry is made when it is empty.
        resource_type: To what kind of thing.
        name: Which one, from the payload and the name of the project.
        several: Names when the event is about several things, one entry for each.
    """

    operation: str
    resource_type: str = ""
    name: Name = lambda _payload, _project: ""
    several: Callable[[Payload, str], list[str]] | None = None

    @property
    def event_type(self) -> str:
        return f"{self.operation}_{self.resource_type}"


def _field(name: str) -> Name:
    return lambda payload, _project: str(payload.get(name, ""))


def _member(payload: Payload, _project: str) -> str:
    return str(payload.get("username") or payload.get("group", ""))


def _project(_payload: Payload, project: str) -> str:
    return project


def _repository(payload: Payload, project: str) -> str:
    return f"{project}/{payload.get('repository', '')}"


def _digest(payload: Payload, project: str) -> str:
    return f"{_repository(payload, project)}@{payload.get('digest', '')}"


def _tag(payload: Payload, project: str) -> str:
    return f"{_repository(payload, project)}:{payload.get('tag', '')}"


def _pulled(payload: Payload, project: str) -> str:
    return (_tag if payload.get("tag") else _digest)(payload, project)


def _pushed(payload: Payload, project: str) -> list[str]:
    repository = _repository(payload, project)
    return [f"{repository}:{tag}" for tag in payload.get("tags", ())] or [_digest(payload, project)]


def _restored(payload: Payload, project: str) -> list[str]:
    repository = _repository(payload, project)
    return [f"{repository}@{digest}" for digest in payload.get("manifests", ())][:1] or [repository]


def _robot(payload: Payload, project: str) -> str:
    name = str(payload.get("name", ""))
    return f"{project}+{name}" if payload.get("level") == "project" else name


def _configuration(_payload: Payload, _project: str) -> str:
    return "configuration"


_NOT_TOLD: Final = _Rule("")
_RULES: Final[Mapping[str, _Rule]] = {
    "manifest.pushed": _Rule("create", "artifact", several=_pushed),
    "manifest.pulled": _Rule("pull", "artifact", _pulled),
    "manifest.deleted": _Rule("delete", "artifact", _digest),
    "manifest.restored": _Rule("restore", "artifact", several=_restored),
    "tag.created": _Rule("create", "tag", _tag),
    "tag.deleted": _Rule("delete", "tag", _tag),
    # The artifact that it was made for is told; nobody makes an empty one.
    "repository.created": _NOT_TOLD,
    "repository.updated": _Rule("update", "repository", _repository),
    "repository.deleted": _Rule("delete", "repository", _repository),
    "repository.restored": _Rule("restore", "repository", _repository),
    "project.created": _Rule("create", "project", lambda payload, project: str(payload.get("project", project))),
    "project.updated": _Rule("update", "project", _project),
    "project.deleted": _Rule("delete", "project", _project),
    "project.restored": _Rule("restore", "project", _project),
    "member.added": _Rule("create", "member", _member),
    "member.updated": _Rule("update", "member", _member),
    "member.removed": _Rule("delete", "member", _member),
    "user.created": _Rule("create", "user", _field("username")),
    "user.updated": _Rule("update", "user", _field("username")),
    "user.deleted": _Rule("delete", "user", _field("username")),
    "user.logged_in": _Rule("login", "user", _field("username")),
    "user.logged_out": _Rule("logout", "user", _field("username")),
    "access_token.created": _Rule("create", "access_token", _field("name")),
    "access_token.deleted": _Rule("delete", "access_token", _field("name")),
    "robot.created": _Rule("create", "robot", _robot),
    "robot.updated": _Rule("update", "robot", _robot),
    "robot.deleted": _Rule("delete", "robot", _robot),
    "group.created": _Rule("create", "group", _field("group")),
    "group.updated": _Rule("update", "group", _field("group")),
    "group.deleted": _Rule("delete", "group", _field("group")),
    "label.created": _Rule("create", "label", _field("name")),
    "label.updated": _Rule("update", "label", _field("name")),
    "label.deleted": _Rule("delete", "label", _field("name")),
    "label.added": _Rule("add", "label", _field("name")),
    "label.removed": _Rule("remove", "label", lambda payload, _: str(payload.get("name", payload.get("label_id", "")))),
    "quota.updated": _Rule("update", "quota", _project),
    # The registry's own doing: nobody did it.
    "quota.warning": _NOT_TOLD,
    "quota.exceeded": _NOT_TOLD,
    "allowlist.updated": _Rule("update", "allowlist", lambda _, project: project or "system"),
    "configuration.updated": _Rule("update", "configuration", _configuration),
}
_DETAILS: Final = ("changed", "role", "level", "reason", "count")

OURS: Final = tuple(sorted({rule.event_type for rule in _RULES.values() if rule.operation} - frozenset(HARBORS_TYPES)))
"""The event types that Harbor hasn't."""


def is_ruled(kind: str) -> bool:
    """Whether there is a rule for that kind of event, if only that it isn't told."""
    return kind in _RULES


def entries_of(event: Event, project: str) -> list[Entry]:
    """What the audit log says of the event; `project` is the name of its project, empty when it has none."""
    payload = event.payload
    rule = _RULES.get(event.kind) or _general(event.kind)
    if not rule.operation:
        return []
    names = [rule.name(payload, project)] if rule.several is None else rule.several(payload, project)
    return [_entry(event, rule, name) for name in names]


def _general(kind: str) -> _Rule:
    """A newer release's kind: told by its words, rather than not at all."""
    noun, _, verb = kind.partition(".")
    return _Rule(verb or "changed", noun, lambda payload, _: str(payload.get("name", "")))


def _entry(event: Event, rule: _Rule, name: str) -> Entry:
    payload = event.payload
    details = [f"{key}: {_said(payload[key])}" for key in _DETAILS if payload.get(key)]
    sentence = " ".join(dict.fromkeys((rule.operation, rule.resource_type, name)))
    return Entry(
        operation=rule.operation,
        resource_type=rule.resource_type,
        resource=name[:_LONGEST],
        username=str(payload.get("actor") or payload.get("username") or "")[:_LONGEST_NAME],
        description="; ".join([sentence, *details])[:_LONGEST],
        success=bool(payload.get("success", True)),
        source=str(payload.get("source", "")),
        project_id=event.project_id,
        at=event.at,
    )


def _said(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
