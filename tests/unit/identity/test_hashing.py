# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from longshore.identity.hashing import UNUSABLE, Passwords, _decoy


def test_decoy_costs_what_a_password_costs() -> None:
    """Checking the password of nobody is the same work as that of somebody, and comes to its end the same way."""
    hasher = PasswordHasher(memory_cost=64)
    assert extract_parameters(_decoy(hasher)) == extract_parameters(hasher.hash("Secret-1234"))
    assert _decoy(hasher) != _decoy(hasher)
    with pytest.raises(VerifyMismatchError):
        hasher.verify(_decoy(hasher), "Secret-1234")


@pytest.mark.parametrize("stored", [None, UNUSABLE, "", "$argon2id$broken"])
async def test_nobody_has_a_password(stored: str | None) -> None:
    """No password is that of a row that can't log in, of a name that nobody has, or of a hash that can't be read."""
    passwords = Passwords(memory_kib=64)
    for password in ("", UNUSABLE, "decoy", "Secret-1234"):
        assert not await passwords.verify(stored, password)
    passwords.close()
