# SPDX-License-Identifier: Apache-2.0
"""`longshore serve`: one supervisor, its HTTP processes and its worker process.

The supervisor prepares what can be prepared once (locks, the embedded database's schema, the first administrator), forks, and
waits for a signal. On SIGTERM the server becomes unready but goes on accepting for the drain delay, so that load balancers
notice; then the HTTP processes stop accepting and finish their transfers within the drain timeout.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import importlib
import multiprocessing
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

from longshore.config import Settings, SettingsError

Role = Literal["all", "api", "worker"]

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_BACKLOG = 2048
# One permit is one connection: fewer would make idle keep-alive connections shut out new ones.
_CONNECTIONS = 8192
# Above a front proxy's own idle time (nginx: 60 s, 75 s): the proxy closes first, and no request meets a closing connection.
_IDLE_SECONDS = 120
_RESPAWN_SECONDS = 1.0
# How soon the worker notices that its supervisor was killed: until then it holds the lock of its role.
_PARENT_SECONDS = 0.1


def serve(settings: Settings, role: Role) -> int:
    """Runs the server until it is told to stop; returns the exit code.

    Raises:
        SettingsError: something in the settings or the environment keeps the server from starting; nothing was started.
    """
    multiprocessing.set_start_method("fork", force=True)
    _check_certificate(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    locks = _lock_roles(settings, role)
    if role != "worker":
        _check_port(settings)
    metrics = _metrics_directory(settings, role)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics.resolve())
    _tune_allocator()

    # Imported here: the directory above must be known when prometheus-client is first imported.
    from longshore.edge.logging import configure_logging  # noqa: PLC0415
    from longshore.instance import announce, prepare  # noqa: PLC0415
    from longshore.system.secret import load_secret_key  # noqa: PLC0415

    configure_logging(settings.log_level, settings.log_format)
    secret_key = load_secret_key(settings)
    password = asyncio.run(prepare(settings, secret_key))
    announce(settings, password)
    try:
        if role == "worker":
            _run_worker(settings, secret_key)
            return 0
        return _serve_http(settings, secret_key, with_worker=role == "all")
    finally:
        shutil.rmtree(metrics, ignore_errors=True)
        for lock in locks:
            lock.close()


def _serve_http(settings: Settings, secret_key: bytes, *, with_worker: bool) -> int:
    from granian.constants import HTTPModes, Interfaces, Loops  # noqa: PLC0415 - only this role pays for the import
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.server import Server  # noqa: PLC0415

    from longshore.app import Application, SharedState  # noqa: PLC0415

    if settings.worker_processes > 1:
        # Processes that are forked after the import share its memory. A single one imports it when /v2 serves already.
        importlib.import_module("longshore.api.app")

    shared = SharedState()

    class Supervisor(Server):  # type: ignore[misc, valid-type] # granian picks the class at run time
        """Granian's main process, with our way to stop."""

        def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
            """Becomes unready at once and stops after the drain delay; a second signal doesn't wait."""
            delay = settings.drain_delay.total_seconds()
            if shared.draining or delay <= 0:
                shared.drain()
                super().signal_handler_interrupt(*args, **kwargs)
                return
            shared.drain()
            timer = threading.Timer(delay, super().signal_handler_interrupt)
            timer.daemon = True
            timer.start()

    server = Supervisor(
        target="longshore",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.worker_processes,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        http1_settings=HTTP1Settings(header_read_timeout=_IDLE_SECONDS * 1000, keep_alive=True),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
        log_enabled=False,
        ssl_cert=settings.tls_cert,
        ssl_key=settings.tls_key,
        respawn_failed_workers=True,
        respawn_interval=_RESPAWN_SECONDS,
        workers_kill_timeout=max(1, int(settings.drain_timeout.total_seconds())),
    )

    def load() -> Application:
        _die_with_parent()
        return Application(settings, secret_key, shared)

    worker = _WorkerProcess(lambda: _run_worker(settings, secret_key)) if with_worker else None
    if worker is not None:
        worker.start()
    try:
        server.serve(target_loader=load, wrap_loader=False)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    finally:
        if worker is not None:
            worker.stop()
    return 0


class _WorkerProcess:
    """The worker role beside the HTTP processes; it is started again when it dies."""

    def __init__(self, target: Callable[[], None]) -> None:
        self._target = target
        self._process: multiprocessing.process.BaseProcess | None = None
        self._stopping = threading.Event()
        # Held by whoever starts a process, and by whoever decides that no other is started.
        self._starting = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="worker-watcher", daemon=True)

    def start(self) -> None:
        """Starts the process, and the thread that watches it."""
        self._spawn()
        self._watcher.start()

    def stop(self) -> None:
        """Ends the process, by force if it does not within ten seconds."""
        with self._starting:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()

    def _spawn(self) -> None:
        with self._starting:
            if self._stopping.is_set():
                return
            process = multiprocessing.get_context("fork").Process(target=self._run, name="longshore-worker")
            process.start()
            self._process = process

    def _run(self) -> None:
        # Not the parent's death signal: that follows the thread that forked, which may be the watcher's.
        parent = os.getppid()
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
        self._target()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            process = self._process
            if process is not None:
                process.join(1.0)
                if not process.is_alive() and not self._stopping.wait(_RESPAWN_SECONDS):
                    self._spawn()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _run_worker(settings: Settings, secret_key: bytes) -> None:
    from longshore.worker import run_worker  # noqa: PLC0415 - only this role pays for the import

    asyncio.run(run_worker(settings, secret_key))


def _metrics_directory(settings: Settings, role: Role) -> Path:
    """An empty folder for the numbers that the processes share.

    In memory where there is such a place: the files are mapped, and a full disk below a mapped file kills the process.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is made for us alone
    name = hashlib.sha256(f"{settings.data_dir.resolve()}:{settings.port}".encode()).hexdigest()[:16]
    mapped = memory / f"longshore-{os.getuid()}-{name}-{role}"
    for folder in (mapped, settings.data_dir / "run" / f"metrics-{role}"):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            # Fails where somebody else has made it: then it is not for us.
            folder.mkdir(mode=0o700, parents=folder.is_relative_to(settings.data_dir))
            return folder
    raise SettingsError(f"LONGSHORE_DATA_DIR: the folder {settings.data_dir / 'run'} can't be written")


def _check_port(settings: Settings) -> None:
    """Finds out whether the server will be able to listen, before anything is made or printed.

    Raises:
        SettingsError: it won't.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"LONGSHORE_HOST, LONGSHORE_PORT: can't listen on {settings.host} port {settings.port} ({error.strerror})."
                " Stop what listens there, or set LONGSHORE_PORT to another port"
            ) from error


def _check_certificate(settings: Settings) -> None:
    """Reads certificate and key as the server will.

    Raises:
        SettingsError: they can't be read, or do not belong together.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return
    for name, path in (("LONGSHORE_TLS_CERT", settings.tls_cert), ("LONGSHORE_TLS_KEY", settings.tls_key)):
        if not os.access(path, os.R_OK):
            raise SettingsError(f"{name}: the file {path} can't be read")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            "LONGSHORE_TLS_CERT, LONGSHORE_TLS_KEY: must be a PEM certificate chain and its private key without a password"
            f" ({error.strerror or error})"
        ) from error


def _lock_roles(settings: Settings, role: Role) -> list[IO[str]]:
    """One server of each role on an embedded data directory: SQLite's file and the folder are this machine's own.

    Raises:
        SettingsError: another server of that role runs on it.
    """
    run = settings.data_dir / "run"
    run.mkdir(parents=True, exist_ok=True)
    if settings.database_url is not None:
        return []
    locks: list[IO[str]] = []
    for name in ("api", "worker") if role == "all" else (role,):
        file = (run / f"{name}.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise SettingsError(
                f"LONGSHORE_DATA_DIR: a server of the role {name} runs on {settings.data_dir} already ({holder}). Stop it, or"
                " use another data directory; several servers need PostgreSQL (LONGSHORE_DATABASE_URL)"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()}")
        file.flush()
        locks.append(file)
    return locks


def _tune_allocator() -> None:
    """Keeps the pieces of large bodies in the heap: mapping and unmapping each costs as much as receiving it."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 64 * 1024 * 1024)
        library.mallopt(_M_TRIM_THRESHOLD, 128 * 1024 * 1024)
        library.mallopt(_M_TOP_PAD, 16 * 1024 * 1024)


def _die_with_parent() -> None:
    """A supervisor that is killed takes its processes along, so that its port and its locks are free again."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
