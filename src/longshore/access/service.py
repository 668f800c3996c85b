# SPDX-License-Identifier: Apache-2.0
"""Authorisation of requests: facts at most two seconds old, judged by `policy`, refused in a way that clients understand.

A request with a token that was seen before costs dictionary look-ups and nothing else. Nothing is refused on the word of a
copy: before the answer is no, the facts are read again, so that whoever was just allowed something isn't sent away.
`docs/why/authorisation.md` tells which client needs which answer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from longshore.access import policy
from longshore.access.decision import Decision, Rule, Standing, decide, standing_in, standing_in_system
from longshore.access.errors import AuthenticationRequired
from longshore.access.models import (
    PROJECT_LIST,
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    Account,
    Caller,
    Grants,
    Permission,
    Principal,
    PrincipalKind,
    ProjectFacts,
    TokenScope,
    Visibility,
)
from longshore.access.ports import Accounts, TokenAccounts
from longshore.database.connection import Database
from longshore.database.memory import Remembered
from longshore.oci.errors import Denied, LongshoreError, NameUnknown, NotFound, Unauthorized
from longshore.oci.names import ProjectName, RepositoryName
from longshore.projects.queries import ProjectQueries

FRESH_SECONDS: Final = 2.0
"""How old a fact may be that a request is judged by."""

STALE_SECONDS: Final = 30.0
"""How old it may be while the database is away."""

CATALOG_SCOPE: Final = "registry:catalog:*"
"""What a token for the catalog is asked for with."""

_LIMIT: Final = 20_000
_CHALLENGE_ACTIONS: Final = {"pull": "pull", "push": "pull,push", "delete": "delete"}
# What these allow, a token of present versions allows; deleting is several permissions under one action.
_PLAIN: Final = frozenset({REPOSITORY_PULL, REPOSITORY_PUSH})

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_AccountKey = tuple[PrincipalKind, int, int]
_StandingKey = tuple[Principal, ProjectFacts]


class AccessService:
    """Answers whether a caller may do what it asks for.

    Args:
        database: Where projects and members are.
        accounts: Who knows the users and the robots.
        tokens: Who knows the access tokens of people; without it there are none.
        clock: Seconds, monotonic: the age of copies.
        wall: Seconds since 1970: the expiry of robots.
    """

    def __init__(
        self,
        database: Database,
        accounts: Mapping[PrincipalKind, Accounts],
        *,
        tokens: TokenAccounts | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._queries = ProjectQueries(database)
        self._sources = accounts
        self._tokens = tokens
        self._wall = wall
        self._projects: Remembered[str, ProjectFacts] = _remembered(self._queries.facts, clock)
        self._projects_by_id: Remembered[int, ProjectFacts] = _remembered(self._queries.facts_by_id, clock)
        self._accounts: Remembered[_AccountKey, Account] = _remembered(self._load_account, clock)
        self._standings: Remembered[_StandingKey, Standing] = _remembered(self._load_standing, clock)
        self._readable: Remembered[Principal, Visibility] = _remembered(self._load_readable, clock)

    def forget(self) -> None:
        """Drops every copy, so that a change made by this process shows in its next answer."""
        for memory in (self._projects, self._projects_by_id, self._accounts, self._standings, self._readable):
            memory.forget()

    async def project(self, name: ProjectName) -> ProjectFacts | None:
        """The project of that name as it was at most two seconds ago; None when there is none."""
        return await self._projects.get(name.value)

    async def current(self, kind: PrincipalKind, account_id: int, token_id: int = 0) -> Account | None:
        """The state of a user or robot at most two seconds ago; None when it is gone, disabled or expired."""
        return self._alive(await self._accounts.get((kind, account_id, token_id)))

    async def is_current(self, principal: Principal) -> bool:
        """Whether the account behind the principal is still what it was when it was recognised."""
        return await self._living(principal, recent=False) or await self._living(principal, recent=True)

    async def permissions(self, principal: Principal, project: ProjectFacts) -> frozenset[Permission]:
        """Everything the principal may do in the project, by its own rights."""
        return (await self._standing(principal, project, recent=False)).permissions

    async def permissions_in_system(self, principal: Principal) -> frozenset[Permission]:
        """Everything the principal may do outside of projects."""
        return standing_in_system(principal, await self._account_of(principal)).permissions

    async def readable(self, principal: Principal, project: ProjectFacts) -> bool:
        """Whether the principal itself may pull from the project, whatever its token names (for the source of a mount)."""
        return REPOSITORY_PULL in await self.permissions(principal, project)

    async def readable_projects(self, principal: Principal) -> Visibility:
        """The projects that the principal itself may pull from: for the catalog, and for mounting without `from`."""
        return await self._readable.get(principal) or Visibility(public=False)

    async def visible_projects(self, principal: Principal) -> Visibility:
        """The projects that a list shows to the principal: its own, the public ones, or all."""
        account = await self._account_of(principal)
        if account is None or account.grants is None:
            return await self.readable_projects(principal)
        grants = account.grants
        if grants.everywhere or PROJECT_LIST in grants.system:
            return Visibility(everything=True)
        return Visibility(project_ids=frozenset(project_id for project_id, _ in grants.projects))

    async def projects_with(self, principal: Principal, permission: Permission) -> Visibility:
        """The projects in which the principal has a permission by its own rights, not by their being public."""
        account = await self._account_of(principal)
        if account is None:
            return Visibility(public=False)
        own = await self._own_projects_with(principal, account, permission)
        return own if account.limit is None else _within(own, account.limit, permission)

    async def _own_projects_with(self, principal: Principal, account: Account, permission: Permission) -> Visibility:
        if account.sysadmin:
            return Visibility(everything=True)
        if account.grants is not None:
            given = account.grants.projects
            ids = frozenset(project_id for project_id, permissions in given if permission in permissions)
            return Visibility(everything=permission in account.grants.everywhere, public=False, project_ids=ids)
        members = await self._queries.projects_of_member(principal.id)
        roles = await self._queries.roles_of(principal.id, members)
        having = frozenset(
            project_id
            for project_id, held in roles.items()
            if any(permission in policy.ROLE_PERMISSIONS[role] for role in held)
        )
        return Visibility(public=False, project_ids=having)

    async def authorise(self, caller: Caller, permission: Permission, repository: RepositoryName) -> ProjectFacts:
        """Lets an operation of the distribution API pass; returns the project of the repository.

        Raises:
            AuthenticationRequired: an anonymous caller would have to log in, or the token doesn't reach or is dead.
            Denied: the caller logged in by Basic and may not do this; whether the project exists isn't told.
            NameUnknown: the project doesn't exist and the caller would see any project that did.
            ServiceUnavailable: the database is away for too long.
        """
        project = self._passing(caller, permission, repository)
        if project is not None:
            return project
        verdict = await self._judge(caller, permission, repository, recent=False)
        if isinstance(verdict, Decision):
            verdict = await self._judge(caller, permission, repository, recent=True)
        if isinstance(verdict, Decision):
            raise _refused(caller, verdict, repository)
        return verdict

    async def grant(self, principal: Principal, repository: RepositoryName, asked: frozenset[str]) -> TokenScope | None:
        """What a token may carry of the actions asked for (`pull`, `push`, `delete`, or `*` for all); None for nothing."""
        for recent in (False, True):
            project = await _recall(self._projects, repository.project.value, recent=recent)
            standing = await self._standing(principal, project or _nowhere(repository.project), recent=recent)
            actions = policy.token_actions(standing.permissions)
            if project is not None and (asked <= actions or ("*" in asked and actions == policy.TOKEN_ACTIONS.keys())):
                break
        chosen = actions if "*" in asked else actions & asked
        if project is None or not chosen:
            return None
        return TokenScope(repository, project.id, project.access_version, chosen)

    async def authorise_login(self, caller: Caller) -> None:
        """Lets a caller pass that is anybody but anonymous, for `GET /v2/`.

        Raises:
            AuthenticationRequired: the caller is anonymous, or its account or token is dead.
        """
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            raise AuthenticationRequired("Log in first: with a name and a password or secret, as docker login does.")
        await self._require_living(caller, scope="")

    async def authorise_catalog(self, caller: Caller) -> Visibility:
        """Lets a caller see the catalog; returns the projects whose repositories it may list.

        Raises:
            AuthenticationRequired: the caller is anonymous, or its token wasn't issued for the catalog or is dead.
        """
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            raise AuthenticationRequired("The catalog is for those who are logged in.", scope=CATALOG_SCOPE)
        await self._require_living(caller, scope=CATALOG_SCOPE)
        if caller.scopes is not None and not caller.catalog:
            raise AuthenticationRequired(
                f"This token wasn't issued for the catalog. Ask for one with the scope {CATALOG_SCOPE}.",
                scope=CATALOG_SCOPE,
                reason="insufficient_scope",
            )
        return await self.readable_projects(caller.principal)

    async def authorise_project(
        self, caller: Caller, permission: Permission, project: ProjectName | int
    ) -> ProjectFacts:
        """Lets an operation of the management API on a project pass; returns the project.

        Raises:
            Unauthorized: the caller is anonymous and this isn't open to all, or it came with a token of the registry, or
                its account is dead.
            Denied: the caller may not do this; whether the project exists isn't told to who may not see it.
            NotFound: the project doesn't exist and the caller would see any project that did.
        """
        for recent in (False, True):
            decision = await self._in_project(caller, permission, project, recent=recent)
            if decision.allowed and decision.standing.project is not None:
                return decision.standing.project
        if decision.rule is Rule.NO_PROJECT and decision.standing.permissions:
            raise NotFound(f"The project {project} doesn't exist.")
        raise _refused_by_api(caller, f"{permission} in the project {project}")

    async def decision_in_project(
        self, principal: Principal, permission: Permission, project: ProjectName, *, token: frozenset[str] | None = None
    ) -> Decision:
        """What a request of the principal would be answered by, from the facts as they are now.

        Args:
            principal: Who would ask.
            permission: What for.
            project: Where.
            token: The actions of the registry token that it would come with; None for any other way to log in.

        Raises:
            ServiceUnavailable: the database is away.
        """
        facts = await self._projects.fresh(project.value)
        standing = await self._standing(principal, facts or _nowhere(project), recent=True)
        reached = token is None or policy.token_action(permission) in token
        return decide(standing, permission, contained=token is not None, reached=reached)

    async def decision_in_system(self, principal: Principal, permission: Permission) -> Decision:
        """What a request of the principal outside of projects would be answered by, from the facts as they are now.

        Raises:
            ServiceUnavailable: the database is away.
        """
        return await self._in_system(Caller(principal, None, ""), permission, recent=True)

    async def authorise_administrator(self, caller: Caller) -> bool:
        """Lets system administrators pass, and whoever administers a project; tells whether it is one of the system.

        Raises:
            Unauthorized: the caller is anonymous, came with a token of the registry, or its account is dead.
            Denied: the caller administers nothing.
        """
        living = caller.scopes is None and await self._living(caller.principal, recent=True)
        account = await self._account_of(caller.principal) if living else None
        if account is not None and account.sysadmin:
            return True
        if account is not None and account.grants is None and await self._queries.administers(caller.principal.id):
            return False
        raise _refused_by_api(caller, "an administrator, of the system or of a project")

    async def authorise_system(self, caller: Caller, permission: Permission) -> None:
        """Lets an operation of the management API outside of projects pass.

        Raises:
            Unauthorized: the caller is anonymous, came with a token of the registry, or its account is dead.
            Denied: the caller may not do this.
        """
        for recent in (False, True):
            if (await self._in_system(caller, permission, recent=recent)).allowed:
                return
        raise _refused_by_api(caller, f"{permission} in the system")

    async def authorise_token(self, caller: Caller, permission: Permission | None) -> None:
        """Lets what every person may do pass, unless the access token that the caller came with doesn't include it.

        Args:
            caller: Who calls.
            permission: What it is in the vocabulary; None for what only the password or a session opens.

        Raises:
            Denied: the token doesn't reach.
        """
        principal = caller.principal
        if not principal.token_id:
            return
        account = await self._account_of(principal)
        limit = None if account is None else account.limit
        if account is None or permission is None or (limit is not None and permission not in limit.system):
            what = f"{permission} in the system" if permission is not None else "the password itself, or a session"
            raise Denied(f"The access token of {principal.actor} doesn't open this: it needs {what}.")

    def _passing(self, caller: Caller, permission: Permission, repository: RepositoryName) -> ProjectFacts | None:
        """The project, if `_judge` would say yes by copies that are at hand: nearly every request of a token ends here."""
        project = self._projects.at_hand(repository.project.value)
        if project is None or caller.scopes is None or permission not in _PLAIN:
            return None
        principal = caller.principal
        if principal.kind in self._sources:
            account = self._alive(self._accounts.at_hand((principal.kind, principal.id, principal.token_id)))
            if account is None or account.access_version != principal.access_version:
                return None
        scope = _reaching(caller.scopes, repository, project, policy.token_action(permission))
        return project if scope is not None and scope.project_version == project.access_version else None

    async def _judge(
        self, caller: Caller, permission: Permission, repository: RepositoryName, *, recent: bool
    ) -> ProjectFacts | Decision:
        """The project, when the caller may do it there; else why not."""
        project = await _recall(self._projects, repository.project.value, recent=recent)
        scope = None
        living = await self._living(caller.principal, recent=recent)
        if living and caller.scopes is not None and project is not None:
            scope = _reaching(caller.scopes, repository, project, policy.token_action(permission))
            # The two versions rise with everything that the token's actions were granted by.
            if scope and scope.project_version == project.access_version and permission in _PLAIN:
                return project
        reached = caller.scopes is None or project is None or scope is not None
        place = project or _nowhere(repository.project)
        standing = await self._standing_of(caller.principal, place, living=living, recent=recent)
        decision = decide(standing, permission, contained=True, reached=reached)
        return project if decision.allowed and project is not None else decision

    async def _in_project(
        self, caller: Caller, permission: Permission, project: ProjectName | int, *, recent: bool
    ) -> Decision:
        if isinstance(project, int):
            facts = await _recall(self._projects_by_id, project, recent=recent)
        else:
            facts = await _recall(self._projects, project.value, recent=recent)
        standing = await self._standing(caller.principal, facts or _nowhere(ProjectName("")), recent=recent)
        return decide(standing, permission, reached=caller.scopes is None)

    async def _in_system(self, caller: Caller, permission: Permission, *, recent: bool) -> Decision:
        living = await self._living(caller.principal, recent=recent)
        standing = standing_in_system(caller.principal, await self._account_of(caller.principal) if living else None)
        return decide(standing, permission, reached=caller.scopes is None)

    async def _standing(self, principal: Principal, project: ProjectFacts, *, recent: bool) -> Standing:
        living = await self._living(principal, recent=recent)
        return await self._standing_of(principal, project, living=living, recent=recent)

    async def _standing_of(
        self, principal: Principal, project: ProjectFacts, *, living: bool, recent: bool
    ) -> Standing:
        dead = Standing(principal, project, alive=False, holdings=())
        if not living:
            return dead
        return await _recall(self._standings, (principal, project), recent=recent) or dead

    async def _require_living(self, caller: Caller, *, scope: str) -> None:
        if not await self.is_current(caller.principal):
            raise _dead(caller, scope)

    async def _living(self, principal: Principal, *, recent: bool) -> bool:
        if principal.kind not in self._sources:
            return True
        account = await _recall(self._accounts, _account_key(principal), recent=recent)
        account = self._alive(account)
        return account is not None and account.access_version == principal.access_version

    def _alive(self, account: Account | None) -> Account | None:
        if account is None or account.expires_at is None or account.expires_at > self._wall() * 1_000_000:
            return account
        return None

    async def _account_of(self, principal: Principal) -> Account | None:
        account = await self.current(*_account_key(principal)) if principal.kind in self._sources else None
        return account if account is not None and account.access_version == principal.access_version else None

    async def _load_account(self, key: _AccountKey) -> Account | None:
        kind, account_id, token_id = key
        if token_id:
            return None if self._tokens is None else await self._tokens.account(account_id, token_id)
        return await self._sources[kind].account(account_id)

    async def _load_standing(self, key: _StandingKey) -> Standing:
        principal, project = key
        account = await self._account_of(principal)
        role = None
        if account is not None and account.grants is None and not account.sysadmin:
            # Asked for a project that doesn't exist too: the time of an answer tells no more than its text.
            role = await self._queries.role(project.id, principal.id)
        return standing_in(principal, account, project, role)

    async def _load_readable(self, principal: Principal) -> Visibility:
        if principal.kind is PrincipalKind.INTERNAL:
            return Visibility(everything=True)
        if principal.kind is PrincipalKind.ANONYMOUS:
            return Visibility()
        account = await self._account_of(principal)
        if account is None:
            return Visibility(public=False)
        if account.limit is not None and REPOSITORY_PULL not in account.limit.everywhere:
            return Visibility(project_ids=await self._readable_of(principal, account.limit))
        if account.grants is None:
            if account.sysadmin:
                return Visibility(everything=True)
            # Every role includes pulling.
            return Visibility(project_ids=await self._queries.projects_of_member(principal.id))
        grants = account.grants
        return Visibility(
            everything=REPOSITORY_PULL in grants.everywhere,
            project_ids=frozenset(
                project_id for project_id, permissions in grants.projects if REPOSITORY_PULL in permissions
            ),
        )

    async def _readable_of(self, principal: Principal, limit: Grants) -> frozenset[int]:
        """Which of the projects that an access token names its owner may pull from."""
        found = set()
        for project_id, _ in limit.projects:
            project = await self._projects_by_id.get(project_id)
            if project is not None and await self.readable(principal, project):
                found.add(project_id)
        return frozenset(found)


def _remembered(
    load: Callable[[_Key], Awaitable[_Value | None]], clock: Callable[[], float]
) -> Remembered[_Key, _Value]:
    return Remembered(load, fresh_seconds=FRESH_SECONDS, stale_seconds=STALE_SECONDS, limit=_LIMIT, clock=clock)


def _account_key(principal: Principal) -> _AccountKey:
    return principal.kind, principal.id, principal.token_id


async def _recall(memory: Remembered[_Key, _Value], key: _Key, *, recent: bool) -> _Value | None:
    return await (memory.fresh(key) if recent else memory.get(key))


def _within(own: Visibility, limit: Grants, permission: Permission) -> Visibility:
    """What an access token leaves of the projects in which its owner has the permission."""
    if permission in limit.everywhere:
        return own
    named = frozenset(project_id for project_id, held in limit.projects if permission in held)
    return Visibility(public=False, project_ids=named if own.everything else own.project_ids & named)


def _nowhere(name: ProjectName) -> ProjectFacts:
    """A project that doesn't exist, to judge by what somebody may do in any project."""
    return ProjectFacts(0, name, public=False, sparse="none", access_version=0)


def _reaching(
    scopes: tuple[TokenScope, ...], repository: RepositoryName, project: ProjectFacts, action: str
) -> TokenScope | None:
    for scope in scopes:
        if scope.repository.value == repository.value and scope.project_id == project.id and action in scope.actions:
            return scope
    return None


def _scope(permission: Permission, repository: RepositoryName) -> str:
    return f"repository:{repository}:{_CHALLENGE_ACTIONS[policy.token_action(permission)]}"


def _dead(caller: Caller, scope: str) -> LongshoreError:
    message = (
        f"The login of {caller.principal.actor} is no longer good: the account was changed, disabled or deleted, or it"
        " expired. Log in again."
    )
    return AuthenticationRequired(message, scope=scope, reason="invalid_token" if caller.scopes is not None else "")


def _refused(caller: Caller, decision: Decision, repository: RepositoryName) -> LongshoreError:
    """One answer for a project that doesn't exist, one that the caller can't see, and one where it may do less."""
    permission = decision.permission
    scope = _scope(permission, repository)
    if decision.rule is Rule.DEAD_ACCOUNT:
        return _dead(caller, scope)
    if decision.rule is Rule.NO_PROJECT and decision.standing.permissions:
        return NameUnknown(
            f"The project {repository.project} doesn't exist. Create it first, then push to {repository}."
        )
    anonymous = caller.principal.kind is PrincipalKind.ANONYMOUS
    if anonymous and caller.scopes is None:
        return AuthenticationRequired(f"Log in to {permission.action} here: {repository}.", scope=scope)
    message = (
        f"requested access to the resource is denied: {permission} on {repository} for {caller.principal.actor}."
        f" Either the project {repository.project} doesn't exist, or the permission is missing there:"
        f" {'log in, or ' if anonymous else ''}ask an administrator of the project."
    )
    if caller.scopes is not None:
        # With this word docker says "denied", podman asks once more with the scope, and containerd stops asking.
        return AuthenticationRequired(message, scope=scope, reason="insufficient_scope")
    return Denied(message)


def _refused_by_api(caller: Caller, what: str) -> LongshoreError:
    if caller.scopes is not None:
        return Unauthorized("Tokens of the registry are for /v2 only. Log in with a name and a password or secret.")
    if caller.principal.kind is PrincipalKind.ANONYMOUS:
        return Unauthorized(f"Log in first: this needs {what}.")
    return Denied(f"{caller.principal.actor} may not do this: it needs {what}. Ask an administrator.")
