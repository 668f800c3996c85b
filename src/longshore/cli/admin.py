# SPDX-License-Identifier: Apache-2.0
"""`longshore admin`: what an operator does at the server itself, beside a running one or without any."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from longshore.access.models import INTERNAL, Permission
from longshore.cli.workbench import ConfigOption, Output, OutputOption, Result, fail, with_database
from longshore.config import Settings
from longshore.database.connection import Database
from longshore.identity.hashing import Passwords
from longshore.identity.models import NewUser, User
from longshore.identity.queries import UserQueries
from longshore.identity.rules import generate_password
from longshore.identity.service import UserService
from longshore.oci.names import ProjectName, RepositoryName
from longshore.opening import periods_of
from longshore.projects.models import Project, Role, Visibility
from longshore.projects.queries import ProjectQueries
from longshore.projects.service import ProjectService
from longshore.reclaiming import reclaim_of
from longshore.registry.project_deletion import ProjectDeletion
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.trashed import Trash, TrashEntry
from longshore.robots.models import NewRobot, RobotGrant
from longshore.robots.secret import RobotSecrets
from longshore.robots.service import RobotService
from longshore.storage.factory import open_store
from longshore.system.secret import load_secret_key

app = typer.Typer(help="Projects, people, robots and background work, at the server itself.", no_args_is_help=True)
project_app = typer.Typer(help="Projects.", no_args_is_help=True)
user_app = typer.Typer(help="People.", no_args_is_help=True)
member_app = typer.Typer(help="Who belongs to a project.", no_args_is_help=True)
robot_app = typer.Typer(help="Robot accounts.", no_args_is_help=True)
repository_app = typer.Typer(help="Repositories.", no_args_is_help=True)
trash_app = typer.Typer(help="What was deleted and can be brought back.", no_args_is_help=True)
reclaim_app = typer.Typer(help="The background work that gives space back.", no_args_is_help=True)
app.add_typer(project_app, name="project")
app.add_typer(user_app, name="user")
app.add_typer(member_app, name="member")
app.add_typer(robot_app, name="robot")
app.add_typer(repository_app, name="repository")
app.add_typer(trash_app, name="trash")
app.add_typer(reclaim_app, name="reclaim")

_PAGE = 1000

Item = TypeVar("Item")

ACTOR = "longshore admin"
"""Who journals and events name for what these commands do."""

_OPERATOR = dataclasses.replace(INTERNAL, name=ACTOR)

NameArgument = Annotated[str, typer.Argument(help="The name.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input; otherwise one is generated.")
]


class SparseMode(Enum):
    """What a manifest may refer to without its being there."""

    NONE = "none"
    CHILDREN = "children"
    ANY = "any"


def _say(output: Output, text: str, value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value) if output is Output.JSON else text)


@project_app.command("create")
def create_project(
    name: NameArgument,
    *,
    public: Annotated[bool, typer.Option("--public", help="Everybody may pull.")] = False,
    sparse: Annotated[
        SparseMode, typer.Option(help="Accept manifests that refer to missing things: children of an index, or any.")
    ] = SparseMode.NONE,
    quota: Annotated[int | None, typer.Option(min=0, help="The most it may hold, in bytes.")] = None,
    owner: Annotated[str, typer.Option(help="The user who will own it.")] = "admin",
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Make a project."""
    parsed = ProjectName.parse(name)

    async def work(_settings: Settings, database: Database) -> int:
        user = await _user(database, owner)
        return await ProjectService(database).create(
            parsed, owner_id=user.id, public=public, sparse=sparse.value, quota_bytes=quota, actor=ACTOR
        )

    project_id = with_database(config, work)
    _say(output, f"Made the project {name}.", {"id": project_id, "name": name})


@project_app.command("update")
def update_project(
    name: NameArgument,
    *,
    public: Annotated[bool | None, typer.Option("--public/--private", help="Whether everybody may pull.")] = None,
    sparse: Annotated[
        SparseMode | None, typer.Option(help="What manifests may lack: nothing, children, or any.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Change what a project allows; what isn't named stays."""
    parsed = ProjectName.parse(name)

    async def work(_settings: Settings, database: Database) -> None:
        project = await _project(database, parsed)
        service = ProjectService(database)
        if public is not None:
            await service.set_public(project.id, public=public, actor=ACTOR)
        if sparse is not None:
            await service.set_sparse(project.id, sparse.value, actor=ACTOR)

    with_database(config, work)
    typer.echo(f"Changed the project {name}.")


@project_app.command("list")
def list_projects(output: OutputOption = Output.TEXT, config: ConfigOption = None) -> None:
    """Show all projects, by name."""

    async def work(_settings: Settings, database: Database) -> list[Project]:
        queries = ProjectQueries(database)
        return await _all(lambda offset: queries.page(Visibility(everything=True), offset=offset, limit=_PAGE))

    for project in with_database(config, work):
        if output is Output.JSON:
            typer.echo(json.dumps({**dataclasses.asdict(project), "name": str(project.name)}))
        else:
            access = "public" if project.public else "private"
            typer.echo(
                f"{project.name!s:30} {access:8} {project.repository_count:>6} repositories {project.used_bytes:>16,} bytes"
            )


@user_app.command("list")
def list_users(output: OutputOption = Output.TEXT, config: ConfigOption = None) -> None:
    """Show all people but the first administrator, by name."""

    async def work(_settings: Settings, database: Database) -> list[User]:
        queries = UserQueries(database)
        return await _all(lambda offset: queries.page(offset=offset, limit=_PAGE))

    for user in with_database(config, work):
        if output is Output.JSON:
            typer.echo(json.dumps(dataclasses.asdict(user)))
        else:
            typer.echo(f"{user.username:30} {user.email or '':40} {'administrator' if user.sysadmin else ''}".rstrip())


@project_app.command("delete")
def delete_project(
    name: NameArgument,
    *,
    with_repositories: Annotated[
        bool, typer.Option("--with-repositories", help="Also when it has repositories, which go with it.")
    ] = False,
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Delete a project, at once for every reader; `trash` brings it back until its time is over."""
    parsed = ProjectName.parse(name)

    async def work(settings: Settings, database: Database) -> str:
        project = await _project(database, parsed)
        deletion = ProjectDeletion(database, periods_of(settings))
        delete = deletion.delete if with_repositories else deletion.delete_empty
        deleted = await delete(project.id, actor=ACTOR, reason="by command")
        return deleted.id

    deletion_id = with_database(config, work)
    text = f"Deleted the project {name}. To bring it back: longshore admin trash restore {deletion_id}"
    _say(output, text, {"name": name, "deletion_id": deletion_id})


@repository_app.command("delete")
def delete_repository(name: NameArgument, output: OutputOption = Output.TEXT, config: ConfigOption = None) -> None:
    """Delete a repository (project/name) with everything in it; `trash` brings it back until its time is over."""
    parsed = RepositoryName.parse(name)

    async def work(settings: Settings, database: Database) -> str:
        project = await _project(database, parsed.project)
        deletion = RepositoryDeletion(database, periods_of(settings))
        return (await deletion.delete(project.id, parsed.path, actor=ACTOR, reason="longshore admin")).id

    deletion_id = with_database(config, work)
    text = f"Deleted the repository {name}. To bring it back: longshore admin trash restore {deletion_id}"
    _say(output, text, {"name": name, "deletion_id": deletion_id})


@trash_app.command("list")
def list_trash(output: OutputOption = Output.TEXT, config: ConfigOption = None) -> None:
    """Show the newest deletions that can be undone, each with its id."""

    async def work(settings: Settings, database: Database) -> list[TrashEntry]:
        return await Trash(database, periods_of(settings)).entries()

    for entry in (entries := with_database(config, work)):
        until = datetime.fromtimestamp(entry.purge_after / 1_000_000, UTC).isoformat(timespec="seconds")
        if output is Output.JSON:
            typer.echo(json.dumps({**dataclasses.asdict(entry), "kind": entry.kind.value}))
        else:
            what = f"{entry.name}@{entry.digest}" if entry.digest else entry.name
            more = f" and {entry.members - 1} more" if entry.members > 1 else ""
            typer.echo(f"{entry.deletion_id}  {entry.kind.value:10} {what}{more}, until {until}")
    if not entries and output is Output.TEXT:
        typer.echo("The trash is empty.")


@trash_app.command("restore")
def restore_from_trash(
    deletion_id: Annotated[str, typer.Argument(help="The id of the deletion, as `trash list` shows it.")],
    config: ConfigOption = None,
) -> None:
    """Undo a deletion: its manifests, tags, repository or project come back."""

    async def work(settings: Settings, database: Database) -> str:
        return await Trash(database, periods_of(settings)).restore(deletion_id, actor=ACTOR)

    typer.echo(f"Brought back {with_database(config, work)}.")


@user_app.command("create")
def create_user(
    name: NameArgument,
    *,
    email: Annotated[str | None, typer.Option(help="The email address.")] = None,
    realname: Annotated[str, typer.Option(help="The name that people know.")] = "",
    sysadmin: Annotated[bool, typer.Option("--sysadmin", help="An administrator of the whole registry.")] = False,
    password_stdin: PasswordStdin = False,
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Make an account for a person."""
    password, generated = _password(given=password_stdin)

    async def work(_settings: Settings, database: Database) -> int:
        user = NewUser(username=name, password=password, email=email, realname=realname or name, sysadmin=sysadmin)
        return await UserService(database, Passwords()).create(user, by=_OPERATOR)

    user_id = with_database(config, work)
    shown = {"password": password} if generated else {}
    text = f"Made the user {name}." + (f" The password, shown this once: {password}" if generated else "")
    _say(output, text, {"id": user_id, "name": name, **shown})


@user_app.command("reset-password")
def reset_password(
    name: NameArgument,
    *,
    password_stdin: PasswordStdin = False,
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Give a person a new password; every login and token with the old one ends within seconds."""
    password, generated = _password(given=password_stdin)

    async def work(_settings: Settings, database: Database) -> None:
        user = await _user(database, name)
        await UserService(database, Passwords()).reset_password(user.id, password, by=_OPERATOR)

    with_database(config, work)
    shown = {"password": password} if generated else {}
    text = f"Reset the password of {name}." + (f" The new one, shown this once: {password}" if generated else "")
    _say(output, text, {"name": name, **shown})


@member_app.command("add")
def add_member(
    project: Annotated[str, typer.Argument(help="The project.")],
    user: Annotated[str, typer.Argument(help="The user.")],
    role: Annotated[
        str, typer.Option(help="projectAdmin, maintainer, developer, guest or limitedGuest.")
    ] = "developer",
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Make a user a member of a project."""
    parsed, chosen = ProjectName.parse(project), Role.parse(role)

    async def work(_settings: Settings, database: Database) -> int:
        found, person = await _project(database, parsed), await _user(database, user)
        return await ProjectService(database).add_member(found.id, person.id, chosen, actor=ACTOR)

    member_id = with_database(config, work)
    value = {"id": member_id, "project": project, "user": user, "role": chosen.title}
    _say(output, f"{user} is {chosen.title} of {project} now.", value)


@robot_app.command("create")
def create_robot(
    name: NameArgument,
    permission: Annotated[
        list[str], typer.Option(help="What it may do, such as repository:pull; may be given several times.")
    ],
    project: Annotated[str | None, typer.Option(help="Its project; without one it is the system's.")] = None,
    namespace: Annotated[
        str, typer.Option(help="For a robot of the system: where it may do it: a project, * for all, / for the system.")
    ] = "*",
    days: Annotated[int, typer.Option(help="How long it lives, -1 for ever.")] = -1,
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Make a robot account; its secret is shown this once."""
    permissions = frozenset(_permission(text) for text in permission)
    grant = RobotGrant(project or namespace, permissions)
    robot = NewRobot(
        name=name,
        grants=(grant,),
        duration_days=days,
        project=None if project is None else ProjectName.parse(project),
    )

    async def work(settings: Settings, database: Database) -> tuple[str, str]:
        service = RobotService(database, RobotSecrets(load_secret_key(settings)))
        created = await service.create(robot, creator=ACTOR)
        return created.shown_name, created.secret

    shown_name, secret = with_database(config, work)
    text = f"Made the robot {shown_name}. Its secret, shown this once: {secret}"
    _say(output, text, {"name": shown_name, "secret": secret})


@reclaim_app.command("status")
def reclaim_status(output: OutputOption = Output.TEXT, config: ConfigOption = None) -> None:
    """Show each step: what waits, what was handled, and whether it is paused."""
    states = _with_reclaim(config, lambda reclaim: reclaim.states())
    if output is Output.JSON:
        typer.echo(json.dumps([dataclasses.asdict(state) for state in states]))
        return
    for state in states:
        paused = "paused" if state.paused else ""
        typer.echo(
            f"{state.name:20} waiting {state.depth:>6}  handled {state.handled:>9}  bytes {state.bytes:>14}  {paused}"
        )


StepArgument = Annotated[str | None, typer.Argument(help="The step, as `status` names it; all of them when left out.")]


@reclaim_app.command("pause")
def reclaim_pause(step: StepArgument = None, config: ConfigOption = None) -> None:
    """Stop giving space back, within seconds, until it is resumed. Pushing, pulling and deleting go on."""

    async def work(reclaim: Reclaim) -> None:
        for name in reclaim.steps if step is None else (step,):
            await reclaim.pause(name)

    _with_reclaim(config, work)
    typer.echo(f"Paused {step or 'all of reclaim'}.")


@reclaim_app.command("resume")
def reclaim_resume(step: StepArgument = None, config: ConfigOption = None) -> None:
    """Go on giving space back."""

    async def work(reclaim: Reclaim) -> None:
        for name in reclaim.steps if step is None else (step,):
            await reclaim.resume(name)

    _with_reclaim(config, work)
    typer.echo(f"Resumed {step or 'all of reclaim'}.")


def _with_reclaim(config: Path | None, work: Callable[[Reclaim], Awaitable[Result]]) -> Result:
    async def run(settings: Settings, database: Database) -> Result:
        store = await open_store(settings.storage)
        try:
            return await work(reclaim_of(database, store, periods_of(settings)))
        finally:
            await store.close()

    return with_database(config, run)


async def _all(page: Callable[[int], Awaitable[tuple[list[Item], int]]]) -> list[Item]:
    """Every row of a list that comes in pages."""
    rows: list[Item] = []
    while True:
        found, _ = await page(len(rows))
        rows.extend(found)
        if len(found) < _PAGE:
            return rows


def _password(*, given: bool) -> tuple[str, bool]:
    if not given:
        return generate_password(), True
    return sys.stdin.readline().rstrip("\r\n"), False


def _permission(text: str) -> Permission:
    resource, _, action = text.partition(":")
    if not resource or not action:
        fail(f"--permission: {text!r} must be resource:action, such as repository:pull.", code=2)
    return Permission(resource, action)


async def _user(database: Database, name: str) -> User:
    user = await UserQueries(database).user_by_name(name)
    if user is None:
        fail(f"There is no user {name!r}.", code=1)
    return user


async def _project(database: Database, name: ProjectName) -> Project:
    project = await ProjectQueries(database).project(name)
    if project is None:
        fail(f"There is no project {str(name)!r}.", code=1)
    return project
