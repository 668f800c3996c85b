# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from longshore.access.errors import AuthenticationRequired
from longshore.access.models import (
    ANONYMOUS,
    ARTIFACT_DELETE,
    MEMBER_CREATE,
    PROJECT_READ,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    TAG_DELETE,
    USER_LIST,
    Caller,
    Role,
)
from longshore.oci.errors import Denied, LongshoreError, NameUnknown, NotFound, ServiceUnavailable, Unauthorized
from longshore.oci.names import ProjectName, RepositoryName

if TYPE_CHECKING:
    from tests.integration.access.conftest import World

PASSWORD = "Secret-1234"
APP = RepositoryName.parse("team/app")
NOBODY = Caller(ANONYMOUS, None, "10.0.0.9")


async def _token(world: World, name: str, scope: str, password: str = PASSWORD) -> Caller:
    body = f"grant_type=password&username={name}&password={password}&scope={scope}".encode()
    answer = await world.endpoint.post(body, "application/x-www-form-urlencoded", "10.0.0.1")
    return world.tokens.verify(answer.token, "10.0.0.1")


async def _refusal(world: World, caller: Caller, repository: str = "team/app") -> LongshoreError:
    with pytest.raises(LongshoreError) as caught:
        await world.access.authorise(caller, REPOSITORY_PUSH, RepositoryName.parse(repository))
    return caught.value


async def test_token_dies_with_its_permission(world: World) -> None:
    """A token stops working within two seconds after the membership that backed it has gone."""
    project = await world.project("team")
    await world.member(project, "dora", Role.DEVELOPER)
    caller = await _token(world, "dora", "repository:team/app:pull,push")
    assert (await world.access.authorise(caller, REPOSITORY_PUSH, APP)).id == project
    (member,), _ = await world.project_queries.members(project)
    assert await world.projects.remove_member(project, member.id)
    world.wait(2.1)
    error = await _refusal(world, caller)
    assert isinstance(error, AuthenticationRequired)
    assert (error.reason, error.scope) == ("insufficient_scope", "repository:team/app:pull,push")


async def test_role_lowered(world: World) -> None:
    """After a role is lowered the token pulls on and pushes no longer, and nobody else's token is touched."""
    project = await world.project("team")
    await world.member(project, "dora", Role.DEVELOPER)
    await world.member(project, "erik", Role.DEVELOPER)
    dora = await _token(world, "dora", "repository:team/app:pull,push")
    erik = await _token(world, "erik", "repository:team/app:pull,push")
    (first, _), _ = await world.project_queries.members(project)
    await world.projects.change_role(project, first.id, Role.GUEST)
    world.wait(2.1)
    await world.access.authorise(dora, REPOSITORY_PULL, APP)
    await world.access.authorise(erik, REPOSITORY_PUSH, APP)
    await _refusal(world, dora)


@pytest.mark.parametrize("what", ["password", "sysadmin", "deleted"])
async def test_token_dies_with_its_account(world: World, what: str) -> None:
    """A new password, a change of rank and a deletion end every token and login within two seconds."""
    project = await world.project("team")
    user = await world.member(project, "dora", Role.DEVELOPER)
    caller = await _token(world, "dora", "repository:team/app:pull,push")
    basic = await world.basic("dora")
    await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    if what == "password":
        await world.users.reset_password(user, "Other-12345")
    elif what == "sysadmin":
        await world.users.set_sysadmin(user, sysadmin=True)
    else:
        await world.users.delete(user)
    world.wait(2.1)
    for dead in (caller, basic):
        error = await _refusal(world, dead)
        assert isinstance(error, AuthenticationRequired)
        assert error.reason == ("invalid_token" if dead is caller else "")
        with pytest.raises(AuthenticationRequired):
            await world.access.authorise_login(dead)


async def test_a_grant_shows_at_once(world: World) -> None:
    """Whoever was refused and is then made a member needn't wait: no copy is believed when it says no."""
    project = await world.project("team")
    user = await world.user("dora")
    basic = await world.basic("dora")
    assert isinstance(await _refusal(world, basic), Denied)
    await world.projects.add_member(project, user, Role.DEVELOPER)
    await world.access.authorise(basic, REPOSITORY_PUSH, APP)
    await world.access.authorise(await _token(world, "dora", "repository:team/app:push"), REPOSITORY_PUSH, APP)


async def test_new_password_works_at_once(world: World) -> None:
    """A login with the new password passes although a copy still knows the old version."""
    project = await world.project("team")
    user = await world.member(project, "dora", Role.DEVELOPER)
    await world.access.authorise(await world.basic("dora"), REPOSITORY_PUSH, APP)
    await world.users.reset_password(user, "Other-12345")
    await world.access.authorise(await world.basic("dora", "Other-12345"), REPOSITORY_PUSH, APP)
    fresh = await _token(world, "dora", "repository:team/app:push", "Other-12345")
    await world.access.authorise(fresh, REPOSITORY_PUSH, APP)


async def test_missing_and_hidden_look_alike(world: World) -> None:
    """A project that doesn't exist and one that the caller can't see get the same answer, for every kind of caller."""
    await world.project("hidden")
    await world.user("dora")
    callers = [NOBODY, await world.basic("dora")]
    callers += [await _token(world, "dora", f"repository:{name}/app:pull,push") for name in ("hidden", "absent")]
    for caller in callers:
        hidden = await _refusal(world, caller, "hidden/app")
        absent = await _refusal(world, caller, "absent/app")
        assert type(hidden) is type(absent)
        assert hidden.message.replace("hidden", "absent") == absent.message
        assert getattr(hidden, "reason", None) == getattr(absent, "reason", None)
        assert getattr(hidden, "scope", "").replace("hidden", "absent") == getattr(absent, "scope", "")
    with pytest.raises(Denied) as first:
        await world.access.authorise_project(callers[1], PROJECT_READ, ProjectName("hidden"))
    with pytest.raises(Denied) as second:
        await world.access.authorise_project(callers[1], PROJECT_READ, ProjectName("absent"))
    assert first.value.message.replace("hidden", "absent") == second.value.message


async def test_administrator_is_told_what_is_missing(world: World) -> None:
    """Who would see any project learns that one doesn't exist, by Basic and by token."""
    for caller in (await world.basic("admin"), await _token(world, "admin", "repository:absent/app:pull,push")):
        assert isinstance(await _refusal(world, caller, "absent/app"), NameUnknown)
    with pytest.raises(NotFound):
        await world.access.authorise_project(await world.basic("admin"), PROJECT_READ, ProjectName("absent"))
    with pytest.raises(NotFound):
        await world.access.authorise_project(await world.basic("admin"), PROJECT_READ, 4711)


async def test_token_without_the_scope(world: World) -> None:
    """A token of the administrator for one action or repository opens no other; the challenge names what is missing."""
    await world.project("team")
    caller = await _token(world, "admin", "repository:team/app:pull")
    await world.access.authorise(caller, REPOSITORY_PULL, APP)
    error = await _refusal(world, caller)
    assert isinstance(error, AuthenticationRequired)
    assert (error.reason, error.scope) == ("insufficient_scope", "repository:team/app:pull,push")
    with pytest.raises(AuthenticationRequired) as caught:
        await world.access.authorise(caller, ARTIFACT_DELETE, APP)
    assert caught.value.scope == "repository:team/app:delete"
    with pytest.raises(AuthenticationRequired):
        await world.access.authorise(caller, REPOSITORY_PULL, RepositoryName.parse("team/other"))


async def test_delete_scope(world: World) -> None:
    """The delete action goes to maintainers and not to developers."""
    project = await world.project("team")
    await world.member(project, "mia", Role.MAINTAINER)
    await world.member(project, "dora", Role.DEVELOPER)
    mia = await _token(world, "mia", "repository:team/app:*")
    await world.access.authorise(mia, TAG_DELETE, APP)
    await world.access.authorise(mia, ARTIFACT_DELETE, APP)
    dora = await _token(world, "dora", "repository:team/app:*")
    assert dora.scopes is not None
    assert dora.scopes[0].actions == {"pull", "push"}


async def test_new_project_of_an_old_name(world: World) -> None:
    """A token of a deleted project doesn't open a new one of the same name, whoever owns it."""
    await world.project("team")
    caller = await _token(world, "admin", "repository:team/app:pull,push")
    old = await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    await world.projects.delete(old.id)
    await world.project("team")
    world.wait(2.1)
    assert isinstance(await _refusal(world, caller), AuthenticationRequired)


async def test_public_project(world: World) -> None:
    """Anybody pulls from a public project, and nobody once it is closed."""
    project = await world.project("open", public=True)
    repository = RepositoryName.parse("open/app")
    await world.access.authorise(NOBODY, REPOSITORY_PULL, repository)
    error = await _refusal(world, NOBODY, "open/app")
    assert isinstance(error, AuthenticationRequired)
    assert (error.reason, error.scope) == ("", "repository:open/app:pull,push")
    answer = await world.endpoint.get([("scope", "repository:open/app:pull,push")], None, "10.0.0.9")
    anonymous = world.tokens.verify(answer.token, "10.0.0.9")
    await world.access.authorise(anonymous, REPOSITORY_PULL, repository)
    await world.projects.set_public(project, public=False)
    world.wait(2.1)
    for caller in (NOBODY, anonymous):
        with pytest.raises(AuthenticationRequired):
            await world.access.authorise(caller, REPOSITORY_PULL, repository)


async def test_hot_path_reads_nothing(world: World) -> None:
    """Requests with a known token and known facts don't touch the database."""
    project = await world.project("team")
    await world.member(project, "dora", Role.DEVELOPER)
    caller = await _token(world, "dora", "repository:team/app:pull,push")
    await world.access.authorise(caller, REPOSITORY_PULL, APP)
    before = world.database.reads
    for _ in range(50):
        await world.access.authorise(caller, REPOSITORY_PULL, APP)
        await world.access.authorise(caller, REPOSITORY_PUSH, APP)
    assert world.database.reads == before


async def test_database_away(world: World) -> None:
    """While the database is away facts up to thirty seconds old serve; then nobody is let in."""
    project = await world.project("team")
    await world.member(project, "dora", Role.DEVELOPER)
    caller = await _token(world, "dora", "repository:team/app:pull,push")
    await world.access.authorise(caller, REPOSITORY_PULL, APP)
    world.database.away = True
    for _ in range(9):
        world.wait(3)
        await world.access.authorise(caller, REPOSITORY_PULL, APP)
    world.wait(4)
    with pytest.raises(ServiceUnavailable):
        await world.access.authorise(caller, REPOSITORY_PULL, APP)
    world.database.away = False
    await world.access.authorise(caller, REPOSITORY_PULL, APP)


async def test_management(world: World) -> None:
    """The management API's answers: 401 for nobody and for registry tokens, 403 for who may less, else it passes."""
    project = await world.project("team")
    await world.member(project, "dora", Role.DEVELOPER)
    dora = await world.basic("dora")
    facts = await world.access.authorise_project(dora, PROJECT_READ, project)
    assert facts.name == ProjectName("team")
    with pytest.raises(Denied):
        await world.access.authorise_project(dora, MEMBER_CREATE, ProjectName("team"))
    with pytest.raises(Denied):
        await world.access.authorise_system(dora, USER_LIST)
    with pytest.raises(Unauthorized):
        await world.access.authorise_project(NOBODY, PROJECT_READ, project)
    with pytest.raises(Unauthorized):
        await world.access.authorise_system(await _token(world, "admin", ""), USER_LIST)
    await world.access.authorise_system(await world.basic("admin"), USER_LIST)
    await world.access.authorise_project(await world.basic("admin"), MEMBER_CREATE, project)


async def test_catalog_and_lists(world: World) -> None:
    """The catalog is for who is logged in and shows what the caller may read; a token must have been issued for it."""
    project = await world.project("team")
    await world.project("other")
    await world.member(project, "dora", Role.LIMITED_GUEST)
    with pytest.raises(AuthenticationRequired):
        await world.access.authorise_catalog(NOBODY)
    with pytest.raises(AuthenticationRequired) as caught:
        await world.access.authorise_catalog(await _token(world, "dora", "repository:team/app:pull"))
    assert caught.value.scope == "registry:catalog:*"
    visibility = await world.access.authorise_catalog(await _token(world, "dora", "registry:catalog:*"))
    assert (visibility.everything, visibility.public) == (False, True)
    assert visibility.project_ids == {project}
    assert (await world.access.authorise_catalog(await world.basic("admin"))).everything
    dora = await world.principal("dora")
    names = [p.name.value for p in (await world.project_queries.page(await world.access.visible_projects(dora)))[0]]
    assert names == ["library", "team"]
    nobody = await world.access.visible_projects(ANONYMOUS)
    assert [p.name.value for p in (await world.project_queries.page(nobody))[0]] == ["library"]


async def test_source_of_a_mount(world: World) -> None:
    """Whether a principal may read a project is judged by its own rights."""
    await world.project("team")
    await world.user("dora")
    team = await world.access.project(ProjectName("team"))
    library = await world.access.project(ProjectName("library"))
    assert team is not None
    assert library is not None
    dora = await world.principal("dora")
    assert not await world.access.readable(dora, team)
    assert await world.access.readable(dora, library)
    assert await world.access.readable(await world.principal("admin"), team)
    assert not (await world.access.readable_projects(dora)).shows(team)
