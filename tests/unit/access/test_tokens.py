# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.access.errors import AuthenticationRequired
from longshore.access.keys import derive_key
from longshore.access.models import ANONYMOUS, Principal, PrincipalKind, TokenScope
from longshore.access.tokens import TokenService
from longshore.oci.names import RepositoryName

KEY = b"k" * 32
DORA = Principal(PrincipalKind.USER, 3, "dora", sysadmin=False, access_version=7)
SCOPE = TokenScope(RepositoryName.parse("team/app"), 5, 9, frozenset({"pull", "push"}))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_round_trip() -> None:
    """What is issued comes back: who, in which version, and for which project in which version."""
    tokens = TokenService(KEY)
    issued = tokens.issue(DORA, (SCOPE,), catalog=True)
    caller = tokens.verify(issued.text, "10.0.0.1")
    assert (caller.principal, caller.scopes, caller.source, caller.catalog) == (DORA, (SCOPE,), "10.0.0.1", True)
    assert not tokens.verify(tokens.issue(ANONYMOUS, ()).text, "").catalog


def test_claims() -> None:
    """The claims are those of the distribution project's token specification."""
    text = TokenService(KEY).issue(DORA, (SCOPE,)).text
    claims = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 1800
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("harbor-token-issuer", "dora", "harbor-registry")
    assert claims["access"][0]["actions"] == ["pull", "push"]
    assert (claims["access"][0]["type"], claims["access"][0]["name"]) == ("repository", "team/app")


def test_signature_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was seen before is a look-up."""
    tokens = TokenService(KEY)
    text = tokens.issue(DORA, (SCOPE,)).text
    first = tokens.verify(text, "")
    monkeypatch.setattr(jwt, "decode", lambda *_args, **_options: pytest.fail("looked into again"))
    assert tokens.verify(text, "") == first


def test_end() -> None:
    """A token ends at its time, also when it is remembered; so does a refresh token."""
    clock = Clock()
    tokens = TokenService(KEY, lifetime_seconds=60, refresh_lifetime_seconds=90, wall=clock)
    text, refresh = tokens.issue(DORA, ()).text, tokens.issue_refresh(DORA)
    tokens.verify(text, "")
    assert tokens.verify_refresh(refresh) == DORA
    clock.now += 60
    for service in (tokens, TokenService(KEY, wall=clock)):
        with pytest.raises(AuthenticationRequired) as caught:
            service.verify(text, "")
        assert caught.value.reason == "invalid_token"
    clock.now += 30
    with pytest.raises(AuthenticationRequired):
        tokens.verify_refresh(refresh)


def test_clocks_that_differ() -> None:
    """A token of a replica whose clock is half a minute ahead is good; ten minutes aren't."""
    clock = Clock()
    text = TokenService(KEY, wall=lambda: clock.now + 30).issue(DORA, ()).text
    assert TokenService(KEY, wall=clock).verify(text, "").principal == DORA
    text = TokenService(KEY, wall=lambda: clock.now + 600).issue(DORA, ()).text
    with pytest.raises(AuthenticationRequired):
        TokenService(KEY, wall=clock).verify(text, "")


def test_a_clock_that_is_put_back_makes_no_token_live_longer() -> None:
    """A token that was seen before ends when its time has passed, whatever the clock on the wall says."""
    wall, running = Clock(), Clock()
    tokens = TokenService(KEY, lifetime_seconds=600, wall=wall, clock=running)
    text = tokens.issue(DORA, ()).text
    wall.now += 400
    running.now += 400
    tokens.verify(text, "")
    wall.now -= 300
    running.now += 199
    tokens.verify(text, "")
    running.now += 1
    for _ in range(2):
        with pytest.raises(AuthenticationRequired):
            tokens.verify(text, "")


def test_foreign_tokens() -> None:
    """Tokens of another key, audience or algorithm, without signature, and refresh tokens open nothing."""
    tokens = TokenService(KEY)
    claims = jwt.decode(tokens.issue(DORA, ()).text, options={"verify_signature": False})
    key = derive_key(KEY, "registry-token")
    for bad in (
        TokenService(b"x" * 32).issue(DORA, ()).text,
        tokens.issue_refresh(DORA),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, key * 2, algorithm="HS512"),
        jwt.encode(claims | {"aud": "another"}, key, algorithm="HS256"),
        jwt.encode(claims | {"iss": "another"}, key, algorithm="HS256"),
        jwt.encode({name: value for name, value in claims.items() if name != "exp"}, key, algorithm="HS256"),
        jwt.encode(claims | {"longshore": {}}, key, algorithm="HS256"),
        jwt.encode(claims | {"access": [{"type": "repository"}]}, key, algorithm="HS256"),
        "a" * 20_000,
    ):
        with pytest.raises(AuthenticationRequired):
            tokens.verify(bad, "")
    with pytest.raises(AuthenticationRequired):
        tokens.verify_refresh(tokens.issue(DORA, ()).text)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_nonsense(text: str) -> None:
    """Whatever is sent as a token is refused with 401 and never fails otherwise."""
    with pytest.raises(AuthenticationRequired):
        TokenService(KEY).verify(text, "")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many tokens are remembered: the oldest go, an eighth of all at once."""
    monkeypatch.setattr("longshore.access.tokens._REMEMBERED", 16)
    tokens, issuer = TokenService(KEY), TokenService(KEY)
    texts = [issuer.issue(replace(DORA, id=number), ()).text for number in range(19)]
    for text in texts[:17]:
        tokens.verify(text, "")
    assert list(tokens._known) == texts[2:17]
    for text in texts[17:]:
        tokens.verify(text, "")
    assert list(tokens._known) == [*texts[4:17], *texts[17:]]


def test_a_stream_of_new_tokens_forgets_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the memory full, a new token looks at none of the remembered ones, but for one in hundreds."""
    looked = []

    class Watched(dict[str, Any]):
        def __iter__(self) -> Iterator[str]:
            looked.append("walked")
            return super().__iter__()

        def items(self) -> Any:
            looked.append("walked")
            return super().items()

    monkeypatch.setattr("longshore.access.tokens._REMEMBERED", 800)
    tokens, issuer = TokenService(KEY), TokenService(KEY)
    tokens._known = Watched()
    for number in range(1_600):
        tokens.verify(issuer.issue(replace(DORA, id=number), ()).text, "")
    assert 0 < len(looked) <= 1_600 // 100


def test_the_same_is_issued_again_for_some_seconds() -> None:
    """Who asks for the same within ten seconds gets the same token, which is over when it says; all else gets another."""
    clock = Clock()
    tokens = TokenService(KEY, lifetime_seconds=100, wall=clock)
    first = tokens.issue(DORA, (SCOPE,))
    clock.now += 9
    again = tokens.issue(DORA, (SCOPE,))
    assert (again.text, again.issued_at, again.expires_in) == (first.text, first.issued_at, 91)
    others = [
        tokens.issue(replace(DORA, access_version=8), (SCOPE,)),
        tokens.issue(DORA, (replace(SCOPE, project_version=10),)),
        tokens.issue(DORA, (replace(SCOPE, actions=frozenset({"pull"})),)),
        tokens.issue(DORA, (SCOPE,), catalog=True),
    ]
    clock.now += 1
    others.append(tokens.issue(DORA, (SCOPE,)))
    assert len({first.text, *(other.text for other in others)}) == 6
    assert others[-1].expires_in == 100


def test_long_tokens_are_not_remembered() -> None:
    """A stranger who asks for tokens with many long names can't fill the memory with them; they work all the same."""
    tokens = TokenService(KEY)
    scopes = [
        TokenScope(RepositoryName.parse(f"library/{'a' * 150}{number}"), 1, 1, frozenset({"pull"}))
        for number in range(40)
    ]
    text = tokens.issue(ANONYMOUS, scopes).text
    assert tokens.verify(text, "") == tokens.verify(text, "")
    assert not tokens._known
