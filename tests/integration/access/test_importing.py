# SPDX-License-Identifier: Apache-2.0
"""People and robots of Harbor: with their numbers, their passwords and their secrets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from longshore.access.errors import WrongCredentials
from longshore.access.imported import imported_hash
from longshore.access.models import REPOSITORY_PULL, Grants
from longshore.database.statement import Statement
from longshore.identity.importing import UserImport
from longshore.identity.models import ImportedUser
from longshore.oci.errors import BadRequest, Conflict, NotFound
from longshore.robots.importing import ImportedRobot, RobotImport
from longshore.robots.models import NEVER

if TYPE_CHECKING:
    from tests.integration.access.conftest import World

SALT = "b5n1a6xAwYZZ0J6cqYn0XKO4wKjsGq5l"
OLD = "Harbor12345"
AT = 1_700_000_000_000_000
VARIANTS = {"sha1": ("sha1", 4_096), "sha256": ("sha256", 4_096), "pbkdf2_sha256": ("sha256", 600_000)}


def _harbor(version: str, secret: str = OLD) -> str:
    """What Harbor's table holds."""
    algorithm, iterations = VARIANTS[version]
    return hashlib.pbkdf2_hmac(algorithm, secret.encode(), SALT.encode(), iterations, 16).hex()


def _user(number: int, name: str, password_hash: str | None) -> ImportedUser:
    return ImportedUser(
        id=number,
        username=name,
        password_hash=password_hash,
        email=f"{name}@test.test",
        realname=name,
        comment="",
        sysadmin=False,
        created_at=AT,
        updated_at=AT,
    )


def _robot(number: int, name: str, project_id: int | None = None) -> ImportedRobot:
    return ImportedRobot(
        id=number,
        name=name,
        project_id=project_id,
        grants=Grants(everywhere=frozenset({REPOSITORY_PULL})),
        secret_hash=imported_hash("sha256", SALT, _harbor("sha256")),
        description="",
        disabled=False,
        duration_days=NEVER,
        expires_at=None,
        creator="admin",
        created_at=AT,
        updated_at=AT,
    )


async def _stored(world: World, table: str, column: str, number: int) -> tuple[str, int]:
    statement = Statement(f"SELECT {column}, access_version FROM {table} WHERE id = :id")
    row = await world.database.read(lambda connection: connection.one(statement, id=number))
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize("version", VARIANTS)
async def test_passwords(world: World, version: str) -> None:
    """A password of Harbor's logs in and gets our own form by that; nothing else logs in, and no login ends."""
    await UserImport(world.database).add(_user(40, "dora", imported_hash(version, SALT, _harbor(version))))
    with pytest.raises(WrongCredentials):
        await world.principal("dora", "Wrong-1234")
    assert (await _stored(world, "users", "password_hash", 40))[0].startswith("pbkdf2:")
    assert (await world.principal("dora", OLD)).id == 40
    stored, access_version = await _stored(world, "users", "password_hash", 40)
    assert (stored.startswith("$argon2id$"), access_version) == (True, 1)
    world.wait(1_000)
    assert (await world.principal("dora", OLD)).id == 40
    assert await _stored(world, "users", "password_hash", 40) == (stored, 1)


async def test_numbers(world: World) -> None:
    """An imported user keeps the number, whose successors are given out after it, in whatever order they come."""
    imports = UserImport(world.database)
    for number, name in ((900, "late"), (40, "early")):
        await imports.add(_user(number, name, None))
    assert await world.user("next") == 901
    _, total = await world.user_queries.page()
    assert total == 3
    shown = await world.user_queries.user(40)
    assert shown is not None
    assert (shown.username, shown.created_at) == ("early", AT)
    for user in (_user(40, "other", None), _user(41, "early", None)):
        with pytest.raises(Conflict):
            await imports.add(user)
    for user in (_user(1, "other", None), _user(50, "a$b", None)):
        with pytest.raises(BadRequest):
            await imports.add(user)
    with pytest.raises(WrongCredentials):
        await world.principal("early", "")


async def test_robots(world: World) -> None:
    """A robot keeps number and secret, which gets our own form at its first use."""
    imports = RobotImport(world.database)
    project_id = await world.project("demo")
    await imports.add(_robot(70, "ci"))
    await imports.add(_robot(71, "ci", project_id))
    with pytest.raises(WrongCredentials):
        await world.principal("robot$ci", "Wrong-1234")
    assert (await world.principal("robot$ci", OLD)).id == 70
    stored, access_version = await _stored(world, "robots", "secret_hash", 70)
    assert (len(stored), access_version) == (64, 1)
    assert (await world.principal("robot$ci", OLD)).id == 70
    assert (await world.principal("robot$demo+ci", OLD)).id == 71
    with pytest.raises(Conflict):
        await imports.add(_robot(72, "ci"))
    with pytest.raises(NotFound):
        await imports.add(_robot(73, "ci", 999))
    with pytest.raises(BadRequest):
        await imports.add(_robot(0, "other"))
