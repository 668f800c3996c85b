# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the client that the OpenAPI generator makes from Harbor's contract; run in an environment of its own.

    python with_generated.py URL USER PASSWORD PROJECT SCENARIO

`PROJECT` has the repositories `app` (three images, tagged v1, v2, v3), `base` and `web`.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

import v2_swagger_client as harbor
from v2_swagger_client.rest import ApiException


def api(kind: type[Any]) -> Any:
    """An API of the client, logged in."""
    configuration = harbor.Configuration(host=f"{sys.argv[1]}/api/v2.0", username=sys.argv[2], password=sys.argv[3])
    return kind(harbor.ApiClient(configuration))


def unique(prefix: str) -> str:
    """A name that nobody has."""
    return f"{prefix}-{secrets.token_hex(4)}"


def number(location: str) -> int:
    """The number at the end of a Location."""
    assert location.startswith("/api/v2.0/"), location
    return int(location.rsplit("/", 1)[1])


def created(answer: tuple[Any, int, Any]) -> int:
    """The number of what was created."""
    body, status, headers = answer
    assert (body, status) == (None, 201)
    return number(headers["Location"])


def whole(call: Callable[..., tuple[Any, int, Any]], *arguments: Any, size: int = 2, **options: Any) -> list[Any]:
    """Everything that a list has, page by page by its links, with the count that each page told."""
    found: list[Any] = []
    page, totals = 1, set()
    while True:
        items, status, headers = call(*arguments, page=page, page_size=size, **options)
        assert status == 200
        assert len(items) <= size
        found += items
        totals.add(int(headers["X-Total-Count"]))
        links = headers.get("Link", "")
        assert ('rel="prev"' in links) is (page > 1 and bool(items)), links
        following = re.search(r'<([^>]+)>; rel="next"', links)
        if following is None:
            break
        page += 1
        assert f"page={page}" in following[1]
    assert totals == {len(found)}, (totals, len(found))
    return found


def refused(status: int, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Demands that a call is refused with that status, in Harbor's envelope."""
    try:
        call(*arguments, **options)
    except ApiException as error:
        answered = (error.status, '"errors"' in (error.body or ""))
    else:
        answered = (0, False)
    assert answered == (status, True), answered


def scenario_project() -> None:
    """Projects made, listed, filtered, sorted, changed and deleted."""
    projects, prefix = api(harbor.ProjectApi), unique("gen")
    names = [f"{prefix}-{letter}" for letter in "cabed"]
    for name in names:
        metadata = harbor.ProjectMetadata(public="true" if name.endswith("c") else "false")
        created(projects.create_project_with_http_info(harbor.ProjectReq(project_name=name, metadata=metadata)))
    mine = whole(projects.list_projects_with_http_info, name=prefix)
    assert [one.name for one in mine] == sorted(names)
    down = whole(projects.list_projects_with_http_info, q=f"name=~{prefix}", sort="-name", with_detail=False)
    assert [one.name for one in down] == sorted(names, reverse=True)
    newest = whole(projects.list_projects_with_http_info, q=f"name=~{prefix}", sort="-creation_time")
    assert [one.name for one in newest] == names[::-1]
    assert [one.name for one in whole(projects.list_projects_with_http_info, name=prefix, public=True)] == names[:1]
    some = "name={" + " ".join(names[:2]) + "}"
    assert {one.name for one in whole(projects.list_projects_with_http_info, q=some)} == set(names[:2])
    refused(409, projects.create_project, harbor.ProjectReq(project_name=names[0]))
    refused(400, projects.create_project, harbor.ProjectReq(project_name="No Name"))
    shown = projects.get_project(names[1])
    assert (shown.name, shown.owner_name, shown.metadata.public) == (names[1], "admin", "false")
    change = harbor.ProjectReq(metadata=harbor.ProjectMetadata(public="true", auto_scan="true"))
    projects.update_project(names[1], change)
    metadata = projects.get_project(shown.project_id).metadata
    assert (metadata.public, metadata.auto_scan) == ("true", "true")
    projects.head_project(names[1])
    assert projects.get_project_deletable(names[1]).deletable is True
    assert projects.get_project_summary(names[1]).project_admin_count == 1
    for name in names:
        projects.delete_project(name)
    assert whole(projects.list_projects_with_http_info, name=prefix) == []
    refused(404, projects.get_project, names[0])


def scenario_user() -> None:
    """People made, listed, searched, changed and deleted."""
    users, prefix = api(harbor.UserApi), unique("gen")
    names = [f"{prefix}-{letter}" for letter in "bca"]
    ids = {}
    for name in names:
        user = harbor.UserCreationReq(username=name, email=f"{name}@x.test", realname=name, password="Secret-1234")
        ids[name] = created(users.create_user_with_http_info(user))
    assert [one.username for one in whole(users.list_users_with_http_info, q=f"username=~{prefix}")] == sorted(names)
    down = whole(users.list_users_with_http_info, q=f"username=~{prefix}", sort="-username")
    assert [one.username for one in down] == sorted(names, reverse=True)
    (found,) = users.list_users(q=f"email={names[0]}@x.test")
    assert found.user_id == ids[names[0]]
    assert {one.username for one in users.search_users(prefix)} == set(names)
    profile = harbor.UserProfile(email="new@gen.test" + prefix, realname="New Name", comment="changed")
    users.update_user_profile(ids[names[0]], profile)
    shown = users.get_user(ids[names[0]])
    assert (shown.realname, shown.comment, shown.sysadmin_flag) == ("New Name", "changed", False)
    users.set_user_sys_admin(ids[names[0]], harbor.UserSysAdminFlag(sysadmin_flag=True))
    assert users.get_user(ids[names[0]]).sysadmin_flag is True
    users.update_user_password(ids[names[1]], harbor.PasswordReq(new_password="Another-1234"))
    assert users.get_current_user_info().username == "admin"
    assert users.get_current_user_permissions(scope="/project/1", relative=True)
    refused(400, users.update_user_password, ids[names[1]], harbor.PasswordReq(new_password="weak"))
    refused(412, users.set_cli_secret, ids[names[1]], harbor.OIDCCliSecretReq(secret="Secret-1234"))
    for name in names:
        users.delete_user(ids[name])
    assert whole(users.list_users_with_http_info, q=f"username=~{prefix}") == []


def scenario_usergroup() -> None:
    """Groups made, listed, searched, changed and deleted."""
    groups, prefix = api(harbor.UsergroupApi), unique("gen")
    names = [f"{prefix}-{letter}" for letter in "bca"]
    ids = {}
    for name in names:
        group = harbor.UserGroup(group_name=name, group_type=3)
        ids[name] = created(groups.create_user_group_with_http_info(usergroup=group))
    listed = whole(groups.list_user_groups_with_http_info, group_name=prefix)
    assert [one.group_name for one in listed] == names
    assert {one.group_name for one in groups.search_user_groups(prefix)} == set(names)
    groups.update_user_group(ids[names[0]], usergroup=harbor.UserGroup(group_name=f"{prefix}-new", group_type=3))
    assert groups.get_user_group(ids[names[0]]).group_name == f"{prefix}-new"
    for group_id in ids.values():
        groups.delete_user_group(group_id)
    assert whole(groups.list_user_groups_with_http_info, group_name=prefix) == []


def scenario_member() -> None:
    """Members of a project added, listed, given other roles and removed."""
    members, users, projects = api(harbor.MemberApi), api(harbor.UserApi), api(harbor.ProjectApi)
    project = unique("gen")
    projects.create_project(harbor.ProjectReq(project_name=project))
    names = sorted(unique("gen") for _ in range(4))
    ids = {}
    for name in reversed(names):
        user = harbor.UserCreationReq(username=name, email=f"{name}@x.test", realname=name, password="Secret-1234")
        users.create_user(user)
        member = harbor.ProjectMember(role_id=2, member_user=harbor.UserEntity(username=name))
        ids[name] = created(members.create_project_member_with_http_info(project, project_member=member))
    listed = whole(members.list_project_members_with_http_info, project)
    assert [one.entity_name for one in listed] == sorted([*names, "admin"])
    (found,) = members.list_project_members(project, entityname=names[0])
    assert (found.id, found.role_name, found.entity_type) == (ids[names[0]], "developer", "u")
    members.update_project_member(project, ids[names[0]], role=harbor.RoleRequest(role_id=4))
    assert members.get_project_member(project, ids[names[0]]).role_name == "maintainer"
    again = harbor.ProjectMember(role_id=2, member_user=harbor.UserEntity(username=names[0]))
    refused(409, members.create_project_member, project, project_member=again)
    group = harbor.ProjectMember(role_id=3, member_group=harbor.UserGroup(group_name=project, group_type=3))
    of_group = created(members.create_project_member_with_http_info(project, project_member=group))
    assert members.get_project_member(project, of_group).entity_type == "g"
    for member_id in [*ids.values(), of_group]:
        members.delete_project_member(project, member_id)
    assert [one.entity_name for one in members.list_project_members(project)] == ["admin"]
    refused(404, members.get_project_member, project, of_group)


def scenario_metadata() -> None:
    """Settings of a project, one by one."""
    settings, projects, project = api(harbor.ProjectMetadataApi), api(harbor.ProjectApi), unique("gen")
    projects.create_project(harbor.ProjectReq(project_name=project))
    settings.add_project_metadatas(project, metadata={"auto_scan": "true"})
    assert settings.get_project_metadata(project, "auto_scan") == {"auto_scan": "true"}
    settings.update_project_metadata(project, "auto_scan", metadata={"auto_scan": "false"})
    assert settings.list_project_metadatas(project)["auto_scan"] == "false"
    settings.delete_project_metadata(project, "auto_scan")
    assert settings.get_project_metadata(project, "auto_scan") == {}
    refused(400, settings.add_project_metadatas, project, metadata={"colour": "red"})


def scenario_robot() -> None:
    """Robots of the system and of a project made, listed, changed, given other secrets and deleted."""
    robots, projects, project = api(harbor.RobotApi), api(harbor.ProjectApi), unique("gen")
    projects.create_project(harbor.ProjectReq(project_name=project))
    project_id = projects.get_project(project).project_id
    access = [harbor.Access(resource="repository", action=action) for action in ("pull", "push")]
    grants = [harbor.RobotPermission(kind="project", namespace=project, access=access)]
    names = [f"bot{letter}" for letter in "bca"]
    made = [
        robots.create_robot(harbor.RobotCreate(name=name, level="project", duration=7, permissions=grants))
        for name in names
    ]
    assert all(len(one.secret) >= 32 for one in made)
    of_project = f"Level=project,ProjectID={project_id}"
    listed = whole(robots.list_robot_with_http_info, q=of_project)
    assert [one.name for one in listed] == [f"robot${project}+{name}" for name in sorted(names)]
    down = whole(robots.list_robot_with_http_info, q=of_project, sort="-name")
    assert [one.id for one in down] == [one.id for one in listed][::-1]
    # As in Harbor robots are found by their names without prefix, a project's with the project before them; and a plus sign
    # has to survive the second unescaping of q.
    found = robots.list_robot(q=f"{of_project},name={project}%2Bbotb")
    assert [one.id for one in found] == [made[0].id]
    shown = robots.get_robot_by_id(made[0].id)
    shown.description, shown.disable = "changed", True
    robots.update_robot(shown.id, shown)
    again = robots.get_robot_by_id(made[0].id)
    assert (again.description, again.disable, again.permissions[0].namespace) == ("changed", True, project)
    assert robots.refresh_sec(shown.id, harbor.RobotSec()).secret not in {None, made[0].secret}
    assert not robots.refresh_sec(shown.id, harbor.RobotSec(secret="Chosen-1234")).secret
    for one in made:
        robots.delete_robot(one.id)
    assert whole(robots.list_robot_with_http_info, q=of_project) == []
    system = [
        harbor.RobotPermission(kind="system", namespace="/", access=[harbor.Access(resource="project", action="list")])
    ]
    name = unique("gen")
    one = robots.create_robot(harbor.RobotCreate(name=name, level="system", duration=-1, permissions=system))
    assert (one.name, one.expires_at) == (f"robot${name}", -1)
    assert one.id in {each.id for each in whole(robots.list_robot_with_http_info)}
    robots.delete_robot(one.id)
    refused(404, robots.get_robot_by_id, one.id)


def scenario_label() -> None:
    """Labels of the registry and of a project made, listed, changed and deleted."""
    labels, project_id = api(harbor.LabelApi), api(harbor.ProjectApi).get_project(sys.argv[4]).project_id
    prefix = unique("gen")
    names = [f"{prefix}-{letter}" for letter in "bca"]
    for scope, where in (("g", {}), ("p", {"project_id": project_id})):
        ids = [
            created(labels.create_label_with_http_info(harbor.Label(name=name, color="#FFFFFF", scope=scope, **where)))
            for name in names
        ]
        listed = whole(labels.list_labels_with_http_info, scope=scope, name=prefix, **where)
        assert [one.id for one in listed] == ids
        ordered = whole(labels.list_labels_with_http_info, scope=scope, name=prefix, sort="name", **where)
        assert [one.name for one in ordered] == sorted(names)
        labels.update_label(ids[0], harbor.Label(name=f"{prefix}-new", color="#000000"))
        shown = labels.get_label_by_id(ids[0])
        assert (shown.name, shown.color, shown.scope) == (f"{prefix}-new", "#000000", scope)
        refused(409, labels.update_label, ids[1], harbor.Label(name=f"{prefix}-new"))
        for label_id in ids:
            labels.delete_label(label_id)
        assert whole(labels.list_labels_with_http_info, scope=scope, name=prefix, **where) == []
    refused(400, labels.list_labels)


def scenario_quota() -> None:
    """Quotas listed, sorted, filtered and changed."""
    quotas, projects = api(harbor.QuotaApi), api(harbor.ProjectApi)
    projects.create_project(harbor.ProjectReq(project_name=unique("gen"), storage_limit=5_000_000))
    project_id = projects.get_project(sys.argv[4]).project_id
    everything = whole(quotas.list_quotas_with_http_info, size=3, reference="project")
    assert len({one.id for one in everything}) == len(everything)
    used = [one.used["storage"] for one in whole(quotas.list_quotas_with_http_info, sort="-used.storage")]
    assert used == sorted(used, reverse=True)
    (own,) = quotas.list_quotas(reference="project", reference_id=str(project_id))
    assert own.used["storage"] > 0
    assert own.ref["name"] == sys.argv[4]
    quotas.update_quota(own.id, harbor.QuotaUpdateReq(hard={"storage": 10_000_000_000}))
    assert quotas.get_quota(own.id).hard["storage"] == 10_000_000_000
    refused(400, quotas.update_quota, own.id, harbor.QuotaUpdateReq(hard={"storage": 0}))
    quotas.update_quota(own.id, harbor.QuotaUpdateReq(hard={"storage": -1}))


def scenario_repository() -> None:
    """Repositories listed, filtered, sorted and described."""
    repositories, project = api(harbor.RepositoryApi), sys.argv[4]
    listed = whole(repositories.list_repositories_with_http_info, project)
    assert {one.name for one in listed} >= {f"{project}/{name}" for name in ("app", "base", "web")}
    ordered = whole(repositories.list_repositories_with_http_info, project, sort="name")
    assert [one.name for one in ordered] == sorted(one.name for one in listed)
    (found,) = whole(repositories.list_repositories_with_http_info, project, q="name=~web")
    assert (found.name, found.artifact_count) == (f"{project}/web", 1)
    everywhere = whole(repositories.list_all_repositories_with_http_info, size=20, q=f"name=~{project}/")
    assert {one.name for one in everywhere} == {one.name for one in listed}
    repositories.update_repository(project, "base", harbor.Repository(description="the *base*"))
    assert repositories.get_repository(project, "base").description == "the *base*"
    refused(404, repositories.get_repository, project, "nothing")


def scenario_artifact() -> None:
    """Artifacts listed, shown, labelled, copied and deleted, and their tags."""
    artifacts, labels, project = api(harbor.ArtifactApi), api(harbor.LabelApi), sys.argv[4]
    listed = whole(artifacts.list_artifacts_with_http_info, project, "app", with_tag=True)
    assert [one.tags[0].name for one in listed] == ["v3", "v2", "v1"]
    oldest = whole(artifacts.list_artifacts_with_http_info, project, "app", sort="push_time")
    assert [one.digest for one in oldest] == [one.digest for one in listed][::-1]
    (second,) = artifacts.list_artifacts(project, "app", q="tags=v2")
    assert second.digest == listed[1].digest
    shown = artifacts.get_artifact(project, "app", "v1", with_tag=True, with_label=True)
    assert (shown.type, shown.digest, shown.labels) == ("IMAGE", listed[2].digest, None)
    assert shown.size > 0
    assert "ADD layer-0 /" in artifacts.get_addition(project, "app", "v1", "build_history")
    assert artifacts.get_vulnerabilities_addition(project, "app", "v1") in {"{}", ""}
    tag = unique("gen")
    artifacts.create_tag(project, "app", listed[2].digest, harbor.Tag(name=tag))
    assert {one.name for one in whole(artifacts.list_tags_with_http_info, project, "app", "v1", size=1)} == {"v1", tag}
    refused(409, artifacts.create_tag, project, "app", listed[2].digest, harbor.Tag(name=tag))
    label_id = created(labels.create_label_with_http_info(harbor.Label(name=unique("gen"), scope="g")))
    artifacts.add_label(project, "app", "v1", harbor.Label(id=label_id))
    (labelled,) = artifacts.list_artifacts(project, "app", q=f"labels=({label_id})", with_label=True)
    assert [one.id for one in labelled.labels] == [label_id]
    artifacts.remove_label(project, "app", "v1", label_id)
    refused(404, artifacts.remove_label, project, "app", "v1", label_id)
    labels.delete_label(label_id)
    artifacts.delete_tag(project, "app", "v1", tag)
    refused(404, artifacts.delete_tag, project, "app", "v1", tag)
    artifacts.copy_artifact(project, "copy", f"{project}/app@{listed[2].digest}")
    assert artifacts.get_artifact(project, "copy", listed[2].digest).digest == listed[2].digest
    everywhere = whole(api(harbor.ProjectApi).list_artifacts_of_project_with_http_info, project)
    assert len(everywhere) == 6
    assert artifacts.list_accessories(project, "app", "v1") == []
    artifacts.delete_artifact(project, "copy", listed[2].digest)
    refused(404, artifacts.get_artifact, project, "copy", listed[2].digest)
    api(harbor.RepositoryApi).delete_repository(project, "copy")


def scenario_configuration() -> None:
    """The configuration read, changed and put back."""
    configuration = api(harbor.ConfigureApi)
    before = configuration.get_configurations()
    assert (before.auth_mode.value, before.robot_token_duration.editable) == ("db_auth", True)
    configuration.update_configurations(harbor.Configurations(banner_message="hello", session_timeout=90))
    changed = configuration.get_configurations()
    assert (changed.banner_message.value, changed.session_timeout.value) == ("hello", 90)
    for _ in range(50):  # every process knows it within two seconds
        if api(harbor.SysteminfoApi).get_system_info().banner_message == "hello":
            break
        time.sleep(0.1)
    assert api(harbor.SysteminfoApi).get_system_info().banner_message == "hello"
    refused(400, configuration.update_configurations, harbor.Configurations(session_timeout=-1))
    put_back = harbor.Configurations(banner_message="", session_timeout=before.session_timeout.value)
    configuration.update_configurations(put_back)
    assert configuration.get_configurations().session_timeout.value == before.session_timeout.value


def scenario_audit() -> None:
    """What was done is in both forms of the log, listed, filtered and sorted."""
    audit, projects, project = api(harbor.AuditlogApi), api(harbor.ProjectApi), unique("gen")
    projects.create_project(harbor.ProjectReq(project_name=project))
    projects.delete_project(project)
    wanted = f"resource={project}"
    for _ in range(100):  # what happened is written down within seconds
        time.sleep(0.1)
        if len(audit.list_audit_log_exts(q=wanted)) == 2:
            break
    logs = whole(audit.list_audit_log_exts_with_http_info, size=1, q=wanted)
    assert [(one.operation, one.resource_type, one.username) for one in logs] == [
        ("delete", "project", "admin"),
        ("create", "project", "admin"),
    ]
    upwards = whole(audit.list_audit_log_exts_with_http_info, q=wanted, sort="op_time")
    assert [one.id for one in upwards] == [one.id for one in logs][::-1]
    assert [one.operation for one in whole(audit.list_audit_logs_with_http_info, q=wanted)] == ["delete", "create"]
    assert audit.list_audit_log_event_types()
    assert isinstance(projects.get_log_exts(sys.argv[4]), list)


def scenario_system() -> None:
    """Everything about the registry that a client asks at its start."""
    assert api(harbor.PingApi).get_ping() == "Pong"
    assert api(harbor.HealthApi).get_health().status == "healthy"
    assert api(harbor.SysteminfoApi).get_system_info().harbor_version.startswith("v")
    # An object store has no size.
    assert all(one.total > one.free > 0 for one in api(harbor.SysteminfoApi).get_volumes().storage or ())
    assert len(api(harbor.PermissionsApi).get_permissions().system) == 70
    statistic = api(harbor.StatisticApi).get_statistic()
    assert statistic.total_project_count >= 1
    found = api(harbor.SearchApi).search(sys.argv[4])
    assert [one.name for one in found.project] == [sys.argv[4]]
    assert {one.repository_name for one in found.repository} >= {f"{sys.argv[4]}/app"}
    allowlist = api(harbor.SystemCVEAllowlistApi)
    items = [harbor.CVEAllowlistItem(cve_id="CVE-2026-0001")]
    allowlist.put_system_cve_allowlist(allowlist=harbor.CVEAllowlist(items=items, expires_at=4_000_000_000))
    assert [one.cve_id for one in allowlist.get_system_cve_allowlist().items] == ["CVE-2026-0001"]
    allowlist.put_system_cve_allowlist(allowlist=harbor.CVEAllowlist(items=[]))


if __name__ == "__main__":
    globals()[f"scenario_{sys.argv[5]}"]()
