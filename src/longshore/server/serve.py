# SPDX-License-Identifier: Apache-2.0
"""`longshore serve`: one supervisor, its HTTP processes and its worker process.

The supervisor prepares what can be prepared once (locks, the embedded database's schema, the first administrator), forks, and
waits for a signal. On SIGTERM the server becomes unready but goes on accepting for the drain delay, so that load balancers
notice; then the HTTP processes stop accepting and finish their transfers within the drain timeout.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import shutil
from collections.abc import Mapping

from longshore.config import Settings
from longshore.server.background import WorkerProcess, run_worker
from longshore.server.certificate import Certificate, load_certificate
from longshore.server.environment import Role, lock_roles, metrics_directory, tune_allocator
from longshore.server.listening import Listeners, claim_port
from longshore.system.connections import Kind

_KINDS: Mapping[Role, tuple[Kind, ...]] = {"all": ("api", "worker"), "api": ("api",), "worker": ("worker",)}


def serve(settings: Settings, role: Role) -> int:
    """Runs the server until it is told to stop; returns the exit code.

    Raises:
        SettingsError: something in the settings or the environment keeps the server from starting; nothing was started.
    """
    multiprocessing.set_start_method("fork", force=True)
    certificate = None if role == "worker" else load_certificate(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    locks = lock_roles(settings, role)
    claim = None if role == "worker" else claim_port(settings)
    metrics = metrics_directory(settings, role)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics.resolve())
    tune_allocator()

    # Imported here: the directory above must be known when prometheus-client is first imported.
    from longshore.edge.logging import configure_logging  # noqa: PLC0415
    from longshore.preparation import announce, prepare  # noqa: PLC0415
    from longshore.system.configuration import overwritten_items  # noqa: PLC0415
    from longshore.system.secret import load_secret_key  # noqa: PLC0415

    overwritten_items(settings)
    configure_logging(settings.log_level, settings.log_format)
    secret_key = load_secret_key(settings)
    password = asyncio.run(prepare(settings, secret_key, _KINDS[role]))
    announce(settings, password)
    try:
        if claim is None:
            run_worker(settings, secret_key)
            return 0
        stall_seconds = settings.transfer_timeout.total_seconds()
        listeners = Listeners(settings.host, settings.port, settings.worker_processes, stall_seconds=stall_seconds)
        claim.close()
        return _serve_http(settings, secret_key, certificate, listeners, with_worker=role == "all")
    finally:
        shutil.rmtree(metrics, ignore_errors=True)
        for lock in locks:
            lock.close()


def _serve_http(
    settings: Settings,
    secret_key: bytes,
    certificate: Certificate | None,
    listeners: Listeners,
    *,
    with_worker: bool,
) -> int:
    from longshore.app import Application  # noqa: PLC0415 - only this role pays for the import
    from longshore.lifecycle import ProcessState  # noqa: PLC0415
    from longshore.server.supervisor import Supervisor  # noqa: PLC0415

    if settings.worker_processes > 1:
        # Processes that are forked after the import share its memory. A single one imports it when /v2 serves already.
        importlib.import_module("longshore.api.app")

    def load(state: ProcessState) -> Application:
        return Application(settings, secret_key, state)

    worker = WorkerProcess(lambda: run_worker(settings, secret_key), listeners.close) if with_worker else None
    if worker is not None:
        worker.start()
    try:
        Supervisor(settings, listeners, load, certificate).run()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    finally:
        if worker is not None:
            worker.stop()
    return 0
