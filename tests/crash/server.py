# SPDX-License-Identifier: Apache-2.0
"""A real `longshore serve` that is killed again and again, and started again on the same data."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import psutil

from tests.faults.server import Server


@dataclass(slots=True)
class KilledServer(Server):
    """A server of which something dies by the choice of `choice`."""

    choice: random.Random = field(kw_only=True)
    kills: Counter[str] = field(default_factory=Counter)

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
