# SPDX-License-Identifier: Apache-2.0
"""Granian's main process with our ways to listen, to stop, and to exchange the HTTP processes for others.

A process is never replaced by one that isn't ready. The new ones and the old ones share the listening sockets for a moment;
then the old ones accept no more, end each connection with the answer that goes out on it next, and finish their transfers
within the drain timeout.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined] # exported in fact
from granian.server import Server
from prometheus_client.multiprocess import mark_process_dead

from longshore.app import Application
from longshore.config import Settings
from longshore.lifecycle import LEAVE, ProcessState, ServerState
from longshore.server.certificate import Certificate, CertificateWatch
from longshore.server.environment import die_with_parent
from longshore.server.listening import BACKLOG, Listeners

_log = structlog.get_logger("longshore.server")

# One permit is one connection: fewer would make idle keep-alive connections shut out new ones.
_CONNECTIONS = 8192
# Above a front proxy's own idle time (nginx: 60 s, 75 s): the proxy closes first, and no request meets a closing connection.
_IDLE_SECONDS = 120
# A process that was started again and ends so soon after that has a fault that another start doesn't mend.
_CRASH_SECONDS = 5.0
_READY_SECONDS = 30.0
# A process that starts lets clients wait for so long, rather than tell them that it isn't ready.
_PATIENCE_SECONDS = 5.0
# How long a process that accepts no more goes on with its idle connections: each that is used meanwhile ends with an answer.
_LINGER_SECONDS = 5.0
# The same when the whole server stops: for handshakes and first requests that are on their way.
_LAST_SECONDS = 1.0


class Supervisor(Server):  # type: ignore[misc, valid-type] # granian picks the class at run time
    """The main process of a server with HTTP."""

    wrks: list[Any]
    interrupt_children: list[int]
    ssl_ctx: tuple[Any, ...]

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        load: Callable[[ProcessState], Application],
        certificate: Certificate | None,
    ) -> None:
        super().__init__(
            target="longshore",
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=settings.worker_processes,
            loop=Loops.uvloop,
            http=HTTPModes.auto,
            http1_settings=HTTP1Settings(header_read_timeout=_IDLE_SECONDS * 1000, keep_alive=True),
            websockets=False,
            backlog=BACKLOG,
            backpressure=_CONNECTIONS,
            log_enabled=False,
            workers_kill_timeout=max(1, int(settings.drain_timeout.total_seconds())),
        )
        self._drain_delay = settings.drain_delay.total_seconds()
        self._listeners = listeners
        self._load = load
        self._state = ServerState(settings.worker_processes)
        self._states: dict[Any, ProcessState] = {}
        self._patience = _PATIENCE_SECONDS
        self._started = False
        self._stopping = threading.Event()
        self._retiring: list[threading.Thread] = []
        self._certificate = certificate
        self._watch: CertificateWatch | None = None
        if certificate is not None:
            self._show(certificate)
            self._watch = CertificateWatch(settings, certificate, self.main_loop_interrupt.set)

    def run(self) -> None:
        """Serves until it is told to stop.

        Raises:
            SystemExit: a process ended again and again.
        """
        self.serve(target_loader=self._load, wrap_loader=False)

    # --- signals

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Becomes unready at once and stops after the drain delay; a second signal doesn't wait."""
        if os.getpid() != self.pid:
            # A process that was forked just now and has no handler of its own yet: the server isn't meant.
            raise SystemExit(0)
        wait = self._drain_delay > 0 and not self._state.draining
        self._state.drain()
        for state in list(self._states.values()):
            state.close_connections()
        if not wait:
            super().signal_handler_interrupt(*args, **kwargs)
            return
        timer = threading.Timer(self._drain_delay, super().signal_handler_interrupt)
        timer.daemon = True
        timer.start()

    def signal_handler_reload(self, *_args: Any, **_kwargs: Any) -> None:
        """Looks at the certificate's files now."""
        if self._watch is None:
            _log.info("nothing to exchange: there is no certificate")
        else:
            self._watch.ask()

    # --- what granian calls

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Starts the processes."""
        # Processes begin with it ignored, until they know what to do.
        signal.signal(LEAVE, signal.SIG_IGN)
        super().startup(spawn_target, target_loader)
        self._started = True
        if self._watch is not None:
            self._watch.start()

    def _init_shared_socket(self) -> None:
        """The sockets are there already; each process gets its own in `_spawn_worker`."""
        self._ssp = self._sso = None

    def _drop_shared_socket(self) -> None:
        self._listeners.close()

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        state = ProcessState(self._state, idx, patience=self._patience, successor=self._started)
        if self._state.draining:
            state.close_connections()
        state.on_leave = partial(self._listeners.leave, idx)
        # Its stub names no arguments: the descriptor, whether it is a Unix socket, how many may wait.
        self._shd = SocketHolder(self._listeners.descriptor(idx), False, BACKLOG)  # type: ignore[call-arg]
        worker = super()._spawn_worker(idx, target, partial(self._enter, idx, state, callback_loader))
        self._states[worker] = state
        return worker

    def _enter(self, idx: int, state: ProcessState, load: Callable[[ProcessState], Application]) -> Application:
        """The first thing in a new process."""
        die_with_parent()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._listeners.keep(idx)
        return load(state)

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while True:
            self.main_loop_interrupt.wait()
            # Before the flags are read: one that is set from now on wakes the loop again.
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            died, self.interrupt_children = self.interrupt_children, []
            if died and not self._respawn(died, spawn_target, target_loader):
                self.interrupt_children = died
                return
            certificate = None if self._watch is None else self._watch.take()
            if certificate is not None:
                self._serve_with(certificate, spawn_target, target_loader)

    def _stop_workers(self) -> None:
        workers = list(self.wrks)
        if self._drain_delay > 0:
            self._ask_to_leave(workers)
            time.sleep(_LAST_SECONDS)
        self._stopping.set()
        super()._stop_workers()
        for thread in self._retiring:
            thread.join()

    # --- processes

    def _respawn(self, died: list[int], spawn_target: Any, target_loader: Any) -> bool:
        """Starts others in the place of those that ended; False when that is of no use."""
        for idx in died:
            old = self.wrks[idx]
            if old.is_alive():
                continue  # it was another one of this number, which has been replaced since
            if time.monotonic() - self.respawned_wrks.get(idx, 0) < _CRASH_SECONDS:
                _log.error("a process ended again right after its start", number=idx + 1)
                return False
            _log.error("a process ended unexpectedly and is started again", number=idx + 1)
            self._forget(old)
            self.respawned_wrks[idx] = time.monotonic()
            self.wrks[idx] = self._spawn_worker(idx, spawn_target, target_loader)
            self.wrks[idx].start()
        return True

    def _replace(self, spawn_target: Any, target_loader: Any) -> str:
        """Starts others beside all processes and retires the old ones; says what kept it from doing so."""
        made = []
        self._patience = float("inf")
        for idx in range(self.workers):
            worker = self._spawn_worker(idx, spawn_target, target_loader)
            # Until it has taken over, its end is nobody's concern but ours.
            worker.interrupt_by_parent = True
            worker.start()
            made.append(worker)
        self._patience = _PATIENCE_SECONDS
        problem = self._wait_until_ready(made)
        if problem:
            self._abandon(made)
            return problem
        old, self.wrks = self.wrks, made
        for worker in made:
            worker.interrupt_by_parent = False
            if not worker.is_alive():
                self.interrupt_children.append(worker.idx)
                self.main_loop_interrupt.set()
        self._retire(old)
        return ""

    def _wait_until_ready(self, workers: Iterable[Any]) -> str:
        until = time.monotonic() + _READY_SECONDS
        waiting = list(workers)
        while waiting:
            if self.interrupt_signal or self._state.draining:
                return "the server is shutting down"
            if not all(worker.is_alive() for worker in waiting):
                return "a new process ended while it started"
            if time.monotonic() > until:
                return f"the new processes weren't ready after {_READY_SECONDS:.0f} s; the log says what they wait for"
            waiting = [worker for worker in waiting if not self._states[worker].ready]
            time.sleep(0.02)
        return ""

    def _abandon(self, workers: Iterable[Any]) -> None:
        """Takes new processes back: those that are ready may have connections and are seen off like old ones."""
        serving, starting = [], []
        for worker in workers:
            if self._states[worker].ready:
                serving.append(worker)
            else:
                worker.kill()
                starting.append(worker)
        for worker in starting:
            worker.join()
            self._forget(worker)
        if serving:
            self._retire(serving)

    def _retire(self, workers: list[Any]) -> None:
        self._ask_to_leave(workers)
        thread = threading.Thread(target=self._see_off, args=(workers,), name="retiring", daemon=True)
        thread.start()
        self._retiring = [*(earlier for earlier in self._retiring if earlier.is_alive()), thread]

    def _see_off(self, workers: list[Any]) -> None:
        self._stopping.wait(_LINGER_SECONDS)
        for worker in workers:
            worker.terminate()
        until = time.monotonic() + self.workers_kill_timeout
        for worker in workers:
            self._end(worker, timeout=max(until - time.monotonic(), 0.01))
            self._forget(worker)

    def _ask_to_leave(self, workers: Iterable[Any]) -> None:
        for worker in workers:
            worker.interrupt_by_parent = True
            with suppress(ProcessLookupError):
                self._states[worker].ask_to_leave(worker.inner.pid)

    def _end(self, worker: Any, *, timeout: float) -> None:
        """Waits for a process that was told to stop, and stops it by force when it takes too long."""
        worker.join(timeout)
        if worker.is_alive():
            time.sleep(0.01)  # another thread may have seen its end, and not have said so yet
        if worker.is_alive():
            worker.kill()
            worker.join()

    def _forget(self, worker: Any) -> None:
        self._states.pop(worker, None)
        mark_process_dead(worker.inner.pid)  # type: ignore[no-untyped-call] # the library has no annotation here

    # --- the certificate

    def _serve_with(self, certificate: Certificate, spawn_target: Any, target_loader: Any) -> None:
        old, watch = self._certificate, self._watch
        if old is None or watch is None:
            return
        self._show(certificate)
        problem = self._replace(spawn_target, target_loader)
        if problem:
            self._show(old)
            watch.was_not_served(certificate, problem)
            certificate.close()
            return
        self._certificate = certificate
        old.close()
        watch.is_served(certificate)

    def _show(self, certificate: Certificate) -> None:
        """Processes that are started from now on show this certificate."""
        self.ssl_ctx = (
            True, certificate.chain_path, certificate.key_path, None, str(SSLProtocols.tls13), None, [], False
        )  # fmt: skip
        self._state.certificate_expiry = certificate.expiry
