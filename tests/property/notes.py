# SPDX-License-Identifier: Apache-2.0
"""What the processes of one run tell each other and the test: lines appended to files, which a kill can't tear."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TAIL_BYTES = 256 * 1024
# A deletion whose process was killed may have been committed by the database a moment later.
_UNFINISHED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """A repository by its project's number and its path."""

    project_id: int
    path: str


class Notes:
    """The shared folder of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def count(self, name: str) -> None:
        """Counts one more of something."""
        self._append(name, b".")

    def counted(self, name: str) -> int:
        """How many there were."""
        path = self._folder / name
        return path.stat().st_size if path.exists() else 0

    def line(self, name: str, text: str) -> None:
        """Adds one line; line ends within become spaces."""
        self._append(name, text.replace("\n", "\\n").encode() + b"\n")

    def lines(self, name: str, *, last_bytes: int | None = None) -> list[str]:
        """All lines, or those at the end."""
        path = self._folder / name
        if not path.exists():
            return []
        with path.open("rb") as file:
            cut = last_bytes is not None and path.stat().st_size > last_bytes
            if cut and last_bytes is not None:
                file.seek(-last_bytes, os.SEEK_END)
            lines = file.read().decode(errors="replace").splitlines()
        return lines[1:] if cut else lines

    def record(self, name: str, **facts: Any) -> None:
        """Adds a line of facts."""
        self.line(name, json.dumps(facts))

    def records(self, name: str, *, last_bytes: int = _TAIL_BYTES) -> list[dict[str, Any]]:
        """The latest facts, the newest last."""
        return [json.loads(line) for line in self.lines(name, last_bytes=last_bytes)]

    def violation(self, text: str) -> None:
        """Something happened that the registry promises never to happen."""
        self.line("violations", f"{time.monotonic():.3f} {text}")

    @contextmanager
    def disturbing(self, project_id: int, path: str | None = None, what: str = "") -> Iterator[None]:
        """Says for how long something is being taken away on purpose: a project, a repository, or something in it."""
        name = uuid.uuid4().hex
        began = time.monotonic()
        self.record("disturbances", id=name, project_id=project_id, path=path, what=what, at=began)
        try:
            yield
        finally:
            self.record("disturbances", id=name, done=time.monotonic())

    def disturbed(self, place: Place, since: float, *whats: str) -> bool:
        """Whether since then the repository, or one of these things in it, was being taken away on purpose."""
        ends: dict[str, float] = {}
        begun: list[dict[str, Any]] = []
        for fact in self.records("disturbances"):
            if "done" in fact:
                ends[fact["id"]] = fact["done"]
            elif fact["project_id"] == place.project_id and fact["path"] in {None, place.path}:
                begun.append(fact)
        return any(
            (not fact["what"] or fact["what"] in whats)
            and ends.get(fact["id"], fact["at"] + _UNFINISHED_SECONDS) >= since
            for fact in begun
        )

    def _append(self, name: str, data: bytes) -> None:
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
