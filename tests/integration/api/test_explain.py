# SPDX-License-Identifier: Apache-2.0
"""Why somebody may do something, or why not: the answer is the decision, and tells nobody more than it may know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from longshore.access.models import Permission, Role
from longshore.access.policy import IN_PROJECTS
from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.oci.names import ProjectName
from longshore.robots.models import RobotGrant

if TYPE_CHECKING:
    from tests.integration.api.conftest import Account, World

PUSH = {"resource": "repository", "action": "push"}
PULL = {"resource": "repository", "action": "pull"}
_READ_ONLY = Statement("INSERT INTO configuration (name, value, updated_at) VALUES ('read_only', 'true', {now})")


async def ask(world: World, account: Account | None, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """What somebody is answered."""
    answer = await (await world.client(account)).post("/access/explain", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def about(account: Account, kind: str = "user") -> dict[str, Any]:
    """The member of a question that asks about somebody."""
    return {"principal": {"kind": kind, "name": account.name}}


async def test_the_rules(world: World, admin: Account) -> None:
    """Each rule is told by name, with its reason and who can change it, as JSON to the letter."""
    team = await world.team()
    developer = team.members[Role.DEVELOPER]
    assert await ask(world, developer, {**PUSH, "repository": f"{team.name}/app"}) == {
        "allowed": True,
        "rule": "role",
        "reason": f"The role developer in the project {team.name} includes repository:push.",
        "remedy": f"A project administrator of {team.name} can give and take roles;"
        " developer or maintainer or projectAdmin would do.",
        "principal": {"kind": "user", "name": developer.name},
        "permission": PUSH,
        "project": team.name,
        "repository": f"{team.name}/app",
        "memberships": [{"role": "developer"}],
    }
    guest = await ask(world, team.members[Role.GUEST], {**PUSH, "project": team.name})
    assert (guest["allowed"], guest["rule"], guest["memberships"]) == (False, "role-lacks-it", [{"role": "guest"}])
    boss = await ask(world, admin, {**PUSH, "project": team.name})
    assert (boss["allowed"], boss["rule"]) == (True, "system-administrator")
    robot = await ask(world, team.robot, {**PUSH, "project": team.name})
    assert (robot["allowed"], robot["rule"], robot["principal"]["kind"]) == (True, "robot-permission", "robot")
    lacking = await ask(world, team.robot, {"resource": "robot", "action": "update", "project": team.name})
    assert (lacking["allowed"], lacking["rule"]) == (False, "robot-lacks-it")
    roaming = await world.robot(RobotGrant("*", frozenset({Permission("repository", "push")})))
    assert (await ask(world, roaming, {**PUSH, "project": team.name}))["rule"] == "robot-permission-everywhere"
    _, public = await world.project(public=True)
    stranger = await world.user()
    assert (await ask(world, stranger, {**PULL, "project": public}))["rule"] == "public-project"
    assert (await ask(world, None, {**PUSH, "project": public}))["rule"] == "public-project-lacks-it"
    assert (await ask(world, stranger, {"resource": "user", "action": "list"}))["rule"] == "no-system-administrator"
    limited = await ask(world, developer, {**PUSH, "repository": f"{team.name}/app", "token_actions": ["pull"]})
    assert (limited["allowed"], limited["rule"]) == (False, "registry-token-scope")
    asked = {"resource": "tag", "action": "delete", "repository": f"{team.name}/app", "token_actions": ["delete"]}
    assert (await ask(world, team.members[Role.MAINTAINER], asked))["allowed"] is True


async def test_what_cannot_be_seen_does_not_exist(world: World) -> None:
    """Asked about a hidden project and one that doesn't exist, a stranger gets the same answer; so does a robot."""
    _, hidden = await world.project("hidden")
    _, own = await world.project()
    for account in (None, await world.user(), await world.robot(RobotGrant(own, GRANTABLE_IN_PROJECTS), project=own)):
        answers = [await ask(world, account, {**PULL, "project": name}) for name in (hidden, "nowhere")]
        assert answers[0]["rule"] == "no-such-project"
        assert "remedy" not in answers[0]
        assert {**answers[0], "project": "nowhere"} == answers[1]


async def test_administrators_ask_about_others(world: World, admin: Account) -> None:
    """A project's administrator asks about people, its robots and anonymous there; one of the system about everybody."""
    team, other = await world.team(), await world.team()
    lead, guest = team.members[Role.PROJECT_ADMIN], team.members[Role.GUEST]
    for asker in (admin, lead):
        found = await ask(world, asker, {**about(guest), **PUSH, "project": team.name})
        assert (found["rule"], found["principal"]["name"]) == ("role-lacks-it", guest.name)
        outsider = await ask(world, asker, {**about(other.members[Role.GUEST]), **PULL, "project": team.name})
        assert (outsider["rule"], outsider["allowed"]) == ("no-member", False)
        robot = await ask(world, asker, {**about(team.robot, "robot"), **PUSH, "project": team.name})
        assert (robot["rule"], robot["allowed"]) == ("robot-permission", True)
        nobody = await ask(world, asker, {"principal": {"kind": "anonymous"}, **PULL, "project": team.name})
        assert (nobody["rule"], nobody["principal"]["kind"]) == ("no-member", "anonymous")
        await ask(world, asker, {"principal": {"kind": "user", "name": "ghost"}, **PULL, "project": team.name}, 404)
    system = await world.system_robot()
    foreign = [about(other.robot, "robot"), about(system, "robot"), {"principal": {"kind": "robot", "name": "robot$x"}}]
    for subject in foreign:
        refused = await ask(world, lead, {**subject, **PULL, "project": team.name}, 404)
        assert "that you may ask about" in refused["errors"][0]["message"]
    assert (await ask(world, admin, {**about(system, "robot"), "resource": "user", "action": "list"}))[
        "allowed"
    ] is True
    assert (await ask(world, admin, {**about(guest), "resource": "user", "action": "list"}))["allowed"] is False
    await ask(world, admin, {**about(guest), **PULL, "project": "nowhere"}, 404)


async def test_no_leak(world: World) -> None:
    """Whoever administers one project asks about nobody elsewhere, and no other member asks about others at all."""
    team, other = await world.team(), await world.team()
    guest = team.members[Role.GUEST]
    lead = team.members[Role.PROJECT_ADMIN]
    for asker, status in ((None, 401), (lead, 403), (await world.user(), 403), (team.robot, 403)):
        bodies = [{**about(guest), **PULL, "project": name} for name in (other.name, "nowhere")]
        answers = [(await ask(world, asker, body, status))["errors"][0]["message"] for body in bodies]
        assert answers[0].replace(other.name, "nowhere") == answers[1]
        await ask(world, asker, {**about(guest), "resource": "user", "action": "list"}, status)
    for role in (Role.MAINTAINER, Role.DEVELOPER, Role.GUEST, Role.LIMITED_GUEST):
        member = team.members[role]
        await ask(world, member, {**about(lead), **PULL, "project": team.name}, 403)
        assert (await ask(world, member, {**about(member), **PULL, "project": team.name}))["allowed"] is True


async def test_dead_accounts_and_read_only(world: World, admin: Account) -> None:
    """A disabled robot is told as such; in read-only mode reading goes on and every change is refused by this rule."""
    team = await world.team()
    root = await world.client(admin)
    shown = (await root.get(f"/robots/{team.robot.id}")).json()
    assert (await root.put(f"/robots/{team.robot.id}", json={**shown, "disable": True})).status_code == 200
    dead = await ask(world, admin, {**about(team.robot, "robot"), **PULL, "project": team.name})
    assert (dead["allowed"], dead["rule"]) == (False, "no-such-account")

    async def write(transaction: Transaction) -> None:
        await transaction.execute(_READ_ONLY)

    await world.database.write(write)
    world.configurations.forget()
    developer = team.members[Role.DEVELOPER]
    pushed = await ask(world, developer, {**PUSH, "project": team.name})
    assert (pushed["allowed"], pushed["rule"]) == (False, "read-only")
    assert (await ask(world, developer, {**PULL, "project": team.name}))["allowed"] is True


@pytest.mark.parametrize("role", list(Role))
async def test_the_same_decision_lets_requests_in(world: World, role: Role) -> None:
    """For every role and every permission there is, the explanation agrees with what authorising says."""
    team = await world.team()
    account = team.members[role]
    client = await world.client(account)
    for permission in sorted(IN_PROJECTS):
        body = {"resource": permission.resource, "action": permission.action}
        told = (await client.post("/access/explain", json={**body, "project": team.name})).json()
        principal = await world.principal(account)
        decision = await world.access.decision_in_project(principal, permission, ProjectName(team.name))
        assert (told["allowed"], told["reason"]) == (decision.allowed, decision.reason)
        assert decision.allowed is (permission in await world.access.permissions(principal, await world.facts(team.id)))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (None, 422, "body"),
        ({}, 422, "resource and action"),
        ({"resource": "repository", "action": "fly"}, 422, "repository:fly"),
        ({**PUSH, "resource": 1}, 422, "resource"),
        ({**PUSH, "principal": {"kind": "god", "name": "x"}}, 422, "kind"),
        ({**PUSH, "principal": {"name": "x"}}, 422, "principal.kind"),
        ({**PUSH, "principal": {"kind": "user"}}, 422, "principal.name"),
        ({**PUSH, "token_actions": ["fly"], "repository": "a/b"}, 422, "token_actions"),
        ({**PUSH, "token_actions": ["pull"]}, 400, "token_actions"),
        ({**PUSH, "project": "a", "repository": "b/c"}, 400, "isn't in the project"),
        ({**PUSH, "repository": "No Name"}, 400, ""),
        (PUSH, 400, "in a project"),
        ({"resource": "user", "action": "list", "project": "library"}, 400, "in the system"),
    ],
)
async def test_bad_questions(world: World, admin: Account, body: Any, status: int, said: str) -> None:
    """A question that isn't one is refused with the member that is wrong."""
    client = await world.client(admin)
    answer = (
        await client.post("/access/explain", json=body) if body is not None else await client.post("/access/explain")
    )
    assert answer.status_code == status, answer.text
    assert said in answer.json()["errors"][0]["message"]


async def test_permissions(world: World, admin: Account) -> None:
    """Everything that robots can be given; to who administers a project only, the half of projects."""
    team = await world.team()
    whole = (await (await world.client(admin)).get("/permissions")).json()
    assert {(one["resource"], one["action"]) for one in whole["system"]} == GRANTABLE_IN_SYSTEM
    assert {(one["resource"], one["action"]) for one in whole["project"]} == GRANTABLE_IN_PROJECTS
    half = (await (await world.client(team.members[Role.PROJECT_ADMIN])).get("/permissions")).json()
    assert half == {"system": None, "project": whole["project"]}
    assert (await (await world.client(team.members[Role.MAINTAINER])).get("/permissions")).status_code == 403
