# SPDX-License-Identifier: Apache-2.0
"""What names and passwords of people must look like: Harbor's rules."""

from __future__ import annotations

import re
import secrets
import string
from typing import Final

from longshore.identity.models import NewUser
from longshore.oci.errors import BadRequest

_BANNED: Final = ',"~#%$'
_RESERVED: Final = frozenset({"anonymous", "longshore"})
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_LONGEST_NAME: Final = 255
_LONGEST_COMMENT: Final = 30
_SHORTEST_PASSWORD: Final = 8
_LONGEST_PASSWORD: Final = 128
_GENERATED_LENGTH: Final = 24


def check_password(password: str) -> None:
    """Accepts a password of 8 to 128 characters with an upper-case letter, a lower-case letter and a digit.

    Raises:
        BadRequest: it is another one.
    """
    if (
        not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD
        or re.search("[a-z]", password) is None
        or re.search("[A-Z]", password) is None
        or re.search("[0-9]", password) is None
    ):
        raise BadRequest(
            f"The password must have {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters, among them at least one"
            " upper-case letter, one lower-case letter and one digit."
        )


def check_new_user(user: NewUser) -> None:
    """Accepts what an account can be made of.

    Raises:
        BadRequest: something isn't acceptable; the message tells what.
    """
    name = user.username
    if not name or len(name) > _LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise BadRequest(f"A username has 1 to {_LONGEST_NAME} printable characters and no blanks around it.")
    for text, what in ((name, "username"), (user.realname, "real name")):
        banned = next((character for character in text if character in _BANNED or ord(character) < 32), None)
        if banned is not None:
            raise BadRequest(f"The {what} has the character {banned!a}. None of {_BANNED} may be in it.")
    if ":" in name:
        raise BadRequest("The username has a colon, which no client could send (RFC 7617). Choose one without.")
    if name.lower() in _RESERVED:
        raise BadRequest(f"The username {name} is reserved. Choose another one.")
    if len(user.realname) > _LONGEST_NAME:
        raise BadRequest(f"The real name has {len(user.realname)} characters: {_LONGEST_NAME} are the most.")
    if len(user.comment) > _LONGEST_COMMENT:
        raise BadRequest(f"The comment has {len(user.comment)} characters: {_LONGEST_COMMENT} are the most.")
    if user.email is not None and (len(user.email) > _LONGEST_NAME or _EMAIL.fullmatch(user.email) is None):
        raise BadRequest("The email address isn't one: it should look like name@example.com.")
    check_password(user.password)


def generate_password() -> str:
    """A random password that keeps the rules, about 140 bits."""
    alphabet = string.ascii_letters + string.digits
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(_GENERATED_LENGTH))
        try:
            check_password(password)
        except BadRequest:
            continue
        return password
