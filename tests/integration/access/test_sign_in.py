# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from longshore.access.errors import WrongCredentials
from longshore.access.models import Role
from longshore.access.throttle import FREE_FAILURES, Throttle
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.identity.first_start import ensure_admin
from longshore.identity.hashing import Passwords
from longshore.identity.models import ADMIN_ID, NewUser
from longshore.identity.queries import UserQueries
from longshore.listing.models import Fuzzy, Wanted
from longshore.oci.errors import BadRequest, Conflict, Denied, NotFound, TooManyRequests
from longshore.oci.names import ProjectName
from longshore.projects.queries import ProjectQueries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.access.conftest import WatchedDatabase, World

HERE = "10.0.0.1"
THERE = "192.0.2.7"


async def _fail(world: World, count: int, source: str = THERE, name: str = "dora") -> None:
    for number in range(count):
        with pytest.raises(WrongCredentials):
            await world.sign_in.authenticate(name, f"guess-{number}", source)


async def _block(world: World) -> None:
    """Fails until the delay is about a minute, so that a slow machine doesn't see it end."""
    await _fail(world, FREE_FAILURES + 1)
    for _ in range(6):
        await Throttle(world.database).failed(THERE, "dora")


async def test_several_first_starts(empty: WatchedDatabase) -> None:
    """Of several first starts at once exactly one makes the administrator and learns the password, which works."""
    passwords = Passwords(memory_kib=64)
    told = await asyncio.gather(*(ensure_admin(empty, passwords) for _ in range(8)))
    (password,) = [each for each in told if each is not None]
    assert await ensure_admin(empty, passwords) is None
    stored = await empty.read(lambda c: c.value(Statement("SELECT password_hash FROM users WHERE id = 1")))
    assert await passwords.verify(stored, password)
    library = await ProjectQueries(empty).project(ProjectName("library"))
    assert library is not None
    assert (library.id, library.public, library.owner_name) == (1, True, "admin")
    assert await UserQueries(empty).user(2) is None
    passwords.close()


async def test_first_starts_of_several_processes(sqlite_template: Path, tmp_path: Path) -> None:
    """The same with every start having the database open for itself."""
    path = tmp_path / "longshore.db"
    path.write_bytes(sqlite_template.read_bytes())
    passwords = Passwords(memory_kib=64)
    databases = [SQLiteDatabase(path) for _ in range(5)]
    told = await asyncio.gather(*(ensure_admin(database, passwords) for database in databases))
    assert len([each for each in told if each is not None]) == 1
    for database in databases:
        await database.close()
    passwords.close()


async def test_given_password_of_the_first_start(empty: WatchedDatabase) -> None:
    """A given password isn't told again, and a weak one is refused before anything is made."""
    passwords = Passwords(memory_kib=64)
    with pytest.raises(BadRequest):
        await ensure_admin(empty, passwords, password="weak")
    assert await UserQueries(empty).user(ADMIN_ID) is None
    assert await ensure_admin(empty, passwords, password="Strong-12345") is None
    assert await UserQueries(empty).user(ADMIN_ID) is not None
    passwords.close()


async def test_wrong_and_unknown_look_alike(world: World) -> None:
    """A wrong password, an unknown name, the anonymous row and an empty password get the same answer."""
    await world.user("dora")
    messages = set()
    for name, password in (("dora", "wrong"), ("nobody", "wrong"), ("anonymous", "!"), ("dora", ""), ("", "")):
        with pytest.raises(WrongCredentials) as caught:
            await world.sign_in.authenticate(name, password, HERE)
        messages.add(caught.value.message)
    assert len(messages) == 1


async def test_login_by_email(world: World) -> None:
    """An email address serves as a name, and the principal has the user's own name."""
    await world.users.create(NewUser(username="dora", password="Secret-1234", email="dora@example.com"))
    assert (await world.principal("dora@example.com")).actor == "dora"


async def test_a_stranger_locks_nobody(world: World) -> None:
    """Guessing from one source blocks that source for that account only, with a growing delay."""
    await world.user("dora")
    await world.user("erik")
    await _block(world)
    for longest in (64, 128, 256, 300, 300):
        with pytest.raises(TooManyRequests) as caught:
            await world.principal("dora", source=THERE)
        assert longest / 2 < caught.value.retry_after <= longest
        await Throttle(world.database).failed(THERE, "dora")
    await world.principal("dora", source=HERE)
    await world.principal("erik", source=THERE)


async def test_block_ends(world: World) -> None:
    """After the delay the right password gets in and the failures are forgotten."""
    await world.user("dora")
    await _block(world)
    with pytest.raises(TooManyRequests):
        await world.principal("dora", source=THERE)
    over = Statement("UPDATE sign_in_failures SET blocked_until = {now}")
    await world.database.write(lambda transaction: transaction.execute(over))
    await world.principal("dora", source=THERE)
    count = Statement("SELECT count(*) FROM sign_in_failures")
    assert await world.database.read(lambda connection: connection.value(count)) == 0


async def test_repeating_one_wrong_password_is_no_guessing(world: World) -> None:
    """A machine with an old password or secret doesn't block the others behind the same address."""
    await world.user("dora")
    for _ in range(FREE_FAILURES * 4):
        with pytest.raises(WrongCredentials):
            await world.principal("dora", "Old-Secret-1", THERE)
        with pytest.raises(WrongCredentials):
            await world.principal("robot$ci", "Old-Secret-1", THERE)
    await world.principal("dora", source=THERE)


async def test_password_is_hashed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty logins at once with one password are one check, later ones none, and a new password ends the old at once."""
    user = await world.user("dora")
    verify, checks = world.passwords.verify, []

    async def counted(stored: str | None, password: str) -> bool:
        checks.append(password)
        return await verify(stored, password)

    monkeypatch.setattr(world.passwords, "verify", counted)
    await asyncio.gather(*(world.principal("dora") for _ in range(50)))
    await world.principal("dora")
    assert len(checks) == 1
    await world.users.reset_password(user, "Other-12345")
    with pytest.raises(WrongCredentials):
        await world.principal("dora")
    await world.principal("dora", "Other-12345")
    world.wait(301)
    await world.principal("dora", "Other-12345")
    assert checks == ["Secret-1234", "Secret-1234", "Other-12345", "Other-12345"]


async def test_users(world: World) -> None:
    """Users are made, listed by name, changed and deleted; a name is free again at once; memberships end."""
    first = await world.user("dora")
    with pytest.raises(Conflict):
        await world.user("dora")
    project = await world.project("team")
    version = (await world.project_queries.facts("team") or pytest.fail("no project")).access_version
    await world.users.delete(first)
    second = await world.member(project, "dora", Role.GUEST)
    assert second > first
    await world.users.delete(second)
    assert await world.project_queries.members(project) == ([], 0)
    assert (await world.project_queries.facts("team") or pytest.fail("no project")).access_version == version + 2
    for name in ("erik", "Anna", "bob"):
        await world.user(name)
    page, total = await world.user_queries.page(limit=2)
    assert [user.username for user in page] == ["Anna", "bob"]
    assert total == 3
    assert [user.username for user in (await world.user_queries.page(offset=2))[0]] == ["erik"]
    assert (await world.user_queries.page(Wanted({"username": Fuzzy("ANN")})))[1] == 1
    assert (await world.user_queries.page(Wanted({"username": Fuzzy("_")})))[1] == 0


async def test_users_that_stay(world: World) -> None:
    """The first administrator can't be deleted or lose the rank, nobody deletes the own account, unknown ones are 404."""
    boss = await world.user("boss", sysadmin=True)
    by = await world.principal("boss")
    for user in (ADMIN_ID, boss):
        with pytest.raises(Denied):
            await world.users.delete(user, by=by)
    with pytest.raises(Denied):
        await world.users.set_sysadmin(ADMIN_ID, sysadmin=False)
    with pytest.raises(NotFound):
        await world.users.delete(4711)
    with pytest.raises(NotFound):
        await world.users.reset_password(2, "Secret-1234")


async def test_changing_the_own_password(world: World) -> None:
    """It takes the old one, and another one than the old."""
    user = await world.user("dora")
    with pytest.raises(Denied, match="Current password is incorrect"):
        await world.users.change_password(user, old="wrong", new="Other-12345")
    with pytest.raises(BadRequest, match="identical"):
        await world.users.change_password(user, old="Secret-1234", new="Secret-1234")
    await world.users.change_password(user, old="Secret-1234", new="Other-12345")
    await world.principal("dora", "Other-12345")


async def test_guessing_from_one_address_keeps_nobody_else_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever floods the registry with wrong logins is told to wait; a right password from elsewhere gets its turn."""
    await world.user("alice")
    verify = world.passwords._verify

    def slow(stored: str, password: str) -> bool:
        # As long as a real check takes: the flood has to meet others that are waiting, however it trickles in.
        time.sleep(0.05)
        return verify(stored, password)

    monkeypatch.setattr(world.passwords, "_verify", slow)
    flood = [
        asyncio.create_task(world.sign_in.authenticate(f"nobody{number}", "wrong", "10.9.9.9")) for number in range(200)
    ]
    await asyncio.sleep(0)
    assert (await world.principal("alice", source="10.0.0.1")).name == "alice"
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(outcome, TooManyRequests) for outcome in outcomes) > 100
    assert all(isinstance(outcome, TooManyRequests | WrongCredentials) for outcome in outcomes)
