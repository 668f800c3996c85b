# SPDX-License-Identifier: Apache-2.0
"""A real `longshore serve` that things happen to, and that is started again on the same data."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from tests.acceptance.server import (
    Login,
    Registry,
    check_log,
    free_port,
    log_tail,
    longshore,
    longshore_command,
    stop,
    wait_until_ready,
)

KEY = "a-secret-key-of-the-tests-0123456789"
_START_ATTEMPTS = 60
_SETTLE_SECONDS = 60
_GONE_SECONDS = 10
# Which process takes a connection is the kernel's choice: so many in a row leave no process unasked.
_ANSWERS_IN_A_ROW = 20


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Waits until the condition is true and gives the seconds that took; raises AssertionError when it doesn't come."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass(slots=True)
class Server:
    """A server below `directory`; `settings` are further environment variables, `prefix` a command to run it with.

    Inside a `with` block it runs. Whatever becomes of the test, nothing of it goes on running afterwards.
    """

    directory: Path
    settings: dict[str, str]
    arguments: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    registry: Registry = field(init=False)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        port = free_port()
        admin = Login(username="admin", password="Harbor12345")
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONFAULTHANDLER": "1",
            "LONGSHORE_HOST": "127.0.0.1",
            "LONGSHORE_PORT": str(port),
            "LONGSHORE_DATA_DIR": str(self.directory / "data"),
            "LONGSHORE_ADMIN_PASSWORD": admin.password,
            "LONGSHORE_SECRET_KEY": KEY,
            **self.settings,
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        self.registry = Registry(
            host=f"127.0.0.1:{port}", admin=admin, environment=environment, log=self.directory / "server.log"
        )

    def __enter__(self) -> Self:
        if "LONGSHORE_DATABASE_URL" in self.registry.environment:
            longshore(self.registry.environment, "migrate")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def launch(self) -> None:
        """Starts the process and doesn't wait for it."""
        with self.registry.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, *longshore_command("serve", *self.arguments)],
                env=self.registry.environment,
                cwd=self.directory,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Starts it and waits until it serves; what is left of a killed one may hold its place for a second."""
        for _ in range(_START_ATTEMPTS):
            self.launch()
            assert self.process is not None
            try:
                wait_until_ready(self.process, self.registry)
            except AssertionError:
                if self.process.poll() is None:
                    self.kill()
                    raise
                time.sleep(0.25)
            else:
                return
        raise AssertionError(f"the server doesn't start again:\n{log_tail(self.registry.log, 10)}")

    def kill(self) -> None:
        """Kills the supervisor, whose processes go with it."""
        if self.process is None:
            return
        children = self.processes() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(children, timeout=_GONE_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """The supervisor's processes, the oldest first: the worker before the HTTP processes."""
        assert self.process is not None
        return sorted(psutil.Process(self.process.pid).children(), key=lambda child: child.create_time())

    def memory(self) -> int:
        """Bytes that all of its processes have for themselves."""
        return sum(process.memory_full_info().uss for process in self.processes())

    def ready(self) -> bool:
        """Whether `/readyz` says so, on a new connection."""
        try:
            with self.registry.client() as client:
                return client.get("/readyz", timeout=10).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def settle(self) -> None:
        """Waits until every process serves again after the last fault; raises AssertionError when one doesn't."""
        answers, until = 0, time.monotonic() + _SETTLE_SECONDS
        while answers < _ANSWERS_IN_A_ROW:
            assert time.monotonic() < until, (
                f"not ready again after {_SETTLE_SECONDS} s:\n{log_tail(self.registry.log)}"
            )
            ready = self.ready()
            answers = answers + 1 if ready else 0
            if not ready:
                time.sleep(0.1)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What it logged beside requests, or all that has one name."""
        lines = [json.loads(line) for line in self.registry.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name or (not name and line["event"] != "request")]

    def stop(self) -> None:
        """Ends it as a service manager does; nothing that it answered may have been an internal error."""
        assert self.process is not None
        stop(self.process, self.registry.log)
        check_log(self.registry.log)

    def verify(self) -> None:
        """Database and store tell the same."""
        longshore(self.registry.environment, "verify", "--deep")

    def finish(self) -> None:
        """The end of a test whose faults are over: a clean exit, a log without internal errors, nothing lost."""
        self.stop()
        self.verify()
