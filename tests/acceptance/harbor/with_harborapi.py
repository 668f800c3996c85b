# SPDX-License-Identifier: Apache-2.0
"""Scenarios of `harborapi`, an asynchronous client of Harbor's API; run in an environment of its own.

    python with_harborapi.py URL USER PASSWORD PROJECT SCENARIO

`PROJECT` has the repositories `app` (three images, tagged v1, v2, v3), `base` and `web`. The client checks every answer against
models of its own, and follows the pages of a list by itself.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable
from typing import Any

from harborapi import HarborAsyncClient, models
from harborapi.exceptions import BadRequest, Conflict, NotFound, StatusError


def unique(prefix: str) -> str:
    """A name that nobody has."""
    return f"{prefix}-{secrets.token_hex(4)}"


def number(location: str) -> int:
    """The number at the end of a Location."""
    assert location.startswith("/api/v2.0/"), location
    return int(location.rsplit("/", 1)[1])


async def refused(kind: type[StatusError], call: Awaitable[Any]) -> None:
    """Demands that a call is refused as that kind of error."""
    try:
        await call
    except kind:
        return
    raise AssertionError(f"should have been refused by {kind.__name__}")


async def scenario_project(client: HarborAsyncClient) -> None:
    """Projects made, listed, filtered, sorted, changed and deleted."""
    prefix = unique("hapi")
    names = [f"{prefix}-{letter}" for letter in "cab"]
    for name in names:
        location = await client.create_project(models.ProjectReq(project_name=name, public=name.endswith("c")))
        # This client asks for names in locations.
        assert location == f"/api/v2.0/projects/{name}"
    listed = await client.get_projects(name=prefix, page_size=2)
    assert [one.name for one in listed] == sorted(names)
    down = await client.get_projects(query=f"name=~{prefix}", sort="-name", page_size=1)
    assert [one.name for one in down] == sorted(names, reverse=True)
    assert [one.name for one in await client.get_projects(name=prefix, public=True)] == names[:1]
    await refused(Conflict, client.create_project(models.ProjectReq(project_name=names[0])))
    await client.update_project(names[1], models.ProjectReq(metadata=models.ProjectMetadata(public="true")))
    shown = await client.get_project(names[1])
    assert shown.metadata is not None
    assert (shown.metadata.public, shown.owner_name) == ("true", "admin")
    assert await client.project_exists(names[1])
    assert (await client.get_project_deletable(names[1])).deletable
    assert (await client.get_project_summary(names[1])).project_admin_count == 1
    await client.set_project_metadata(names[1], models.ProjectMetadata(auto_scan="true"))
    await client.update_project_metadata_entry(names[1], "auto_scan", {"auto_scan": "false"})
    assert (await client.get_project_metadata(names[1])).auto_scan == "false"
    await client.delete_project_metadata_entry(names[1], "auto_scan")
    for name in names:
        await client.delete_project(name)
    assert await client.get_projects(name=prefix) == []
    await refused(NotFound, client.get_project(names[0]))


async def scenario_user(client: HarborAsyncClient) -> None:
    """People and members made, listed, changed and deleted."""
    prefix = unique("hapi")
    names = [f"{prefix}-{letter}" for letter in "cab"]
    ids = {}
    for name in names:
        user = models.UserCreationReq(username=name, email=f"{name}@x.test", realname=name, password="Secret-1234")
        ids[name] = number(await client.create_user(user))
    listed = await client.get_users(query=f"username=~{prefix}", page_size=2)
    assert [one.username for one in listed] == sorted(names)
    assert (await client.get_user_by_username(names[0])).user_id == ids[names[0]]
    profile = models.UserProfile(email=f"new{prefix}@x.test", realname="New Name", comment="changed")
    await client.update_user(ids[names[0]], profile)
    assert (await client.get_user(ids[names[0]])).comment == "changed"
    await client.set_user_admin(ids[names[0]], is_admin=True)
    assert (await client.get_user(ids[names[0]])).sysadmin_flag
    await client.set_user_password(ids[names[1]], "Another-1234")
    assert (await client.get_current_user()).username == "admin"
    project = sys.argv[4]
    location = await client.add_project_member_user(project, names[1], 2)
    member_id = number(location)
    assert (await client.get_project_member(project, member_id)).role_name == "developer"
    await client.update_project_member_role(project, member_id, 3)
    members = await client.get_project_members(project, page_size=1)
    assert [one.entity_name for one in members] == sorted(["admin", names[1]])
    await client.remove_project_member(project, member_id)
    for name in names:
        await client.delete_user(ids[name])
    assert await client.get_users(query=f"username=~{prefix}") == []


async def scenario_usergroup(client: HarborAsyncClient) -> None:
    """Groups made, listed, searched, changed and deleted."""
    name = unique("hapi")
    group_id = number(await client.create_usergroup(models.UserGroup(group_name=name, group_type=3)))
    assert [one.group_name for one in await client.get_usergroups(group_name=name)] == [name]
    assert [one.id for one in await client.search_usergroups(name)] == [group_id]
    await client.update_usergroup(group_id, models.UserGroup(group_name=f"{name}-new", group_type=3))
    assert (await client.get_usergroup(group_id)).group_name == f"{name}-new"
    await client.delete_usergroup(group_id)
    await refused(NotFound, client.get_usergroup(group_id))


async def scenario_robot(client: HarborAsyncClient) -> None:
    """Robots made, listed, changed, given other secrets and deleted."""
    prefix, project = unique("hapi"), sys.argv[4]
    access = [models.Access(resource="repository", action="pull")]
    grants = [models.RobotPermission(kind="project", namespace=project, access=access)]
    ids = []
    for letter in "cab":
        robot = models.RobotCreate(name=f"{prefix}-{letter}", level="system", duration=-1, permissions=grants)
        made = await client.create_robot(robot)
        assert made.secret
        ids.append(made.id)
    listed = await client.get_robots(query=f"name=~{prefix}", page_size=2)
    assert [one.name for one in listed] == [f"robot${prefix}-{letter}" for letter in "abc"]
    shown = await client.get_robot(ids[0])
    shown.description = "changed"
    await client.update_robot(ids[0], shown)
    assert (await client.get_robot(ids[0])).description == "changed"
    await client.refresh_robot_secret(ids[0], "Chosen-1234")
    for robot_id in ids:
        await client.delete_robot(robot_id)
    assert await client.get_robots(query=f"name=~{prefix}") == []


async def scenario_label(client: HarborAsyncClient) -> None:
    """Labels made, listed, changed and deleted."""
    prefix = unique("hapi")
    ids = [
        number(await client.create_label(models.Label(name=f"{prefix}-{letter}", color="#FFFFFF", scope="g")))
        for letter in "cab"
    ]
    listed = await client.get_labels(scope="g", name=prefix, page_size=2)
    assert [one.id for one in listed] == ids
    await client.update_label(ids[0], models.Label(name=f"{prefix}-new", color="#000000"))
    assert (await client.get_label(ids[0])).name == f"{prefix}-new"
    for label_id in ids:
        await client.delete_label(label_id)
    assert await client.get_labels(scope="g", name=prefix) == []


async def scenario_quota(client: HarborAsyncClient) -> None:
    """Quotas listed, filtered and changed."""
    project = await client.get_project(sys.argv[4])
    assert len(await client.get_quotas(page_size=2)) >= 2
    (own,) = await client.get_quotas(reference="project", reference_id=str(project.project_id))
    assert own.id is not None
    await client.update_quota(own.id, models.QuotaUpdateReq(hard=models.ResourceList(storage=9_000_000_000)))
    changed = await client.get_quota(own.id)
    assert changed.hard is not None
    assert changed.hard.model_dump()["storage"] == 9_000_000_000
    await client.update_quota(own.id, models.QuotaUpdateReq(hard=models.ResourceList(storage=-1)))


async def scenario_repository(client: HarborAsyncClient) -> None:
    """Repositories listed, filtered, sorted and described."""
    project = sys.argv[4]
    listed = await client.get_repositories(project, page_size=2, sort="name")
    assert [one.name for one in listed] == [f"{project}/{name}" for name in ("app", "base", "web")]
    assert [one.name for one in await client.get_repositories(project, query="name=~web")] == [f"{project}/web"]
    await client.update_repository(project, "web", models.Repository(description="changed"))
    assert (await client.get_repository(project, "web")).description == "changed"
    await refused(NotFound, client.get_repository(project, "nothing"))


async def scenario_artifact(client: HarborAsyncClient) -> None:
    """Artifacts listed, shown, labelled, copied and deleted, and their tags."""
    project = sys.argv[4]
    listed = await client.get_artifacts(project, "app", page_size=2)
    assert [one.tags[0].name for one in listed if one.tags] == ["v3", "v2", "v1"]
    oldest = listed[-1].digest
    assert oldest is not None
    assert (await client.get_artifact(project, "app", "v1")).digest == oldest
    tag = unique("hapi")
    await client.create_artifact_tag(project, "app", "v1", models.Tag(name=tag))
    assert {one.name for one in await client.get_artifact_tags(project, "app", "v1", page_size=1)} == {"v1", tag}
    await client.delete_artifact_tag(project, "app", "v1", tag)
    label_id = number(await client.create_label(models.Label(name=unique("hapi"), scope="g")))
    await client.add_artifact_label(project, "app", "v1", models.Label(id=label_id))
    (labelled,) = await client.get_artifacts(project, "app", query=f"labels=({label_id})", with_label=True)
    assert labelled.digest == oldest
    await client.delete_artifact_label(project, "app", "v1", label_id)
    await client.delete_label(label_id)
    await client.copy_artifact(project, "copied", f"{project}/app@{oldest}")
    assert (await client.get_artifact(project, "copied", oldest)).digest == oldest
    history = await client.get_artifact_build_history(project, "app", "v1")
    assert [entry.created_by for entry in history] == ["ADD layer-0 /"]
    assert len(await client.get_project_artifacts(project, page_size=2)) == 6
    await client.delete_artifact(project, "copied", oldest)
    await refused(NotFound, client.get_artifact(project, "copied", oldest))
    await client.delete_repository(project, "copied")


async def scenario_system(client: HarborAsyncClient) -> None:
    """Configuration, log, statistics, search and what else the registry tells of itself."""
    assert await client.ping() == "Pong"
    assert (await client.health_check()).status == "healthy"
    before = (await client.get_config()).session_timeout
    assert before is not None
    await client.update_config(models.Configurations(session_timeout=95))
    changed = (await client.get_config()).session_timeout
    assert changed is not None
    assert changed.value == 95
    await client.update_config(models.Configurations(session_timeout=before.value))
    await refused(BadRequest, client.update_config(models.Configurations(session_timeout=-5)))
    assert await client.get_audit_logs(page_size=5, limit=10)
    assert isinstance(await client.get_project_logs(sys.argv[4]), list)
    assert (await client.get_statistics()).total_project_count
    found = await client.search(sys.argv[4])
    assert found.project is not None
    assert [one.name for one in found.project] == [sys.argv[4]]
    await client.update_cve_allowlist(models.CVEAllowlist(items=[models.CVEAllowlistItem(cve_id="CVE-2026-0002")]))
    assert (await client.get_cve_allowlist()).items
    await client.update_cve_allowlist(models.CVEAllowlist(items=[]))
    permissions = await client.get_permissions()
    assert permissions.system is not None
    assert len(permissions.system) == 70
    assert await client.get_current_user_permissions(scope="/project/1", relative=True)
    assert (await client.get_system_info()).harbor_version


async def run() -> None:
    """Runs the scenario that was asked for."""
    client = HarborAsyncClient(url=f"{sys.argv[1]}/api/v2.0/", username=sys.argv[2], secret=sys.argv[3])
    await globals()[f"scenario_{sys.argv[5]}"](client)


if __name__ == "__main__":
    asyncio.run(run())
