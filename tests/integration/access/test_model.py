# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from longshore.access.errors import AuthenticationRequired, WrongCredentials
from longshore.access.models import (
    ANONYMOUS,
    ARTIFACT_DELETE,
    INTERNAL,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    Caller,
    Grants,
    Permission,
    Role,
)
from longshore.access.policy import PUBLIC_PERMISSIONS, ROLE_PERMISSIONS
from longshore.database.sqlite import SQLiteDatabase
from longshore.groups.models import GroupType, NewGroup
from longshore.groups.service import GroupService
from longshore.identity.first_start import ensure_admin
from longshore.identity.models import NewAccessToken
from longshore.oci.errors import Denied, LongshoreError
from longshore.oci.names import RepositoryName
from longshore.projects.models import Member
from longshore.registry.invariants import INVARIANTS, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.access.conftest import World

USERS = ("dora", "erik")
PROJECTS = ("team", "side")
GROUPS = ("devs", "ops")
WANTED = (REPOSITORY_PULL, REPOSITORY_PUSH, ARTIFACT_DELETE)
users = st.sampled_from(USERS)
projects = st.sampled_from(PROJECTS)
roles = st.sampled_from(list(Role))
wanted = st.sampled_from(WANTED)
Limit = dict[int, frozenset[Permission]]


def pushing_pulls(permissions: frozenset[Permission]) -> frozenset[Permission]:
    return permissions | {REPOSITORY_PULL} if REPOSITORY_PUSH in permissions else permissions


groups = st.sampled_from(GROUPS)
_TOTALS = next(invariant for invariant in INVARIANTS if invariant.name == "totals")


class AccessModel(RuleBasedStateMachine):
    """People come and go, roles and projects change, tokens stay around: two seconds later only the present counts."""

    template: Path
    new_world: Callable[[SQLiteDatabase], World]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "longshore.db")
        self.database = SQLiteDatabase(self.folder / "longshore.db")
        self.world = self.new_world(self.database)
        self.run(ensure_admin(self.world.database, self.world.passwords, password="Secret-1234"))
        self.user_ids: dict[str, int] = {}
        self.project_ids: dict[str, tuple[int, bool]] = {}
        self.members: dict[tuple[str, str], tuple[int, Role]] = {}
        # Each token with the user's number and version it was issued to, and what was granted in which project.
        self.tokens: list[tuple[Caller, str, int, int]] = []
        # Each access token with its number, its owner's number and version, and what it allows at most (None: everything).
        self.access_tokens: list[tuple[str, int, str, int, int, Limit | None]] = []
        self.versions: dict[str, int] = {}
        self.groups = GroupService(self.world.database)
        self.group_ids: dict[str, int] = {}
        self.group_roles: dict[tuple[str, str], tuple[int, Role]] = {}
        self.groups_of: dict[str, set[str]] = {}
        for name in GROUPS:
            self.found(name)
        for name in USERS:
            self.come(name)
        for name in PROJECTS:
            self.open_project(name, public=False)

    def run(self, coroutine: object) -> object:
        return self.runner.run(coroutine)  # type: ignore[arg-type] # whatever the services return

    def teardown(self) -> None:
        self.run(self.database.close())
        self.world.passwords.close()
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(name=users)
    def come(self, name: str) -> None:
        if name not in self.user_ids:
            self.user_ids[name] = self.run(self.world.user(name))  # type: ignore[assignment] # its number
            self.versions[name] = 1

    @rule(name=users)
    def go(self, name: str) -> None:
        if name in self.user_ids:
            self.run(self.world.users.delete(self.user_ids.pop(name)))
            self.members = {key: value for key, value in self.members.items() if key[0] != name}
            self.groups_of.pop(name, None)

    @rule(name=users)
    def reset_password(self, name: str) -> None:
        if name in self.user_ids:
            self.run(self.world.users.reset_password(self.user_ids[name], "Secret-1234"))
            self.versions[name] += 1

    @rule(name=projects, public=st.booleans())
    def open_project(self, name: str, public: bool) -> None:
        if name not in self.project_ids:
            made = self.run(self.world.project(name, public=public))
            self.project_ids[name] = (made, public)  # type: ignore[assignment] # its number

    @rule(name=projects)
    def close_project(self, name: str) -> None:
        if name in self.project_ids:
            self.run(self.world.projects.delete(self.project_ids.pop(name)[0]))
            self.members = {key: value for key, value in self.members.items() if key[1] != name}
            self.group_roles = {key: value for key, value in self.group_roles.items() if key[1] != name}

    @rule(name=projects, public=st.booleans())
    def publish(self, name: str, public: bool) -> None:
        if name in self.project_ids:
            project_id = self.project_ids[name][0]
            self.run(self.world.projects.set_public(project_id, public=public))
            self.project_ids[name] = (project_id, public)

    @rule(user=users, project=projects, role=roles)
    def join(self, user: str, project: str, role: Role) -> None:
        if user not in self.user_ids or project not in self.project_ids:
            return
        project_id = self.project_ids[project][0]
        known = self.members.get((user, project))
        if known is None:
            member = self.run(self.world.projects.add_member(project_id, self.user_ids[user], role))
            self.members[user, project] = (member, role)  # type: ignore[assignment] # its number
        else:
            self.run(self.world.projects.change_role(project_id, known[0], role))
            self.members[user, project] = (known[0], role)

    @rule(user=users, project=projects)
    def leave(self, user: str, project: str) -> None:
        if (known := self.members.pop((user, project), None)) is not None:
            self.run(self.world.projects.remove_member(self.project_ids[project][0], known[0]))

    @rule(name=groups)
    def found(self, name: str) -> None:
        if name not in self.group_ids:
            made = self.run(self.groups.create(NewGroup(GroupType.OIDC, name), actor="admin"))
            self.group_ids[name] = made  # type: ignore[assignment] # its number

    @rule(name=groups)
    def disband(self, name: str) -> None:
        if name in self.group_ids:
            self.run(self.groups.delete(self.group_ids.pop(name), actor="admin"))
            self.group_roles = {key: value for key, value in self.group_roles.items() if key[0] != name}
            for names in self.groups_of.values():
                names.discard(name)

    @rule(group=groups, project=projects, role=roles)
    def group_joins(self, group: str, project: str, role: Role) -> None:
        if group in self.group_ids and project in self.project_ids and (group, project) not in self.group_roles:
            new, project_id = NewGroup(GroupType.OIDC, group), self.project_ids[project][0]
            member = self.run(self.groups.add_to_project(project_id, new, role, actor="admin"))
            self.group_roles[group, project] = (member, role)  # type: ignore[assignment] # its number

    @rule(group=groups, project=projects)
    def group_leaves(self, group: str, project: str) -> None:
        if (known := self.group_roles.pop((group, project), None)) is not None:
            self.run(self.world.projects.remove_member(self.project_ids[project][0], known[0]))

    @rule(user=users, names=st.sets(groups))
    def log_in_by_oidc(self, user: str, names: set[str]) -> None:
        if user in self.user_ids:
            there = {name for name in names if name in self.group_ids}
            ids = [self.group_ids[name] for name in there]
            changed = self.run(self.groups.set_groups_of(self.user_ids[user], ids, actor="oidc"))
            assert changed == (there != self.groups_of.get(user, set()))
            self.groups_of[user] = there
            self.versions[user] += bool(changed)

    @precondition(lambda self: len(self.tokens) < 6)
    @rule(user=users)
    def get_token(self, user: str) -> None:
        if user not in self.user_ids:
            return
        scopes = "+".join(f"repository:{name}/app:*" for name in PROJECTS)
        form = f"grant_type=password&username={user}&password=Secret-1234&scope={scopes}".encode()
        answer = self.run(self.world.endpoint.post(form, "application/x-www-form-urlencoded", "10.0.0.1"))
        caller = self.world.tokens.verify(answer.token, "10.0.0.1")  # type: ignore[attr-defined] # a TokenAnswer
        self.tokens.append((caller, user, self.user_ids[user], self.versions[user]))
        # What is granted is right at once, also when a copy knew less.
        for name in PROJECTS:
            actions = next((set(s.actions) for s in caller.scopes or () if s.repository.project.value == name), set())
            allowed = self.allowed(user, name)
            assert actions == {p.action for p in WANTED if p in allowed}

    @precondition(lambda self: len(self.access_tokens) < 4)
    @rule(user=users, limits=st.none() | st.dictionaries(projects, st.frozensets(wanted, min_size=1), min_size=1))
    def make_access_token(self, user: str, limits: dict[str, frozenset[Permission]] | None) -> None:
        named = {name: limit for name, limit in (limits or {}).items() if name in self.project_ids}
        if user not in self.user_ids or (limits is not None and not named):
            return
        limit = {self.project_ids[name][0]: allowed for name, allowed in named.items()} if limits is not None else None
        grants = None if limit is None else Grants(projects=tuple(limit.items()))
        new = NewAccessToken(name=f"t{len(self.access_tokens)}", limit=grants, days=1)
        owner = self.user_ids[user]
        made: Any = self.run(self.world.access_tokens.create(owner, new, by=INTERNAL))
        self.access_tokens.append((made[1], made[0], user, owner, self.versions[user], limit))

    @precondition(lambda self: self.access_tokens)
    @rule()
    def end_access_token(self) -> None:
        _, number, user, owner, _, _ = self.access_tokens.pop()
        if self.user_ids.get(user) == owner:
            self.run(self.world.access_tokens.delete(owner, number, by=INTERNAL))

    def allowed(self, user: str | None, project: str) -> frozenset[Permission]:
        if project not in self.project_ids:
            return frozenset()
        found = PUBLIC_PERMISSIONS if self.project_ids[project][1] else frozenset()
        if user is not None and (known := self.members.get((user, project))) is not None:
            found |= ROLE_PERMISSIONS[known[1]]
        for group in self.groups_of.get(user or "", ()):
            if (role := self.group_roles.get((group, project))) is not None:
                found |= ROLE_PERMISSIONS[role[1]]
        return found

    def verdict(self, caller: Caller, permission: Permission, project: str) -> LongshoreError | None:
        repository = RepositoryName.parse(f"{project}/app")
        try:
            self.run(self.world.access.authorise(caller, permission, repository))
        except LongshoreError as error:
            return error
        return None

    @invariant()
    def two_seconds_later_only_the_present_counts(self) -> None:
        self.world.wait(2.1)
        nobody = Caller(ANONYMOUS, None, "10.0.0.9")
        for project in PROJECTS:
            for permission in WANTED:
                error = self.verdict(nobody, permission, project)
                assert (error is None) == (permission in self.allowed(None, project))
                assert error is None or isinstance(error, AuthenticationRequired)
                for name in self.user_ids:
                    principal = self.run(self.world.principal(name))
                    error = self.verdict(Caller(principal, None, ""), permission, project)  # type: ignore[arg-type] # one
                    assert (error is None) == (permission in self.allowed(name, project))
                    assert error is None or isinstance(error, Denied)

    @invariant()
    def access_tokens_open_what_is_in_them_and_their_owners_may(self) -> None:
        self.world.wait(2.1)
        for secret, _, user, owner, version, limit in self.access_tokens:
            alive = self.user_ids.get(user) == owner and self.versions[user] == version
            try:
                caller = Caller(self.run(self.world.principal(user, secret)), None, "")  # type: ignore[arg-type] # one
            except WrongCredentials:
                assert not alive
                continue
            assert alive
            for project in PROJECTS:
                everybodys, owners = self.allowed(None, project), self.allowed(user, project)
                number = self.project_ids.get(project, (0,))[0]
                reach = owners if limit is None else owners & pushing_pulls(limit.get(number, frozenset()))
                for permission in WANTED:
                    error = self.verdict(caller, permission, project)
                    assert (error is None) == (permission in reach | everybodys)

    @invariant()
    def numbers_are_true(self) -> None:
        assert self.run(self.world.database.read(lambda connection: violations(connection, _TOTALS))) == []
        for name, (project_id, _) in self.project_ids.items():
            everybody = [*self.members.items(), *self.group_roles.items()]
            expected = Counter(role for (_, project), (_, role) in everybody if project == name)
            assert self.run(self.world.project_queries.member_counts(project_id)) == expected
            listed, total = cast("tuple[list[Member], int]", self.run(self.world.project_queries.members(project_id)))
            assert (total, len(listed)) == (expected.total(), expected.total())

    @invariant()
    def tokens_open_what_they_were_given_and_is_still_allowed(self) -> None:
        self.world.wait(2.1)
        for caller, user, user_id, version in self.tokens:
            alive = self.user_ids.get(user) == user_id and self.versions[user] == version
            for project in PROJECTS:
                scope = next((s for s in caller.scopes or () if s.repository.project.value == project), None)
                same = scope is not None and self.project_ids.get(project, (0,))[0] == scope.project_id
                for permission in WANTED:
                    error = self.verdict(caller, permission, project)
                    given = same and scope is not None and permission.action in scope.actions
                    expected = alive and given and permission in self.allowed(user, project)
                    assert (error is None) == expected
                    assert error is None or isinstance(error, AuthenticationRequired)


def test_access_follows_the_model(sqlite_template: Path, new_world: Callable[[SQLiteDatabase], World]) -> None:
    """Whatever people do to accounts, roles and projects, old tokens and new logins open exactly what is allowed now."""
    machine = type("Machine", (AccessModel,), {"template": sqlite_template, "new_world": staticmethod(new_world)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
