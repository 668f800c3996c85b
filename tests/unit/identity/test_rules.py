# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.identity.hashing import UNUSABLE, Passwords
from longshore.identity.models import NewUser
from longshore.identity.rules import check_new_user, check_password, generate_password
from longshore.oci.errors import BadRequest, ServiceUnavailable


@pytest.mark.parametrize("password", ["Abcdefg1", "A1" + "b" * 126, "pässWort1"])
def test_good_passwords(password: str) -> None:
    """8 to 128 characters with upper case, lower case and a digit are accepted."""
    check_password(password)


@pytest.mark.parametrize("password", ["", "Abcdef1", "A1" + "b" * 127, "abcdefg1", "ABCDEFG1", "Abcdefgh"])
def test_bad_passwords(password: str) -> None:
    """Shorter, longer or simpler ones are refused, and the message doesn't repeat them."""
    with pytest.raises(BadRequest) as caught:
        check_password(password)
    assert not password or password not in caught.value.message


def test_generated_passwords() -> None:
    """Generated passwords keep the rules and differ."""
    passwords = {generate_password() for _ in range(50)}
    assert len(passwords) == 50
    for password in passwords:
        check_password(password)


@pytest.mark.parametrize(
    "user",
    [
        NewUser(username="", password="Secret-1234"),
        NewUser(username="a" * 256, password="Secret-1234"),
        NewUser(username="robot$x", password="Secret-1234"),
        NewUser(username="a:b", password="Secret-1234"),
        NewUser(username=" a", password="Secret-1234"),
        NewUser(username="a\nb", password="Secret-1234"),
        NewUser(username="Anonymous", password="Secret-1234"),
        NewUser(username="dora", password="Secret-1234", email="nonsense"),
        NewUser(username="dora", password="Secret-1234", realname="a#b"),
        NewUser(username="dora", password="Secret-1234", comment="c" * 31),
        NewUser(username="dora", password="weak"),
    ],
)
def test_bad_users(user: NewUser) -> None:
    """Names, addresses and comments that Harbor refuses are refused."""
    with pytest.raises(BadRequest):
        check_new_user(user)


def test_good_user() -> None:
    """An ordinary person is accepted."""
    check_new_user(NewUser(username="dora.m-1@x", password="Secret-1234", email="d@example.com", realname="Dora M"))


async def test_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash is Argon2id and knows its password only; what isn't a hash knows none; the queue is bounded."""
    passwords = Passwords(memory_kib=64)
    stored = await passwords.hash("Secret-1234")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(stored, "Secret-1234")
    for wrong in (stored, None, UNUSABLE, "", "nonsense"):
        assert not await passwords.verify(wrong, "Other-12345")
    for wrong in (None, UNUSABLE):
        assert not await passwords.verify(wrong, "decoy")
    monkeypatch.setattr("longshore.identity.hashing._WAITING", 0)
    with pytest.raises(ServiceUnavailable):
        await passwords.verify(stored, "Secret-1234")
    passwords.close()
