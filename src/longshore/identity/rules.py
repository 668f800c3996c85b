# SPDX-License-Identifier: Apache-2.0
"""What names and passwords of people must look like: Harbor's rules."""

from __future__ import annotations

import re
import secrets
import string
import unicodedata
from typing import Final

from longshore.identity.models import NewUser, Profile
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
    check_account(user.username, user.email, user.realname, user.comment)
    check_password(user.password)


def check_account(username: str, email: str | None, realname: str, comment: str) -> None:
    """Accepts what an account is made of besides its password.

    Raises:
        BadRequest: something isn't acceptable; the message tells what.
    """
    _check_username(username)
    _check_person(email, realname, comment)


def check_profile(profile: Profile) -> None:
    """Accepts what a person can tell of itself.

    Raises:
        BadRequest: something isn't acceptable; the message tells what.
    """
    if not profile.realname:
        raise BadRequest("A user needs a real name (realname).")
    _check_person(profile.email, profile.realname, profile.comment)


def _check_username(name: str) -> None:
    if not name or len(name) > _LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise BadRequest(f"A username has 1 to {_LONGEST_NAME} printable characters and no blanks around it.")
    _check_characters(name, "username")
    if ":" in name:
        raise BadRequest("The username has a colon, which no client could send (RFC 7617). Choose one without.")
    plain = unicodedata.normalize("NFKC", name)
    if plain != name:
        # Two names that look the same would be two people, and the same name typed on two machines might be no one.
        raise BadRequest(
            f"The username has characters that have a plainer form. Choose {plain[:_LONGEST_NAME]!a} instead."
        )
    if name.lower() in _RESERVED:
        raise BadRequest(f"The username {name} is reserved. Choose another one.")


def _check_person(email: str | None, realname: str, comment: str) -> None:
    _check_characters(realname, "real name")
    if len(realname) > _LONGEST_NAME:
        raise BadRequest(f"The real name has {len(realname)} characters: {_LONGEST_NAME} are the most.")
    if len(comment) > _LONGEST_COMMENT:
        raise BadRequest(f"The comment has {len(comment)} characters: {_LONGEST_COMMENT} are the most.")
    if email is not None and (len(email) > _LONGEST_NAME or _EMAIL.fullmatch(email) is None or not email.isprintable()):
        raise BadRequest("The email address isn't one: it should look like name@example.com.")


def _check_characters(text: str, what: str) -> None:
    banned = next((character for character in text if character in _BANNED or ord(character) < 32), None)
    if banned is not None:
        raise BadRequest(f"The {what} has the character {banned!a}. None of {_BANNED} may be in it.")


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
