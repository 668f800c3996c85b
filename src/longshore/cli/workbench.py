# SPDX-License-Identifier: Apache-2.0
"""What the commands share: settings, an open database, and how to end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from longshore.config import Settings, load_settings
from longshore.database.connection import Database

Result = TypeVar("Result")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML file with settings; the environment wins.", envvar="LONGSHORE_CONFIG"),
]


class Output(Enum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="text for people, json for scripts.")]


def settings_from(config: Path | None) -> Settings:
    """The checked settings; a wrong one ends the command."""
    return load_settings(config)


def fail(message: str, *, code: int) -> NoReturn:
    """Says what is wrong on standard error and ends with the exit code."""
    for line in message.splitlines():
        sys.stderr.write(f"longshore: {line}\n")
    sys.stderr.flush()
    raise SystemExit(code)


def with_database(config: Path | None, work: Callable[[Settings, Database], Awaitable[Result]]) -> Result:
    """Runs `work` with the settings and an open database whose schema this release can work on."""
    # Imported here: `version` and `serve` don't pay for it.
    from longshore.opening import missing_revision, open_database  # noqa: PLC0415
    from longshore.system.instance import ensure_instance  # noqa: PLC0415
    from longshore.system.secret import load_secret_key  # noqa: PLC0415

    settings = settings_from(config)

    async def run() -> Result:
        if settings.database_url is None and not settings.sqlite_path.exists():
            fail(
                f"LONGSHORE_DATA_DIR: there is no registry in {settings.data_dir.resolve()}. Start it once with"
                " `longshore serve`, or run this where its settings are.",
                code=2,
            )
        database = await open_database(settings, patient=True)
        try:
            missing = await missing_revision(database)
            if missing is not None:
                fail(missing, code=1)
            # Hashes that another key makes would be worth nothing.
            await ensure_instance(database, load_secret_key(settings))
            return await work(settings, database)
        finally:
            await database.close()

    return asyncio.run(run())
