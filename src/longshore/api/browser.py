# SPDX-License-Identifier: Apache-2.0
"""What browsers need besides the contract: `/c/login`, `/c/log_out`, `/c/userExists`, and whose request a session's is.

Everything unsafe here brings the token against forged requests (`longshore.api.csrf`); so does every unsafe request to /api
that a session authenticates. Requests with `Authorization` are exempt and never get a session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qsl

from longshore.access.errors import WrongCredentials
from longshore.access.models import Caller
from longshore.access.sign_in import SignIn
from longshore.api.contract import canonical
from longshore.api.csrf import CSRF, HEADER, cookie, read_cookie
from longshore.api.errors import MethodNotAllowed, path_not_found, respond_to
from longshore.api.query import is_true
from longshore.edge.request import ClientGone, Request
from longshore.edge.response import Header, Response, json_response
from longshore.identity.queries import UserQueries
from longshore.identity.sessions import Sessions
from longshore.oci.errors import BadRequest, Denied, Unauthorized, Unprocessable
from longshore.system.configuration import Configurations

SESSION: Final = "sid"
"""The cookie that brings a session."""

READING: Final = frozenset({"GET", "HEAD"})
"""The methods that change nothing; they need no token."""

_FORM: Final = "application/x-www-form-urlencoded"
_LARGEST_FORM: Final = 16_384

_Handler = Callable[[Request], Awaitable[Response]]


class Browsers:
    """Answers everything below /c/, and recognises sessions for /api.

    Args:
        sessions: Who knows the sessions.
        sign_in: Who knows the passwords.
        users: Who knows which names are taken.
        csrf: Who checks tokens.
        configurations: Who knows whether people may register.
    """

    def __init__(
        self, sessions: Sessions, sign_in: SignIn, users: UserQueries, csrf: CSRF, configurations: Configurations
    ) -> None:
        self._configurations = configurations
        self._sessions = sessions
        self._sign_in = sign_in
        self._users = users
        self._csrf = csrf
        self._handlers: dict[str, dict[str, _Handler]] = {
            "/c/login": {"POST": self._login},
            "/c/log_out": {"GET": self._log_out},
            "/c/userExists": {"POST": self._user_exists},
        }

    async def caller(self, request: Request) -> Caller | None:
        """Who calls by a session; None when there is none or it is over.

        Raises:
            CSRFInvalid: the request would change something and doesn't bring the token.
            ServiceUnavailable: the database is away.
        """
        session_id = read_cookie(request, SESSION)
        if session_id is None or request.authorization is not None:
            return None
        renew = not is_true(request.header(b"x-harbor-no-session-renewal") or "")
        principal = await self._sessions.find(session_id, renew=renew)
        if principal is None:
            return None
        if request.method not in READING:
            self._csrf.check(request)
        return Caller(principal, None, request.origin.source)

    def came_from_page(self, request: Request) -> None:
        """Lets requests pass that a page of ours made: they bring the token.

        Raises:
            CSRFInvalid: this one doesn't.
        """
        self._csrf.check(request)

    def complete(self, request: Request, headers: list[Header]) -> None:
        """Adds what answers to a session say besides: the next token, exactly once."""
        by_session = request.authorization is None and read_cookie(request, SESSION) is not None
        if by_session and all(name.lower() != HEADER for name, _ in headers):
            headers += self._csrf.headers(request)

    async def respond(self, request: Request) -> Response:
        """The answer to a request below /c/.

        Raises:
            ClientGone: the client closed the connection or stalled.
        """
        try:
            response = await self._answer(request)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - rendering sorts them: ours are told, all others are logged
            response = respond_to(error, request)
        if all(name != HEADER for name, _ in response.headers):
            response.headers += self._csrf.headers(request)
        return response

    async def _answer(self, request: Request) -> Response:
        path = canonical(request.path)
        handlers = self._handlers.get(path)
        if handlers is None:
            raise path_not_found(path)
        handler = handlers.get(request.method)
        if handler is None:
            allowed = tuple(handlers)
            raise MethodNotAllowed(
                f"method {request.method} is not allowed, but [{','.join(allowed)}] are", allowed=allowed
            )
        if request.method not in READING:
            self._csrf.check(request)
        return await handler(request)

    async def _login(self, request: Request) -> Response:
        """Begins a session for the name (or email address) and password of a form."""
        form = await _form(request)
        if request.authorization is not None:
            raise BadRequest("A login has its name and password in the form. Leave the Authorization header out.")
        name, source = form.get("principal", ""), request.origin.source
        try:
            principal = await self._sign_in.authenticate_person(name, form.get("password", ""), source)
        except WrongCredentials as error:
            if not error.repeated:
                await self._sessions.tell_failure(name, source)
            raise
        request.actor = principal.actor
        former = read_cookie(request, SESSION)
        if former is not None:
            await self._sessions.end(former, source)
        session_id = await self._sessions.begin(principal, source)
        return Response(200, [(b"set-cookie", cookie(request, SESSION, session_id))])

    async def _log_out(self, request: Request) -> Response:
        """Ends the session, if there is one."""
        session_id = read_cookie(request, SESSION)
        if session_id is not None:
            await self._sessions.end(session_id, request.origin.source)
        return Response(200, [(b"set-cookie", cookie(request, SESSION, ""))])

    async def _user_exists(self, request: Request) -> Response:
        """Whether a name or email address is taken, for the form that makes accounts.

        Only whoever may see users, or is about to register, learns it.
        """
        form = await _form(request)
        target, value = form.get("target", ""), form.get("value", "")
        if target not in {"username", "email"}:
            raise BadRequest("target: it is username or email.")
        await self._authorise_looking(request)
        found = await (self._users.user_by_name(value) if target == "username" else self._users.user_by_email(value))
        return json_response(200, found is not None)

    async def _authorise_looking(self, request: Request) -> None:
        caller = await self.caller(request)
        if caller is not None and caller.principal.sysadmin:
            return
        if (await self._configurations.current()).self_registration:
            return
        if caller is None:
            raise Unauthorized("Log in first: whether a name is taken isn't told to everybody.")
        raise Denied("Whether a name is taken is told to system administrators, and to all where people may register.")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Unprocessable: the body isn't one.
        PayloadTooLarge: it is larger than any name and password.
        ClientGone: the client closed the connection or stalled.
    """
    body = await request.whole_body(_LARGEST_FORM, "form")
    if (request.header(b"content-type") or "").partition(";")[0].strip().lower() != _FORM:
        raise Unprocessable(f"The body has to be a form ({_FORM}).")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise Unprocessable("The body isn't a form of at most 20 fields in UTF-8.") from None
    if any("\0" in name or "\0" in value for name, value in fields):
        raise Unprocessable("The form has the character U+0000. Take it out.")
    return dict(fields)
