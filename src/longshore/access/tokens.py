# SPDX-License-Identifier: Apache-2.0
"""Tokens of the registry: JSON web tokens, signed with a key of the instance, looked into once and then remembered.

The claims are those of the distribution project's token specification; what Longshore adds is in `longshore` (who) and in each
entry of `access` (which project, in which version).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import jwt

from longshore.access.errors import AuthenticationRequired
from longshore.access.keys import derive_key
from longshore.access.models import Caller, Principal, PrincipalKind, TokenScope
from longshore.oci.errors import LongshoreError
from longshore.oci.names import RepositoryName

ISSUER: Final = "harbor-token-issuer"
SERVICE: Final = "harbor-registry"
_ALGORITHM: Final = "HS256"
_REFRESH_AUDIENCE: Final = "longshore-refresh"
_REQUIRED: Final = ("exp", "iat", "nbf", "iss", "aud", "jti", "longshore")
# The clocks of replicas differ a little: a token that another one issued just now isn't refused for it.
_LEEWAY_SECONDS: Final = 60
_LONGEST: Final = 16_384
_REMEMBERED: Final = 8_192
_SHARE_FORGOTTEN: Final = 8
# How long the same is issued to who asks for the same, and for how many.
_SAME_SECONDS: Final = 10
_SAME: Final = 2_048
# A stranger may ask for tokens with many long scopes: remembered, thousands of them would fill the memory.
_LONGEST_REMEMBERED: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token as its client gets it; `issued_at` is in seconds since 1970, `expires_in` in seconds."""

    text: str
    issued_at: int
    expires_in: int


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    scopes: tuple[TokenScope, ...]
    catalog: bool
    expires_at: float
    ends_at: float


class TokenService:
    """Issues and verifies tokens.

    Args:
        secret_key: The instance's secret key, the same in every process and replica.
        lifetime_seconds: How long a token opens what it names.
        refresh_lifetime_seconds: How long a refresh token can be changed into tokens, if its account stays as it is.
        wall: Seconds since 1970.
        clock: Seconds, monotonic: a clock that is put back makes no token live longer.
    """

    def __init__(
        self,
        secret_key: bytes,
        *,
        lifetime_seconds: int = 1800,
        refresh_lifetime_seconds: int = 365 * 86_400,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = derive_key(secret_key, "registry-token")
        self._refresh_key = derive_key(secret_key, "refresh-token")
        self._lifetime = lifetime_seconds
        self._refresh_lifetime = refresh_lifetime_seconds
        self._wall = wall
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._issued: dict[tuple[Principal, tuple[TokenScope, ...], bool, int], IssuedToken] = {}

    def issue(
        self,
        principal: Principal,
        scopes: Sequence[TokenScope],
        *,
        catalog: bool = False,
        lifetime_seconds: int | None = None,
    ) -> IssuedToken:
        """A token that opens exactly these scopes, and the catalog if wanted, to the principal.

        Jobs that start together ask for the same again and again: for some seconds they get the same token.
        """
        lifetime = self._lifetime if lifetime_seconds is None else lifetime_seconds
        now = int(self._wall())
        asked = (principal, tuple(scopes), catalog, lifetime)
        issued = self._issued.get(asked)
        if issued is not None and 0 <= now - issued.issued_at < _SAME_SECONDS:
            return replace(issued, expires_in=issued.expires_in - (now - issued.issued_at))
        access: list[dict[str, Any]] = [
            {
                "type": "repository",
                "name": scope.repository.value,
                "actions": sorted(scope.actions),
                "project": scope.project_id,
                "version": scope.project_version,
            }
            for scope in scopes
        ]
        if catalog:
            access.append({"type": "registry", "name": "catalog", "actions": ["*"]})
        claims = self._claims(principal, SERVICE, now, lifetime) | {"access": access}
        text = jwt.encode(claims, self._key, algorithm=_ALGORITHM)
        # Most come back to the process that made them, at once: it needn't look into its own work.
        known = _Known(principal, tuple(scopes), catalog, now + lifetime, self._clock() + lifetime)
        self._remember(text, known)
        issued = IssuedToken(text=text, issued_at=now, expires_in=lifetime)
        if len(self._issued) >= _SAME:
            self._issued.clear()
        if len(text) <= _LONGEST_REMEMBERED:
            self._issued[asked] = issued
        return issued

    def issue_refresh(self, principal: Principal) -> str:
        """A token that gets others without a password, until the account changes."""
        claims = self._claims(principal, _REFRESH_AUDIENCE, int(self._wall()), self._refresh_lifetime)
        return jwt.encode(claims, self._refresh_key, algorithm=_ALGORITHM)

    def verify(self, text: str, source: str) -> Caller:
        """The caller that brings the token. Whether its account is still good is `AccessService`'s to say.

        Raises:
            AuthenticationRequired: the token isn't one of ours, or is over.
        """
        known = self._known.get(text)
        if known is None:
            known = self._examine(text)
            self._remember(text, known)
        if known.expires_at <= self._wall() or known.ends_at <= self._clock():
            raise _invalid("The token is over. Ask for a new one.")
        return Caller(known.principal, known.scopes, source, known.catalog)

    def verify_refresh(self, text: str) -> Principal:
        """The principal that a refresh token was issued to, as it was then.

        Raises:
            AuthenticationRequired: it isn't one of ours, or is over.
        """
        return _principal(self._decode(text, self._refresh_key, _REFRESH_AUDIENCE))

    def _claims(self, principal: Principal, audience: str, now: int, lifetime: int) -> dict[str, Any]:
        return {
            "iss": ISSUER,
            "sub": "" if principal.kind is PrincipalKind.ANONYMOUS else principal.name,
            "aud": audience,
            "exp": now + lifetime,
            "nbf": now,
            "iat": now,
            "jti": secrets.token_urlsafe(12),
            "longshore": {
                "kind": principal.kind.value,
                "id": principal.id,
                "name": principal.name,
                "sysadmin": principal.sysadmin,
                "version": principal.access_version,
                **({"token": principal.token_id} if principal.token_id else {}),
            },
        }

    def _decode(self, text: str, key: bytes, audience: str) -> Mapping[str, Any]:
        if len(text) > _LONGEST:
            raise _invalid(f"The token is longer than {_LONGEST} characters.")
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                key,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=ISSUER,
                # The times are checked below, by the clock that the rest of this service goes by.
                options={"require": list(_REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            # Why is told to nobody: it isn't a token of this registry.
            raise _invalid("The token isn't valid for this registry. Log in again.") from None
        now = self._wall()
        if claims["nbf"] > now + _LEEWAY_SECONDS:
            raise _invalid("The token isn't good yet. Look at the clocks of the registry's servers.")
        if claims["exp"] <= now:
            raise _invalid("The token is over. Ask for a new one.")
        return claims

    def _examine(self, text: str) -> _Known:
        claims = self._decode(text, self._key, SERVICE)
        scopes: list[TokenScope] = []
        catalog = False
        try:
            for entry in claims["access"]:
                if entry["type"] == "registry":
                    catalog = True
                    continue
                name = RepositoryName.parse(entry["name"])
                scopes.append(TokenScope(name, entry["project"], entry["version"], frozenset(entry["actions"])))
        except (LookupError, TypeError, LongshoreError):
            raise _invalid("The token was made by another release of Longshore. Log in again.") from None
        ends_at = self._clock() + claims["exp"] - self._wall()
        return _Known(_principal(claims), tuple(scopes), catalog, claims["exp"], ends_at)

    def _remember(self, text: str, known: _Known) -> None:
        if len(text) > _LONGEST_REMEMBERED:
            return
        if len(self._known) >= _REMEMBERED:
            # The oldest, which are the first to be over: many at once, so that a stream of new tokens doesn't pay for each.
            for oldest in list(islice(self._known, max(1, _REMEMBERED // _SHARE_FORGOTTEN))):
                del self._known[oldest]
        self._known[text] = known


def _principal(claims: Mapping[str, Any]) -> Principal:
    who = claims["longshore"]
    try:
        kind, token_id = PrincipalKind(who["kind"]), who.get("token", 0)
        return Principal(kind, who["id"], who["name"], who["sysadmin"], who["version"], token_id)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise _invalid("The token was made by another release of Longshore. Log in again.") from None


def _invalid(message: str) -> AuthenticationRequired:
    return AuthenticationRequired(message, reason="invalid_token")
