# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest

from longshore.access.errors import AuthenticationRequired, WrongCredentials
from longshore.access.models import (
    ARTIFACT_READ,
    CATALOG_READ,
    PROJECT_LIST,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    ROBOT_UPDATE,
    Caller,
    Grants,
    Permission,
    PrincipalKind,
)
from longshore.database.statement import Statement
from longshore.listing.models import Fuzzy, Wanted
from longshore.oci.errors import BadRequest, Conflict, Denied, NotFound
from longshore.oci.names import ProjectName, RepositoryName
from longshore.robots.models import ANY_PROJECT, NEVER, SYSTEM, CreatedRobot, NewRobot, RobotGrant

if TYPE_CHECKING:
    from tests.integration.access.conftest import World

TEAM = ProjectName("team")
APP = RepositoryName.parse("team/app")


async def _make(
    world: World, namespace: str, *permissions: Permission, project: ProjectName | None = None, days: int = NEVER
) -> CreatedRobot:
    grant = RobotGrant(namespace, frozenset(permissions))
    robot = NewRobot(name="ci", grants=(grant,), duration_days=days, project=project)
    return await world.robots.create(robot, creator="admin")


async def _caller(world: World, robot: CreatedRobot) -> Caller:
    return await world.basic(robot.shown_name, robot.secret)


async def test_robot_of_a_project(world: World) -> None:
    """It logs in as robot$project+name, and being given push it may pull too; its secret is stored as a keyed hash."""
    await world.project("team")
    robot = await _make(world, "team", REPOSITORY_PUSH, project=TEAM)
    assert robot.shown_name == "robot$team+ci"
    assert len(robot.secret) == 32
    assert set(robot.secret) <= set(string.ascii_letters + string.digits)
    caller = await _caller(world, robot)
    assert (caller.principal.kind, caller.principal.actor) == (PrincipalKind.ROBOT, "robot$team+ci")
    await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    await world.access.authorise(caller, REPOSITORY_PULL, APP)
    stored = await world.database.read(lambda c: c.value(Statement("SELECT secret_hash FROM robots")))
    assert len(stored) == 64
    assert robot.secret not in stored


async def test_robot_of_the_system(world: World) -> None:
    """It has what it was given in each namespace and nothing more: push doesn't include pull here."""
    await world.project("team")
    await world.project("other")
    robot = await _make(world, "team", REPOSITORY_PUSH)
    assert robot.shown_name == "robot$ci"
    caller = await _caller(world, robot)
    await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    for repository, permission in ((APP, REPOSITORY_PULL), (RepositoryName.parse("other/app"), REPOSITORY_PUSH)):
        with pytest.raises(Denied):
            await world.access.authorise(caller, permission, repository)
    await world.access.authorise(caller, REPOSITORY_PULL, RepositoryName.parse("library/app"))
    with pytest.raises(Denied):
        await world.access.authorise_system(caller, CATALOG_READ)
    assert not (await world.access.visible_projects(caller.principal)).everything


async def test_robot_of_everything(world: World) -> None:
    """The namespace * opens present and future projects, / the system."""
    grants = (
        RobotGrant(ANY_PROJECT, frozenset({REPOSITORY_PULL})),
        RobotGrant(SYSTEM, frozenset({PROJECT_LIST, CATALOG_READ})),
    )
    robot = await world.robots.create(NewRobot(name="all", grants=grants, duration_days=30), creator="admin")
    caller = await _caller(world, robot)
    await world.project("team")
    await world.access.authorise(caller, REPOSITORY_PULL, APP)
    await world.access.authorise_system(caller, CATALOG_READ)
    assert (await world.access.readable_projects(caller.principal)).everything
    assert (await world.access.visible_projects(caller.principal)).everything
    assert not (await world.access.permissions_in_system(caller.principal)) - {PROJECT_LIST, CATALOG_READ}
    assert robot.expires_at == robot.created_at + 30 * 86_400 * 1_000_000


@pytest.mark.parametrize("what", ["deleted", "disabled", "secret", "expired", "project"])
async def test_robot_ends(world: World, what: str) -> None:
    """Deleting, disabling, a new secret, the end of its time and of its project end its tokens within two seconds."""
    project = await world.project("team")
    robot = await _make(world, "team", REPOSITORY_PUSH, project=TEAM, days=1)
    endpoint = await world.endpoint.post(
        f"grant_type=password&username=robot%24team%2Bci&password={robot.secret}&scope=repository:team/app:push".encode(),
        "application/x-www-form-urlencoded; charset=utf-8",
        "10.0.0.1",
    )
    caller = world.tokens.verify(endpoint.token, "10.0.0.1")
    await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    if what == "deleted":
        await world.robots.delete(robot.id)
    elif what == "disabled":
        kept = await world.robot_queries.robot(robot.id)
        assert kept is not None
        await world.robots.update(robot.id, description="", disabled=True, grants=kept.grants)
    elif what == "secret":
        assert await world.robots.refresh_secret(robot.id) not in {None, robot.secret}
    elif what == "expired":
        expire = Statement("UPDATE robots SET expires_at = 1 WHERE id = :id")
        await world.database.write(lambda transaction: transaction.execute(expire, id=robot.id))
    else:
        await world.projects.delete(project)
    world.wait(2.1)
    with pytest.raises(AuthenticationRequired) as caught:
        await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    assert caught.value.reason == "invalid_token"
    with pytest.raises(WrongCredentials):
        await _caller(world, robot)


async def test_new_project_of_an_old_name(world: World) -> None:
    """What a robot was given in a deleted project doesn't open a new one of the same name, and isn't shown any more."""
    project = await world.project("team")
    robot = await _make(world, "team", REPOSITORY_PUSH)
    await world.projects.delete(project)
    await world.project("team")
    with pytest.raises(Denied):
        await world.access.authorise(await _caller(world, robot), REPOSITORY_PUSH, APP)
    shown = await world.robot_queries.robot(robot.id)
    assert shown is not None
    assert shown.grants == ()


async def test_given_secret(world: World) -> None:
    """A given secret replaces the old one and isn't told again; a weak one is refused."""
    await world.project("team")
    robot = await _make(world, "team", REPOSITORY_PULL)
    with pytest.raises(BadRequest):
        await world.robots.refresh_secret(robot.id, "short")
    assert await world.robots.refresh_secret(robot.id, "Chosen-secret-1") is None
    await world.basic("robot$ci", "Chosen-secret-1")
    with pytest.raises(NotFound):
        await world.robots.refresh_secret(4711)


async def test_update(world: World) -> None:
    """Permissions are replaced whole; without a duration the old one stays; with one the end is counted from the making."""
    await world.project("team")
    robot = await _make(world, "team", REPOSITORY_PULL, project=TEAM, days=5)
    grants = (RobotGrant("team", frozenset({ARTIFACT_READ})),)
    await world.robots.update(robot.id, description="new", disabled=False, grants=grants)
    shown = await world.robot_queries.robot(robot.id)
    assert shown is not None
    assert (shown.grants, shown.duration_days, shown.expires_at) == (grants, 5, robot.expires_at)
    assert (shown.description, shown.shown_name()) == ("new", "robot$team+ci")
    await world.robots.update(robot.id, description="", disabled=False, grants=grants, duration_days=NEVER)
    shown = await world.robot_queries.robot(robot.id)
    assert shown is not None
    assert shown.expires_at is None
    with pytest.raises(BadRequest):
        await world.robots.update(
            robot.id, description="", disabled=False, grants=(RobotGrant(ANY_PROJECT, frozenset({ARTIFACT_READ})),)
        )


async def test_delegation(world: World) -> None:
    """A robot gives only what it has."""
    project = await world.project("team")
    own = Grants(projects=((project, frozenset({REPOSITORY_PULL})),))
    for permission, allowed in ((REPOSITORY_PULL, True), (REPOSITORY_PUSH, False)):
        grants = (RobotGrant("team", frozenset({permission})),)
        robot = NewRobot(name=f"by-{permission.action}", grants=grants, duration_days=1)
        if allowed:
            await world.robots.create(robot, creator="robot$ci", creator_grants=own)
        else:
            with pytest.raises(Denied):
                await world.robots.create(robot, creator="robot$ci", creator_grants=own)


async def test_names(world: World) -> None:
    """A name is unique in its project, and in the system; lists are by name."""
    await world.project("team")
    await _make(world, "team", REPOSITORY_PULL, project=TEAM)
    await _make(world, "team", REPOSITORY_PULL)
    for project in (TEAM, None):
        with pytest.raises(Conflict):
            await _make(world, "team", REPOSITORY_PULL, project=project)
    robots, total = await world.robot_queries.page(None)
    assert ([robot.shown_name() for robot in robots], total) == (["robot$ci"], 1)
    facts = await world.project_queries.facts("team")
    assert facts is not None
    robots, total = await world.robot_queries.page(facts.id, Wanted({"name": Fuzzy("c")}))
    assert ([robot.shown_name() for robot in robots], total) == (["robot$team+ci"], 1)


@pytest.mark.parametrize(
    ("name", "namespace", "permission", "days"),
    [
        ("Upper", "team", REPOSITORY_PULL, 1),
        ("ci", "team", REPOSITORY_PULL, 0),
        ("ci", "team", REPOSITORY_PULL, -2),
        ("ci", "team", ROBOT_UPDATE, 1),
        ("ci", SYSTEM, REPOSITORY_PULL, 1),
        ("ci", "team", PROJECT_LIST, 1),
    ],
)
async def test_bad_robots(world: World, name: str, namespace: str, permission: Permission, days: int) -> None:
    """Bad names, durations, and permissions that aren't for robots are refused with a reason."""
    await world.project("team")
    grants = (RobotGrant(namespace, frozenset({permission})),)
    with pytest.raises(BadRequest):
        await world.robots.create(NewRobot(name=name, grants=grants, duration_days=days), creator="admin")
