# SPDX-License-Identifier: Apache-2.0
"""Every operation, asked by everybody: the matrix of Harbor's roles, robots and administrators, word for word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Role
from longshore.api.app import CONTROLLERS
from longshore.artifacts.icons import icon_of
from longshore.groups.models import GroupType, NewGroup
from longshore.labels.models import LabelFacts
from tests.builders import World as Registry

if TYPE_CHECKING:
    from longshore.storage.port import OpenedStore
    from tests.integration.api.conftest import Account, Team, World

COLUMNS = (
    "anonymous",
    "outsider",
    "limited guest",
    "guest",
    "developer",
    "maintainer",
    "project admin",
    "system admin",
    "project robot",
    "system robot",
)
# The project robot may do everything in its project that robots may, the system robot everything in the system.

EVERYBODY = "200 200 200 200 200 200 200 200 200 200"
KNOWN = "401 200 200 200 200 200 200 200 200 200"
MEMBERS = "401 403 200 200 200 200 200 200 200 403"
GUESTS = "401 403 403 200 200 200 200 200 200 403"
DEVELOPERS = "401 403 403 403 200 200 200 200 200 403"
MAINTAINERS = "401 403 403 403 403 200 200 200 200 403"
ADMINS = "401 403 403 403 403 403 200 200 200 403"
PEOPLE_ADMINS = "401 403 403 403 403 403 200 200 403 403"
PEOPLE = "401 200 200 200 200 200 200 200 412 412"
SYSTEM = "401 403 403 403 403 403 403 200 403 200"
SYSADMIN = "401 403 403 403 403 403 403 200 403 403"


@dataclass(frozen=True)
class Target:
    """What the operations of one case are aimed at: nobody else uses it."""

    team: Team
    victim: Account
    system_robot: Account
    number: int
    group_id: int
    label: int
    project_label: int


@dataclass(frozen=True)
class Operation:
    """An operation, what it is called with, and the status that each caller gets."""

    name: str
    method: str
    path: Callable[[Target], str]
    expected: str
    body: Callable[[Target], Any] | None = None
    case: str = ""
    pushed: bool = False
    """Whether the project has to have an image."""

    def __str__(self) -> str:
        return f"{self.name}{self.case and '-'}{self.case}"


def _created(expected: str) -> str:
    return expected.replace("200", "201")


def _project(suffix: str = "") -> Callable[[Target], str]:
    return lambda target: f"/projects/{target.team.name}{suffix}"


def _artifact(suffix: str = "") -> Callable[[Target], str]:
    return _project(f"/repositories/app/artifacts/v1{suffix}")


def _member(target: Target) -> str:
    return f"/projects/{target.team.id}/members/{target.team.member_ids[Role.GUEST]}"


def _user(suffix: str = "") -> Callable[[Target], str]:
    return lambda target: f"/users/{target.victim.id}{suffix}"


def _robot(target: Target) -> str:
    return f"/robots/{target.team.robot.id}"


def _system_robot(target: Target) -> str:
    return f"/robots/{target.system_robot.id}"


def _group(target: Target) -> str:
    return f"/usergroups/{target.group_id}"


def _label(target: Target) -> str:
    return f"/labels/{target.label}"


def _project_label(target: Target) -> str:
    return f"/labels/{target.project_label}"


def _fixed(path: str) -> Callable[[Target], str]:
    return lambda _: path


def _new_robot(level: str, kind: str, resource: str, action: str) -> Callable[[Target], Any]:
    def body(target: Target) -> Any:
        namespace = "/" if kind == "system" else target.team.name
        access = [{"resource": resource, "action": action}]
        permissions = [{"kind": kind, "namespace": namespace, "access": access}]
        return {"name": f"made{target.number}", "level": level, "duration": 1, "permissions": permissions}

    return body


def _update_robot(target: Target) -> Any:
    access = [{"resource": "repository", "action": "pull"}]
    permissions = [{"kind": "project", "namespace": target.team.name, "access": access}]
    return {"name": target.team.robot.name, "level": "project", "permissions": permissions}


def _update_system_robot(target: Target) -> Any:
    permissions = [{"kind": "system", "namespace": "/", "access": [{"resource": "project", "action": "list"}]}]
    return {"name": target.system_robot.name, "level": "system", "permissions": permissions}


def _new_user(target: Target) -> Any:
    name = f"made{target.number}"
    return {"username": name, "email": f"{name}@x.test", "realname": name, "password": "Secret-1234"}


def _new_token(target: Target) -> Any:
    return {"name": f"made{target.number}", "duration": 1}


def _profile(target: Target) -> Any:
    return {"email": f"new{target.number}@x.test", "realname": "New"}


OPERATIONS = (
    Operation("getDocs", "GET", _fixed("/../docs"), EVERYBODY),
    Operation("getOpenAPI", "GET", _fixed("/../openapi.json"), EVERYBODY),
    Operation("getPing", "GET", _fixed("/ping"), EVERYBODY),
    Operation("getVersion", "GET", _fixed("/../version"), EVERYBODY),
    Operation("getHealth", "GET", _fixed("/health"), EVERYBODY),
    Operation("getSystemInfo", "GET", _fixed("/systeminfo"), EVERYBODY),
    Operation("getVolumes", "GET", _fixed("/systeminfo/volumes"), SYSTEM),
    Operation("getCert", "GET", _fixed("/systeminfo/getcert"), EVERYBODY.replace("200", "404")),
    Operation("getSystemCVEAllowlist", "GET", _fixed("/system/CVEAllowlist"), KNOWN),
    Operation("putSystemCVEAllowlist", "PUT", _fixed("/system/CVEAllowlist"), SYSADMIN, lambda _: {"items": []}),
    Operation("getPermissions", "GET", _fixed("/permissions"), "401 403 403 403 403 403 200 200 403 403"),
    Operation(
        "explainAccess",
        "POST",
        _fixed("/access/explain"),
        EVERYBODY,
        lambda target: {"resource": "repository", "action": "push", "project": target.team.name},
        case="own",
    ),
    Operation(
        "explainAccess",
        "POST",
        _fixed("/access/explain"),
        ADMINS,
        lambda target: {
            "principal": {"kind": "user", "name": target.victim.name},
            "resource": "repository",
            "action": "push",
            "project": target.team.name,
        },
        case="others",
    ),
    Operation("getConfigurations", "GET", _fixed("/configurations"), SYSADMIN),
    Operation("updateConfigurations", "PUT", _fixed("/configurations"), SYSADMIN, lambda _: {"banner_message": "x"}),
    Operation("getInternalconfig", "GET", _fixed("/internalconfig"), "401" + " 403" * 9),
    Operation("listAuditLogs", "GET", _fixed("/audit-logs"), KNOWN),
    Operation("listAuditLogExts", "GET", _fixed("/auditlog-exts"), KNOWN),
    Operation("listAuditLogEventTypes", "GET", _fixed("/auditlog-exts/events"), SYSTEM),
    Operation("getLogs", "GET", _project("/logs"), ADMINS),
    Operation("getLogExts", "GET", _project("/auditlog-exts"), ADMINS),
    Operation("listProjects", "GET", _fixed("/projects"), EVERYBODY),
    Operation("headProject", "HEAD", lambda target: f"/projects?project_name={target.team.name}", KNOWN),
    Operation(
        "createProject",
        "POST",
        _fixed("/projects"),
        "401 201 201 201 201 201 201 201 403 201",
        lambda target: {"project_name": f"made{target.number}"},
    ),
    Operation("getProject", "GET", _project(), MEMBERS),
    Operation("updateProject", "PUT", _project(), ADMINS, lambda _: {"metadata": {"public": "true"}}),
    Operation("deleteProject", "DELETE", _project(), ADMINS),
    Operation("getProjectDeletable", "GET", _project("/_deletable"), ADMINS),
    Operation("getProjectSummary", "GET", _project("/summary"), MEMBERS),
    Operation("listProjectMembers", "GET", _project("/members"), GUESTS),
    Operation(
        "createProjectMember",
        "POST",
        _project("/members"),
        _created(ADMINS),
        lambda target: {"role_id": 3, "member_user": {"user_id": target.victim.id}},
    ),
    Operation("getProjectMember", "GET", _member, GUESTS),
    Operation("updateProjectMember", "PUT", _member, ADMINS, lambda _: {"role_id": 2}),
    Operation("deleteProjectMember", "DELETE", _member, ADMINS),
    # No role has metadata:list: Harbor's list of settings is for administrators and robots.
    Operation("listProjectMetadatas", "GET", _project("/metadatas/"), "401 403 403 403 403 403 403 200 200 403"),
    Operation("addProjectMetadatas", "POST", _project("/metadatas"), ADMINS, lambda _: {"auto_scan": "true"}),
    Operation("getProjectMetadata", "GET", _project("/metadatas/public"), "401 403 403 403 403 200 200 200 200 403"),
    Operation("updateProjectMetadata", "PUT", _project("/metadatas/public"), ADMINS, lambda _: {"public": "true"}),
    Operation("deleteProjectMetadata", "DELETE", _project("/metadatas/public"), ADMINS),
    # Who may see the scanner is told that there is none.
    Operation("getScannerOfProject", "GET", _project("/scanner"), MEMBERS.replace("200", "404")),
    Operation("search", "GET", _fixed("/search?q=o"), EVERYBODY),
    Operation("getStatistic", "GET", _fixed("/statistics"), KNOWN),
    Operation("listUserGroups", "GET", _fixed("/usergroups"), SYSTEM),
    Operation(
        "createUserGroup",
        "POST",
        _fixed("/usergroups"),
        _created(SYSTEM),
        lambda target: {"group_name": f"made{target.number}", "group_type": 3},
    ),
    Operation("searchUserGroups", "GET", _fixed("/usergroups/search?groupname=o"), KNOWN),
    Operation("getUserGroup", "GET", _group, SYSTEM),
    Operation("updateUserGroup", "PUT", _group, SYSTEM, lambda target: {"group_name": f"renamed{target.number}"}),
    Operation("deleteUserGroup", "DELETE", _group, SYSTEM),
    Operation("listUsers", "GET", _fixed("/users"), SYSTEM),
    Operation("createUser", "POST", _fixed("/users"), _created(SYSTEM), _new_user),
    Operation("getCurrentUserInfo", "GET", _fixed("/users/current"), PEOPLE),
    Operation("getCurrentUserPermissions", "GET", _fixed("/users/current/permissions?scope=/project/1"), KNOWN),
    Operation("searchUsers", "GET", _fixed("/users/search?username=a"), KNOWN),
    Operation("setUserDisabled", "PUT", _user("/disabled"), SYSTEM, lambda _: {"disabled": True}),
    Operation("setCliSecret", "PUT", _user("/cli_secret"), KNOWN.replace("200", "412"), lambda _: {"secret": ""}),
    Operation("listAccessTokens", "GET", _fixed("/users/current/tokens"), PEOPLE),
    Operation("createAccessToken", "POST", _fixed("/users/current/tokens"), _created(PEOPLE), _new_token),
    Operation("deleteAccessToken", "DELETE", _fixed("/users/current/tokens/1"), PEOPLE.replace("200", "404")),
    Operation("listAccessTokensOfUser", "GET", _user("/tokens"), SYSTEM),
    Operation("deleteAccessTokenOfUser", "DELETE", _user("/tokens/1"), SYSTEM.replace("200", "404")),
    Operation("getUser", "GET", _user(), SYSTEM),
    Operation("deleteUser", "DELETE", _user(), SYSTEM),
    Operation("updateUserProfile", "PUT", _user(), SYSTEM, _profile),
    # Ours: no robot makes administrators, whatever it was given.
    Operation("setUserSysAdmin", "PUT", _user("/sysadmin"), SYSADMIN, lambda _: {"sysadmin_flag": True}),
    Operation("updateUserPassword", "PUT", _user("/password"), SYSTEM, lambda _: {"new_password": "Another-1234"}),
    Operation("ListLabels", "GET", _fixed("/labels?scope=g"), EVERYBODY, case="global"),
    Operation(
        "ListLabels",
        "GET",
        lambda target: f"/labels?scope=p&project_id={target.team.id}",
        GUESTS,
        case="project",
    ),
    Operation(
        "CreateLabel",
        "POST",
        _fixed("/labels"),
        _created(SYSTEM),
        lambda target: {"name": f"made{target.number}", "scope": "g"},
        case="global",
    ),
    Operation(
        "CreateLabel",
        "POST",
        _fixed("/labels"),
        _created(MAINTAINERS),
        lambda target: {"name": "made", "scope": "p", "project_id": target.team.id},
        case="project",
    ),
    Operation("GetLabelByID", "GET", _label, SYSTEM, case="global"),
    Operation("GetLabelByID", "GET", _project_label, GUESTS, case="project"),
    Operation("UpdateLabel", "PUT", _label, SYSTEM, lambda target: {"name": f"new{target.number}"}, case="global"),
    Operation("UpdateLabel", "PUT", _project_label, MAINTAINERS, lambda _: {"name": "new"}, case="project"),
    Operation("DeleteLabel", "DELETE", _label, SYSTEM, case="global"),
    Operation("DeleteLabel", "DELETE", _project_label, MAINTAINERS, case="project"),
    Operation("listAllRepositories", "GET", _fixed("/repositories"), EVERYBODY),
    Operation("listRepositories", "GET", _project("/repositories"), MEMBERS),
    Operation("getRepository", "GET", _project("/repositories/app"), MEMBERS, pushed=True),
    Operation("listArtifactsOfProject", "GET", _project("/artifacts"), MEMBERS),
    Operation("listArtifacts", "GET", _project("/repositories/app/artifacts"), MEMBERS),
    Operation("getArtifact", "GET", _artifact(), MEMBERS, pushed=True),
    Operation("deleteRepository", "DELETE", _project("/repositories/app"), MAINTAINERS, pushed=True),
    Operation("deleteArtifact", "DELETE", _artifact(), MAINTAINERS, pushed=True),
    Operation("deleteTag", "DELETE", _artifact("/tags/v1"), MAINTAINERS, pushed=True),
    Operation(
        "addLabel", "POST", _artifact("/labels"), DEVELOPERS, lambda target: {"id": target.project_label}, pushed=True
    ),
    Operation(
        "removeLabel",
        "DELETE",
        lambda target: f"{_artifact('/labels')(target)}/{target.project_label}",
        DEVELOPERS.replace("200", "404"),
        pushed=True,
    ),
    Operation("getVulnerabilitiesAddition", "GET", _artifact("/additions/vulnerabilities"), MEMBERS, pushed=True),
    Operation("getAddition", "GET", _artifact("/additions/build_history"), MEMBERS, pushed=True),
    Operation(
        "updateRepository",
        "PUT",
        _project("/repositories/app"),
        DEVELOPERS,
        lambda _: {"description": "new"},
        pushed=True,
    ),
    Operation(
        "CopyArtifact",
        "POST",
        lambda target: f"/projects/{target.team.name}/repositories/copy/artifacts?from={target.team.name}/app:v1",
        _created(DEVELOPERS),
        pushed=True,
    ),
    Operation("createTag", "POST", _artifact("/tags"), _created(DEVELOPERS), lambda _: {"name": "v2"}, pushed=True),
    Operation("getIcon", "GET", lambda _: f"/icons/{icon_of('IMAGE', None)}", EVERYBODY),
    Operation("listTags", "GET", _artifact("/tags"), MEMBERS, pushed=True),
    Operation("listAccessories", "GET", _artifact("/accessories"), MEMBERS, pushed=True),
    Operation("listQuotas", "GET", _fixed("/quotas"), SYSTEM),
    Operation("getQuota", "GET", lambda target: f"/quotas/{target.team.id}", SYSTEM),
    # As in the system scope of robots: quota is RUL there.
    Operation(
        "updateQuota",
        "PUT",
        lambda target: f"/quotas/{target.team.id}",
        SYSTEM,
        lambda _: {"hard": {"storage": 1_000}},
    ),
    Operation("ListRobot", "GET", _fixed("/robots"), SYSTEM, case="system"),
    Operation(
        "ListRobot",
        "GET",
        lambda target: f"/robots?q=Level=project,ProjectID={target.team.id}",
        GUESTS,
        case="project",
    ),
    Operation(
        "CreateRobot",
        "POST",
        _fixed("/robots"),
        _created(SYSTEM),
        _new_robot("system", "system", "project", "list"),
        case="system",
    ),
    Operation(
        "CreateRobot",
        "POST",
        _fixed("/robots"),
        _created(ADMINS),
        _new_robot("project", "project", "repository", "pull"),
        case="project",
    ),
    Operation("GetRobotByID", "GET", _system_robot, SYSTEM, case="system"),
    Operation("GetRobotByID", "GET", _robot, GUESTS, case="project"),
    # No robot can be given robot:update, so none changes a robot.
    Operation("UpdateRobot", "PUT", _system_robot, SYSADMIN, _update_system_robot, case="system"),
    Operation("UpdateRobot", "PUT", _robot, PEOPLE_ADMINS, _update_robot, case="project"),
    Operation("RefreshSec", "PATCH", _system_robot, SYSADMIN, lambda _: {}, case="system"),
    Operation("RefreshSec", "PATCH", _robot, PEOPLE_ADMINS, lambda _: {}, case="project"),
    Operation("DeleteRobot", "DELETE", _system_robot, SYSTEM, case="system"),
    Operation("DeleteRobot", "DELETE", _robot, ADMINS, case="project"),
)


def test_every_operation_is_in_the_matrix() -> None:
    """The matrix walks every operation that is served, so that a new one can't come without its rights."""
    served = {
        handler.operation_id
        for controller in CONTROLLERS
        for handler in vars(controller).values()
        if hasattr(handler, "operation_id")
    }
    assert {operation.name for operation in OPERATIONS} == served


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_matrix(world: World, admin: Account, operation: Operation, store: OpenedStore) -> None:
    """Every caller gets the status that Harbor's matrix says."""
    outsider, robot = await world.user("outsider"), await world.system_robot()

    async def somebody(column: str, team: Team) -> Account | None:
        roles = {
            "limited guest": Role.LIMITED_GUEST,
            "guest": Role.GUEST,
            "developer": Role.DEVELOPER,
            "maintainer": Role.MAINTAINER,
            "project admin": Role.PROJECT_ADMIN,
        }
        if column in roles:
            return team.members[roles[column]]
        others = {"outsider": outsider, "system admin": admin, "project robot": team.robot, "system robot": robot}
        return others.get(column)

    answers = {}
    registry = Registry(world.database, store) if operation.pushed else None
    shared = await _target(world, registry)
    for column in COLUMNS:
        target = shared if operation.method in {"GET", "HEAD"} else await _target(world, registry)
        client = await world.client(await somebody(column, target.team))
        body = None if operation.body is None else operation.body(target)
        answer = await client.request(operation.method, operation.path(target), json=body)
        answers[column] = str(answer.status_code)
        if answer.status_code in {401, 403} and operation.method != "HEAD":
            assert "www-authenticate" not in answer.headers
            assert answer.json()["errors"][0]["code"] == {401: "UNAUTHORIZED", 403: "FORBIDDEN"}[answer.status_code]
    assert answers == dict(zip(COLUMNS, operation.expected.split(), strict=True))


async def _target(world: World, registry: Registry | None) -> Target:
    team, number = await world.team(), world.number
    group = NewGroup(GroupType.OIDC, f"group{number}")
    group_id = await world.groups.create(group, actor="admin")
    if registry is not None:
        await registry.image(team.id, registry.layer(), tags=["v1"])
    return Target(
        team,
        await world.user(),
        await world.system_robot(),
        number,
        group_id,
        await world.labels.create(None, LabelFacts(name=f"label{number}")),
        await world.labels.create(team.id, LabelFacts(name=f"label{number}")),
    )


Arrange = Callable[["World"], Awaitable[str]]


@pytest.mark.parametrize(
    ("suffix", "anonymous", "outsider"),
    [
        ("", 200, 200),
        ("/summary", 200, 200),
        ("/members", 401, 403),
        ("/members/1", 401, 403),
        ("/_deletable", 401, 403),
    ],
)
async def test_public_project(world: World, suffix: str, anonymous: int, outsider: int) -> None:
    """Of a public project everybody sees the project, its numbers without people and quota, and nothing else."""
    _, name = await world.project(public=True)
    nobody, somebody = await world.client(None), await world.client(await world.user())
    assert (await nobody.get(f"/projects/{name}{suffix}")).status_code == anonymous
    assert (await somebody.get(f"/projects/{name}{suffix}")).status_code == outsider


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_missing_project_looks_like_a_hidden_one(world: World, admin: Account, method: str) -> None:
    """A project that doesn't exist and one that the caller can't see get the same answer; an administrator is told."""
    _, hidden = await world.project("hidden")
    body: dict[str, Any] | None = {} if method == "PUT" else None
    for account, status in ((None, 401), (await world.user(), 403)):
        client = await world.client(account)
        answers = [
            await client.request(method, f"/projects/{name}", json=body) for name in (hidden, "nowhere", "No%20Name")
        ]
        assert [answer.status_code for answer in answers] == [status] * 3
        messages = [answer.json()["errors"][0]["message"] for answer in answers]
        assert messages[0].replace("hidden", "nowhere") == messages[1]
    client = await world.client(admin)
    assert (await client.request(method, "/projects/nowhere", json=body)).status_code == 404


async def test_people_see_and_change_themselves(world: World) -> None:
    """Everybody reads the own account and changes the own password with the old one, which ends at once."""
    account = await world.user()
    client = await world.client(account)
    assert (await client.get(f"/users/{account.id}")).json()["username"] == account.name
    path = f"/users/{account.id}/password"
    wrong = await client.put(path, json={"old_password": "Wrong-1234", "new_password": "Another-1234"})
    assert (wrong.status_code, wrong.json()["errors"][0]["message"]) == (403, "Current password is incorrect")
    same = await client.put(path, json={"old_password": account.secret, "new_password": account.secret})
    assert same.status_code == 400
    right = await client.put(path, json={"old_password": account.secret, "new_password": "Another-1234"})
    assert (right.status_code, right.content, right.headers.get("content-type")) == (200, b"", None)
    assert (await client.get(f"/users/{account.id}")).status_code == 401


async def test_people_change_their_own_profile(world: World) -> None:
    """Everybody changes the own profile, and nothing else of the account; login and tokens stay good."""
    account, other = await world.user("dora"), await world.user("erik")
    client = await world.client(account)
    body = {"email": "dora@new.test", "realname": "Dora D", "comment": "hi", "username": "boss", "sysadmin_flag": True}
    answer = await client.put(f"/users/{account.id}", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    shown = (await client.get("/users/current")).json()
    assert {name: shown[name] for name in ("username", "email", "realname", "comment", "sysadmin_flag")} == {
        "username": "dora",
        "email": "dora@new.test",
        "realname": "Dora D",
        "comment": "hi",
        "sysadmin_flag": False,
    }
    taken = await client.put(f"/users/{account.id}", json={"email": "erik@test.test", "realname": "Dora"})
    assert (taken.status_code, taken.json()["errors"][0]["code"]) == (409, "CONFLICT")
    assert (await client.put(f"/users/{other.id}", json=body)).status_code == 403
    assert (await client.put(f"/users/{account.id}", json={"email": "d@x.test", "realname": "D"})).status_code == 200
    assert "comment" not in (await client.get("/users/current")).json()


async def test_no_robot_rules(world: World) -> None:
    """A robot with every permission there is makes nobody an administrator, and touches no administrator's account."""
    boss, person = await world.user("boss", sysadmin=True), await world.user("dora")
    client = await world.client(await world.system_robot())
    before = await world.rows()
    for method, path, body in (
        ("PUT", f"/users/{person.id}/sysadmin", {"sysadmin_flag": True}),
        ("PUT", f"/users/{boss.id}/sysadmin", {"sysadmin_flag": False}),
        ("PUT", "/users/1/sysadmin", {"sysadmin_flag": False}),
        ("PUT", "/users/1/password", {"new_password": "Another-1234"}),
        ("PUT", f"/users/{boss.id}/password", {"new_password": "Another-1234"}),
        ("PUT", f"/users/{boss.id}", {"email": "robot@x.test", "realname": "Robot"}),
        ("DELETE", f"/users/{boss.id}", None),
    ):
        answer = await client.request(method, path, json=body)
        assert answer.status_code == 403, (method, path)
        assert "administrator" in answer.json()["errors"][0]["message"]
    assert await world.rows() == before
    made = {"username": "fred", "email": "f@x.test", "realname": "F", "password": "Secret-1234", "sysadmin_flag": True}
    location = (await client.post("/users", json=made)).headers["location"].removeprefix("/api/v2.0")
    assert (await client.get(location)).json()["sysadmin_flag"] is False
    assert (await client.put(f"/users/{person.id}/password", json={"new_password": "Another-1234"})).status_code == 200


async def test_administrator_gives_the_own_old_password(world: World, admin: Account) -> None:
    """An administrator who changes the own password gives the old one too."""
    client = await world.client(admin)
    assert (await client.put("/users/1/password", json={"new_password": "Another-1234"})).status_code == 403


@pytest.mark.parametrize("path", ["/ping", "/health", "/systeminfo", "/projects", "/../version", "/users/current"])
async def test_wrong_credentials_are_refused_everywhere(world: World, path: str) -> None:
    """Wrong credentials are 401 even where nobody has to log in."""
    client = await world.client(await world.user())
    answer = await client.get(path, auth=("admin", "Wrong-1234"))
    assert answer.status_code == 401
    assert "www-authenticate" not in answer.headers


async def test_registry_token_opens_nothing(world: World) -> None:
    """A bearer token, good or not, is for the registry and not for the API."""
    client = await world.client(None)
    answer = await client.get("/projects", headers={"authorization": "Bearer abc"})
    assert answer.status_code == 401


async def test_demotion_shows_at_once(world: World, admin: Account) -> None:
    """What this process changes holds for its next answer: role, membership, disabled robot, deleted user."""
    team = await world.team()
    root = await world.client(admin)
    guest = await world.client(team.members[Role.GUEST])
    robot = await world.client(team.robot)
    assert (await guest.get(f"/projects/{team.id}/members")).status_code == 200
    assert (await robot.get(f"/projects/{team.id}")).status_code == 200
    await root.put(f"/projects/{team.id}/members/{team.member_ids[Role.GUEST]}", json={"role_id": 5})
    assert (await guest.get(f"/projects/{team.id}/members")).status_code == 403
    await root.delete(f"/projects/{team.id}/members/{team.member_ids[Role.GUEST]}")
    assert (await guest.get(f"/projects/{team.id}")).status_code == 403
    shown = (await root.get(f"/robots/{team.robot.id}")).json()
    assert (await root.put(f"/robots/{team.robot.id}", json={**shown, "disable": True})).status_code == 200
    assert (await robot.get(f"/projects/{team.id}")).status_code == 401
    assert (await root.delete(f"/users/{team.members[Role.GUEST].id}")).status_code == 200
    assert (await guest.get("/projects")).status_code == 401
