# SPDX-License-Identifier: Apache-2.0
"""The token service: `GET /service/token` as docker asks, and OAuth2 (`POST`) as containerd and newer dockers do.

Functions over what the edge has parsed; both answer with a token for the part of the scopes that the principal may have, which
may be nothing. What isn't granted the registry then refuses, with words that the client shows (`docs/why/authorisation.md`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from longshore.access.errors import AuthenticationRequired
from longshore.access.models import ANONYMOUS, Principal, PrincipalKind, TokenScope
from longshore.access.service import AccessService
from longshore.access.sign_in import SignIn
from longshore.access.tokens import SERVICE, TokenService
from longshore.distribution.authentication import decode_basic
from longshore.oci.errors import BadRequest, LongshoreError, PayloadTooLarge, Unsupported
from longshore.oci.names import RepositoryName

MAXIMUM_BODY: Final = 32_768
"""The longest body of a POST, in bytes."""

_MAXIMUM_SCOPES: Final = 100
_LONGEST_SCOPE: Final = 512
_FORM: Final = "application/x-www-form-urlencoded"
_ACTIONS: Final = frozenset({"pull", "push", "delete", "*"})


@dataclass(frozen=True, slots=True)
class RequestedScope:
    """One scope as asked for: `repository:library/nginx:pull,push`."""

    kind: str
    name: str
    actions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """What the token service answers; `issued_at` by RFC 3339, `expires_in` in seconds."""

    token: str
    expires_in: int
    issued_at: str
    scope: str
    refresh_token: str | None = None

    def body(self) -> dict[str, str | int]:
        """The members of the JSON body: the same token under both names that clients look for."""
        members: dict[str, str | int] = {
            "token": self.token,
            "access_token": self.token,
            "expires_in": self.expires_in,
            "issued_at": self.issued_at,
            "token_type": "Bearer",
            "scope": self.scope,
        }
        if self.refresh_token is not None:
            members["refresh_token"] = self.refresh_token
        return members


class TokenEndpoint:
    """Answers requests for tokens.

    Args:
        access: Decides what they open.
        tokens: Makes them.
        sign_in: Recognises who asks.
        lifetime: Tells for how many seconds they are good now; None leaves that to `tokens`.
        service: What clients call this registry.
    """

    def __init__(
        self,
        access: AccessService,
        tokens: TokenService,
        sign_in: SignIn,
        *,
        lifetime: Callable[[], Awaitable[int]] | None = None,
        service: str = SERVICE,
    ) -> None:
        self._access = access
        self._tokens = tokens
        self._sign_in = sign_in
        self._lifetime = lifetime
        self._service = service

    async def get(self, query: Sequence[tuple[str, str]], authorization: bytes | None, source: str) -> TokenAnswer:
        """A token for the Basic credentials of the request, or for nobody in particular.

        Args:
            query: The parameters in their order: `service`, `scope` (any number), `account`, `offline_token`.
            authorization: The value of the `Authorization` header, None when there is none.
            source: The address the request came from.

        Raises:
            BadRequest: the service is another one, or there are too many or too long scopes.
            AuthenticationRequired: the header is malformed, or there are neither credentials nor scopes.
            WrongCredentials: the credentials are wrong: never answered with an empty token.
            TooManyRequests: too many attempts failed from this source.
        """
        single = dict(query)
        self._check_service(single)
        scopes = parse_scopes(value for name, value in query if name == "scope")
        if authorization is None:
            if not scopes:
                raise AuthenticationRequired("Log in with a name and a password, or ask for the scope of a repository.")
            principal = ANONYMOUS
        else:
            principal = await self._sign_in.authenticate(*decode_basic(authorization), source)
        # `docker login` always asks, and then keeps the refresh token in place of the password. That is better on a
        # person's machine; a robot's configuration becomes a pull secret, and CRI-O reads only names and secrets there.
        offline = single.get("offline_token", "").lower() in {"true", "1"} and principal.kind is PrincipalKind.USER
        return await self._answer(principal, scopes, offline=offline)

    async def post(self, body: bytes, content_type: str, source: str) -> TokenAnswer:
        """A token for a password or a refresh token in a form (RFC 6749, sections 4.3 and 6).

        Raises:
            BadRequest: the body isn't such a form, the service is another one, or there are too many or too long scopes.
            PayloadTooLarge: the body is longer than `MAXIMUM_BODY`.
            Unsupported: the grant is of another type.
            AuthenticationRequired: the refresh token isn't good.
            WrongCredentials: the credentials are wrong.
            TooManyRequests: too many attempts failed from this source.
        """
        form = _parse_form(body, content_type)
        single = dict(form)
        self._check_service(single)
        scopes = parse_scopes(value for name, value in form if name == "scope")
        grant = single.get("grant_type", "")
        if grant == "password":
            principal = await self._sign_in.authenticate(single.get("username", ""), single.get("password", ""), source)
            return await self._answer(principal, scopes, offline=single.get("access_type") == "offline")
        if grant == "refresh_token":
            refresh = single.get("refresh_token", "")
            principal = self._tokens.verify_refresh(refresh)
            if not await self._access.is_current(principal):
                raise AuthenticationRequired(
                    "The refresh token is no longer good: the account was changed, disabled or deleted. Log in again.",
                    reason="invalid_token",
                )
            # Clients keep the one that they brought; it stays good.
            return await self._answer(principal, scopes, offline=False, refresh=refresh)
        raise Unsupported(f"The grant_type {grant[:40]!a} isn't supported: use password or refresh_token.")

    async def _answer(
        self, principal: Principal, asked: Sequence[RequestedScope], *, offline: bool, refresh: str | None = None
    ) -> TokenAnswer:
        granted: dict[RepositoryName, TokenScope] = {}
        catalog = False
        for scope in asked:
            if scope.kind == "registry" and scope.name == "catalog":
                catalog = catalog or (principal.kind is not PrincipalKind.ANONYMOUS and "*" in scope.actions)
            elif scope.kind == "repository" and (found := await self._grant(principal, scope)) is not None:
                granted[found.repository] = _merge(granted.get(found.repository), found)
        lifetime = None if self._lifetime is None else await self._lifetime()
        issued = self._tokens.issue(principal, tuple(granted.values()), catalog=catalog, lifetime_seconds=lifetime)
        if offline and principal.kind is not PrincipalKind.ANONYMOUS:
            refresh = self._tokens.issue_refresh(principal)
        return TokenAnswer(
            token=issued.text,
            expires_in=issued.expires_in,
            issued_at=_moment(issued.issued_at),
            scope=_granted_text(granted.values(), catalog=catalog),
            refresh_token=refresh,
        )

    async def _grant(self, principal: Principal, scope: RequestedScope) -> TokenScope | None:
        try:
            repository = RepositoryName.parse(scope.name)
        except LongshoreError:
            # Nothing has this name, so there is nothing to grant; the registry will say what is wrong with it.
            return None
        actions = scope.actions & _ACTIONS
        return await self._access.grant(principal, repository, actions) if actions else None

    def _check_service(self, parameters: Mapping[str, str]) -> None:
        service = parameters.get("service", self._service)
        if service != self._service:
            raise BadRequest(f"Tokens are issued for the service {self._service} only, not for {service[:100]!a}.")


def parse_scopes(values: Iterable[str]) -> tuple[RequestedScope, ...]:
    """The scopes of a request, each parameter with one or several of them, separated by spaces.

    Text that isn't a scope is left out: it can't be granted.

    Raises:
        BadRequest: there are more than 100, or one is longer than 512 characters.
    """
    texts = [text for value in values for text in value.split()]
    if len(texts) > _MAXIMUM_SCOPES:
        raise BadRequest(f"{len(texts)} scopes are too many for one token: {_MAXIMUM_SCOPES} are the most.")
    scopes = []
    for text in dict.fromkeys(texts):
        if len(text) > _LONGEST_SCOPE:
            raise BadRequest(f"A scope has {len(text)} characters: {_LONGEST_SCOPE} are the most.")
        # The name may have colons itself, where it begins with a host.
        kind, first, rest = text.partition(":")
        name, second, actions = rest.rpartition(":")
        if first and second:
            # A class of the kind, as in `repository(plugin)`, changes nothing.
            scopes.append(RequestedScope(kind.partition("(")[0], name, frozenset(actions.split(","))))
    return tuple(scopes)


@lru_cache(16)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _merge(known: TokenScope | None, found: TokenScope) -> TokenScope:
    if known is None:
        return found
    return TokenScope(found.repository, found.project_id, found.project_version, known.actions | found.actions)


def _granted_text(scopes: Iterable[TokenScope], *, catalog: bool) -> str:
    texts = [f"repository:{scope.repository}:{','.join(sorted(scope.actions))}" for scope in scopes]
    return " ".join([*texts, "registry:catalog:*"] if catalog else texts)


def _parse_form(body: bytes, content_type: str) -> list[tuple[str, str]]:
    if len(body) > MAXIMUM_BODY:
        raise PayloadTooLarge(f"The form has {len(body)} bytes: {MAXIMUM_BODY} are the most.")
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise BadRequest(f"The body of a token request is {_FORM}.")
    try:
        form = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAXIMUM_SCOPES + 10, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise BadRequest("The body isn't a form of at most 110 fields in UTF-8.") from None
    if any("\0" in name or "\0" in value for name, value in form):
        raise BadRequest("The form has the character U+0000. Take it out.")
    return form
