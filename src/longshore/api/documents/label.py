# SPDX-License-Identifier: Apache-2.0
"""Labels, as the contract shows and takes them."""

from __future__ import annotations

from longshore.api.serialising import Integer, Read, Shown, Time, moment
from longshore.labels.models import Label as StoredLabel
from longshore.labels.models import LabelFacts, LabelScope
from longshore.oci.errors import BadRequest


class Label(Shown, frozen=True, kw_only=True):
    """A label; those of the registry have no `project_id`."""

    id: int = 0
    name: str = ""
    description: str = ""
    color: str = ""
    scope: str = ""
    project_id: int = 0
    creation_time: Time
    update_time: Time


class LabelReq(Read, frozen=True, kw_only=True):
    """A label as it is sent."""

    name: str | None = None
    description: str | None = None
    color: str | None = None
    scope: str | None = None
    project_id: Integer | None = None

    def facts(self) -> LabelFacts:
        """What it says of the label.

        Raises:
            BadRequest: a part isn't acceptable.
        """
        return LabelFacts(name=self.name or "", description=self.description or "", color=self.color or "")

    def owner(self) -> int | None:
        """Whose label it is: the number of a project, or None for the registry.

        Raises:
            BadRequest: the scope isn't one, or the project is missing.
        """
        return parse_owner(self.scope, self.project_id)


def parse_owner(scope: str | None, project_id: int | None) -> int | None:
    """Whose labels are meant: those of the project with this number, or (None) of the registry.

    Raises:
        BadRequest: the scope isn't one, or the project is missing.
    """
    if scope == LabelScope.GLOBAL.value:
        return None
    if scope != LabelScope.PROJECT.value:
        given = f"not {scope[:40]!a}" if scope else "but it is missing"
        raise BadRequest(f'scope: a label is global ("g") or of a project ("p"), {given}.')
    if project_id is None or project_id <= 0:
        raise BadRequest("project_id: the labels of a project need its number.")
    return project_id


def shown_label(label: StoredLabel) -> Label:
    """A label as the contract shows it."""
    return Label(
        id=label.id,
        name=label.facts.name,
        description=label.facts.description,
        color=label.facts.color,
        scope=label.scope.value,
        project_id=label.project_id or 0,
        creation_time=moment(label.created_at),
        update_time=moment(label.updated_at),
    )
