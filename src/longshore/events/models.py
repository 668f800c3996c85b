# SPDX-License-Identifier: Apache-2.0
"""What events are: facts about changes that were committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What happened. The payload of each kind has the same keys for ever; new ones may be added."""

    MANIFEST_PUSHED = "manifest.pushed"
    MANIFEST_PULLED = "manifest.pulled"
    MANIFEST_DELETED = "manifest.deleted"
    MANIFEST_RESTORED = "manifest.restored"
    TAG_CREATED = "tag.created"
    TAG_DELETED = "tag.deleted"
    REPOSITORY_CREATED = "repository.created"
    REPOSITORY_UPDATED = "repository.updated"
    REPOSITORY_DELETED = "repository.deleted"
    REPOSITORY_RESTORED = "repository.restored"
    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    PROJECT_DELETED = "project.deleted"
    PROJECT_RESTORED = "project.restored"
    MEMBER_ADDED = "member.added"
    MEMBER_UPDATED = "member.updated"
    MEMBER_REMOVED = "member.removed"
    ALLOWLIST_UPDATED = "allowlist.updated"
    GROUP_CREATED = "group.created"
    GROUP_UPDATED = "group.updated"
    GROUP_DELETED = "group.deleted"
    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"
    USER_LOGGED_IN = "user.logged_in"
    USER_LOGGED_OUT = "user.logged_out"
    ACCESS_TOKEN_CREATED = "access_token.created"  # noqa: S105 - the name of an event
    ACCESS_TOKEN_DELETED = "access_token.deleted"  # noqa: S105 - the name of an event
    LABEL_CREATED = "label.created"
    LABEL_UPDATED = "label.updated"
    LABEL_DELETED = "label.deleted"
    LABEL_ADDED = "label.added"
    LABEL_REMOVED = "label.removed"
    QUOTA_UPDATED = "quota.updated"
    QUOTA_WARNING = "quota.warning"
    QUOTA_EXCEEDED = "quota.exceeded"
    ROBOT_CREATED = "robot.created"
    ROBOT_UPDATED = "robot.updated"
    ROBOT_DELETED = "robot.deleted"
    CONFIGURATION_UPDATED = "configuration.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One numbered event. `at` is in microseconds since 1970; `seq` is the only order to rely on."""

    seq: int
    kind: str
    project_id: int | None
    payload: Mapping[str, Any]
    at: int
