# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds every service once and wires the edges to one ASGI application.

A process is *alive* as soon as it answers, and *ready* when the database has this release's schema, the key is right and
nothing drains. Until then everything but the health endpoints answers 503 with what is missing.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from longshore.config import Settings, SettingsError
from longshore.database.connection import Database
from longshore.database.errors import ConstraintViolation
from longshore.distribution.app import DistributionAPI
from longshore.edge.asgi import Message, Receive, Scope, Send
from longshore.edge.errors import render
from longshore.edge.observing import Observer, metrics_text
from longshore.edge.origin import TrustedProxies
from longshore.edge.page import welcome
from longshore.edge.request import ClientGone, Request
from longshore.edge.response import Response, Sender, json_response
from longshore.instance import Instance, open_instance
from longshore.lifecycle import LEAVE, ProcessState, server_metrics
from longshore.oci.errors import BadRequest, LongshoreError, NotFound, ServiceUnavailable, Unsupported
from longshore.opening import missing_revision, open_database
from longshore.preparation import announce, first_start

_log = structlog.get_logger("longshore.app")

_CHECK_SECONDS = 1.0
_FRESH_SECONDS = 2.0
_COLLECT_AFTER_OBJECTS = 10_000
# How long a process that starts leaves connections to the listener's queue and to the processes beside it.
_START_SECONDS = 5.0


@dataclass(slots=True)
class _Readiness:
    instance: Instance | None = None
    reason: str = "The process is starting."
    checked_at: float = float("-inf")


class Application:
    """The ASGI application of one process."""

    def __init__(self, settings: Settings, secret_key: bytes, state: ProcessState) -> None:
        self._settings = settings
        self._secret_key = secret_key
        self._state = state
        self._proxies = TrustedProxies(settings.trusted_proxies, settings.external_url)
        self._observer = Observer(text=settings.log_format == "text")
        self._readiness = _Readiness()
        self._distribution: DistributionAPI | None = None
        self._api: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._opened = asyncio.Event()
        self._tried = asyncio.Event()
        self._stall_seconds = settings.transfer_timeout.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = self._observer.begin()
        request = Request(scope, receive, proxies=self._proxies, body_seconds=self._stall_seconds)
        sender = Sender(send, stall_seconds=self._stall_seconds, state=self._state)
        outcome = ""
        try:
            if request.path.startswith(("/api/", "/c/")) and self._api is not None:
                await self._call_api(request, scope, receive, sender, send)
            else:
                response = await self._respond(request)
                if response.status >= 400:
                    await request.discard()
                await sender.respond(request, response)
        except ClientGone:
            outcome = "client gone"
            await self._answer_broken(request, sender)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: a fault of ours must not stay unanswered
            outcome = "failed"
            response = render(error, request)
            if not sender.status:
                with suppress(ClientGone):
                    await sender.respond(request, response)
        finally:
            self._observer.end(request, sender, request.route or _route(request.path), began, outcome=outcome)

    async def _answer_broken(self, request: Request, sender: Sender) -> None:
        """A body that broke off or stood still may have a client that still listens, and the server wants an answer."""
        if sender.status:
            return
        error = BadRequest(
            "The body of the request broke off, stood still for too long, or isn't what its headers announce. What arrived of"
            " an upload is kept: ask for its status and go on from there."
        )
        response = render(error, request, [(b"connection", b"close")])
        with suppress(ClientGone):
            await sender.respond(request, response)

    async def _respond(self, request: Request) -> Response:
        path = request.path
        try:
            if path.startswith("/v2/") or path == "/v2":
                return await self._require(self._distribution).handle(request)
            if path == "/service/token":
                return await self._require(self._distribution).token(request)
            return await self._respond_operation(request)
        except (LongshoreError, ConstraintViolation) as error:
            return render(error, request)

    async def _respond_operation(self, request: Request) -> Response:
        handler = {
            "/": self._welcome,
            "/livez": self._alive,
            "/readyz": self._ready,
            "/healthz": self._health,
            "/metrics": self._metrics,
        }.get(request.path)
        if handler is None:
            if self._api is None and request.path.startswith(("/api/", "/c/")):
                self._require(None)
            raise NotFound(f"There is nothing at {request.path[:200]!r}. Look at / for what this server offers.")
        if request.method not in {"GET", "HEAD"}:
            raise Unsupported(f"{request.method} is not supported here. Use GET.")
        return await handler(request)

    async def _welcome(self, request: Request) -> Response:
        return welcome(request.origin)

    async def _alive(self, _request: Request) -> Response:
        return Response(200, [(b"content-type", b"text/plain; charset=utf-8")], b"alive\n")

    async def _ready(self, _request: Request) -> Response:
        missing = await self._missing()
        if missing is not None:
            return json_response(503, {"status": "unready", "reason": missing})
        return json_response(200, {"status": "ready"})

    async def _health(self, _request: Request) -> Response:
        missing = await self._missing()
        components = {"database": "healthy", "storage": "healthy"}
        instance = self._readiness.instance
        if instance is None:
            components = dict.fromkeys(components, "unknown")
        else:
            components = await instance.health()
        healthy = missing is None and all(state == "healthy" for state in components.values())
        status = {"status": "healthy" if healthy else "unhealthy", "reason": missing, "components": components}
        return json_response(200 if healthy else 503, status)

    async def _metrics(self, _request: Request) -> Response:
        self._observer.flush()
        text = metrics_text() + server_metrics(self._state.server)
        if self._readiness.instance is not None:
            with suppress(LongshoreError):
                text += await self._readiness.instance.metrics()
        return Response(200, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")], text)

    async def _missing(self) -> str | None:
        """What is missing to be ready; None when nothing is."""
        if self._state.server.draining:
            return "The server is shutting down."
        readiness = self._readiness
        if readiness.instance is None or self._api is None:
            return readiness.reason
        if not self._state.server.complete:
            return "Another process of the server is starting."
        now = asyncio.get_running_loop().time()
        if now - readiness.checked_at > _FRESH_SECONDS:
            health = await readiness.instance.health()
            sick = [f"{name}: {state}" for name, state in health.items() if state != "healthy"]
            readiness.reason = "; ".join(sick)
            readiness.checked_at = now
        return readiness.reason or None

    def _require(self, api: DistributionAPI | None) -> DistributionAPI:
        if api is None:
            raise ServiceUnavailable(f"The registry is not ready. {self._readiness.reason}", retry_after=2)
        return api

    async def _call_api(self, request: Request, scope: Scope, receive: Receive, sender: Sender, send: Send) -> None:
        scope.setdefault("state", {})["request"] = request

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = list(message["headers"])
                sender.head(request, message["status"], message["headers"])
            elif message["type"] == "http.response.body":
                sender.sent += len(message.get("body", b""))
            await send(message)

        await self._api(scope, receive, observed)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._tasks = [
                    asyncio.create_task(self._become_ready()),
                    asyncio.create_task(self._observer.run()),
                ]
                asyncio.get_running_loop().add_signal_handler(LEAVE, self._state.leave)
                # Accepting begins after the lifespan's start: until then clients wait, or another process serves them.
                if self._state.patience:
                    await asyncio.wait(self._tasks[:1], timeout=self._state.patience)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._tried.wait(), _START_SECONDS)
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._shut_down()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _be_patient(self) -> None:
        """Waits for a while until there is something to serve with.

        The process accepts connections when its lifespan has begun: until then clients wait, or another process serves them,
        which is better than an answer that says to come back later.
        """
        opened = asyncio.ensure_future(self._opened.wait())
        useful: asyncio.Future[Any] = self._tasks[0] if self._state.successor else opened
        await asyncio.wait([useful], timeout=self._state.patience)
        opened.cancel()

    async def _become_ready(self) -> None:
        """Opens everything, waiting for a database that is away or for `longshore migrate`.

        /v2 is served as soon as it can be; the process is ready when Harbor's API is loaded too.
        """
        database: Database | None = None
        while self._api is None:
            try:
                instance = self._readiness.instance
                if instance is not None:
                    self._api = await asyncio.to_thread(instance.build_api)
                    self._readiness.reason = ""
                    _spare_collector()
                    self._state.become_ready()
                    _log.info("ready", host=self._settings.host, port=self._settings.port)
                    return
                if database is None:
                    database = await open_database(self._settings, "api")
                missing = await missing_revision(database)
                if missing is None:
                    instance = await open_instance(self._settings, self._secret_key, database)
                    try:
                        announce(self._settings, await first_start(self._settings, database))
                    except BaseException:
                        # The next attempt opens everything anew.
                        await instance.close()
                        database = None
                        raise
                    self._distribution = DistributionAPI(instance.distribution)
                    self._readiness.reason = "The API is being loaded."
                    self._readiness.instance = instance
                    self._opened.set()
                    self._tried.set()
                    self._tasks.append(asyncio.create_task(instance.pulls.run(self._stop)))
                    pull_log = instance.distribution.pull_log
                    self._tasks.append(asyncio.create_task(pull_log.run(self._stop)))
                    continue
                self._say(missing, missing)
            except SettingsError as error:
                self._say(error.public, str(error))
            except LongshoreError as error:
                self._say(error.message, str(error))
            except Exception:  # noqa: BLE001 - whatever it is, the process must go on trying and say that it isn't ready
                _log.exception("not ready")
                self._readiness.reason = "Something unexpected keeps the process from getting ready; its log says what."
            self._tried.set()
            await asyncio.sleep(_CHECK_SECONDS)

    def _say(self, public: str, reason: str) -> None:
        """The operator finds the whole reason in the log; anybody may ask what the public part of it is."""
        if self._readiness.reason != public:
            _log.warning("not ready", reason=reason)
        self._readiness.reason = public

    async def _shut_down(self) -> None:
        self._stop.set()
        instance = self._readiness.instance
        ready, observing, *counting = self._tasks
        ready.cancel()
        await asyncio.gather(*counting, return_exceptions=True)
        if instance is not None:
            await instance.close()
        observing.cancel()
        await asyncio.gather(ready, observing, return_exceptions=True)


def _spare_collector() -> None:
    """What is there when the process is ready stays: from now on the garbage collector looks at what requests make only.

    Requests make hardly any cycles, and nearly all that they make is gone before ten thousand objects have gathered.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)


def _route(path: str) -> str:
    """What metrics call a request that the distribution API hasn't named."""
    if path == "/v2" or path.startswith("/v2/"):
        return "v2"
    if path.startswith("/api/"):
        return "api"
    if path in {"/", "/livez", "/readyz", "/healthz", "/metrics", "/service/token"}:
        return path
    return "other"
