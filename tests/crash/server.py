# SPDX-License-Identifier: Apache-2.0
"""A real `longshore serve` that is killed again and again, and started again on the same data."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

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

_START_ATTEMPTS = 60
_SETTLE_SECONDS = 60
# Which process takes a connection is the kernel's choice: so many in a row leave no process unasked.
_ANSWERS_IN_A_ROW = 20


@dataclass(slots=True)
class KilledServer:
    """A server below `directory`; `settings` are further environment variables."""

    directory: Path
    settings: dict[str, str]
    choice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    registry: Registry = field(init=False)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        port = free_port()
        admin = Login(username="admin", password="Harbor12345")
        environment = {
            "PATH": "/usr/bin:/bin",
            "LONGSHORE_HOST": "127.0.0.1",
            "LONGSHORE_PORT": str(port),
            "LONGSHORE_DATA_DIR": str(self.directory / "data"),
            "LONGSHORE_ADMIN_PASSWORD": admin.password,
            **self.settings,
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        self.registry = Registry(
            host=f"127.0.0.1:{port}", admin=admin, environment=environment, log=self.directory / "server.log"
        )
        if "LONGSHORE_DATABASE_URL" in environment:
            longshore(environment, "migrate")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever became of the test, nothing of it goes on running."""
        self.kill()

    def start(self) -> None:
        """Starts it and waits until it serves; what is left of a killed one may hold its place for a second."""
        for _ in range(_START_ATTEMPTS):
            with self.registry.log.open("ab") as output:
                self.process = subprocess.Popen(
                    longshore_command("serve"),
                    env=self.registry.environment,
                    cwd=self.directory,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            try:
                wait_until_ready(self.process, self.registry)
            except AssertionError:
                if self.process.poll() is None:
                    self.kill()
                    raise
                time.sleep(0.25)
            else:
                return
        raise AssertionError("the server doesn't start again")

    def kill(self) -> None:
        """Kills the supervisor, whose processes go with it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kill_something(self) -> None:
        """Kills the supervisor, or one of its processes: an HTTP process or the worker."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        children = sorted(supervisor.children(), key=lambda child: child.pid)
        if not children or self.choice.random() < 0.3:
            self.kills["supervisor"] += 1
            self.kill()
            self.start()
            return
        self.kills["process"] += 1
        self.choice.choice(children).kill()

    def settle(self) -> None:
        """Waits until every process serves again after the last kill; raises AssertionError when one doesn't."""
        answers, until = 0, time.monotonic() + _SETTLE_SECONDS
        while answers < _ANSWERS_IN_A_ROW:
            assert time.monotonic() < until, (
                f"not ready again after {_SETTLE_SECONDS} s:\n{log_tail(self.registry.log)}"
            )
            try:
                with self.registry.client() as client:
                    ready = client.get("/readyz").status_code == httpx.codes.OK
            except httpx.TransportError:
                ready = False
            answers = answers + 1 if ready else 0
            if not ready:
                time.sleep(0.1)

    def stop(self) -> None:
        """Ends it as a service manager does; nothing that it answered may have been an internal error."""
        assert self.process is not None
        stop(self.process, self.registry.log)
        check_log(self.registry.log)

    def verify(self) -> None:
        """Database and store tell the same."""
        longshore(self.registry.environment, "verify", "--deep")
