# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.access.models import Grants, Permission
from longshore.identity.access_tokens import scope_from_json, scope_to_json
from longshore.identity.token_secret import PREFIX, TokenSecrets, is_access_token

_PERMISSIONS = st.frozensets(
    st.builds(Permission, st.from_regex("[a-z-]+", fullmatch=True), st.sampled_from(["pull", "list"]))
)


def test_tokens_are_recognised() -> None:
    """Every token has the prefix and a checksum; one wrong character and it is none."""
    for _ in range(50):
        token = TokenSecrets.generate()
        assert token.startswith(PREFIX)
        assert is_access_token(token)
        for index in (4, 20, 39, 40, 45):
            wrong = "A" if token[index] != "A" else "B"
            assert not is_access_token(token[:index] + wrong + token[index + 1 :])


@given(st.text())
def test_passwords_are_no_tokens(text: str) -> None:
    """A text isn't taken for a token, whatever it begins with."""
    assert not is_access_token(text)
    assert not is_access_token(PREFIX + text)


def test_hashes_depend_on_the_key() -> None:
    """The same token is stored differently by every instance."""
    token = TokenSecrets.generate()
    assert TokenSecrets(b"a" * 32).hash(token) != TokenSecrets(b"b" * 32).hash(token)
    assert TokenSecrets(b"a" * 32).hash(token) == TokenSecrets(b"a" * 32).hash(token)


@given(_PERMISSIONS, _PERMISSIONS, st.dictionaries(st.integers(1, 2**62), _PERMISSIONS))
def test_limits_come_back(
    system: frozenset[Permission], everywhere: frozenset[Permission], projects: dict[int, frozenset[Permission]]
) -> None:
    """What the database holds of a limit is the limit."""
    limit = Grants(system, everywhere, tuple(sorted(projects.items(), key=lambda item: str(item[0]))))
    assert scope_from_json(scope_to_json(limit)) == limit
