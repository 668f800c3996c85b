# SPDX-License-Identifier: Apache-2.0
"""`longshore`: one command for everything. Exit codes: 0 done, 1 something is wrong, 2 the call or a setting is wrong."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from longshore.cli import admin, verify
from longshore.cli.workbench import ConfigOption, Output, OutputOption, fail, settings_from
from longshore.config import SettingsError
from longshore.database.revisions import HEAD
from longshore.oci.errors import LongshoreError

app = typer.Typer(
    name="longshore",
    help="A registry for container images and every other OCI artifact.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(admin.app, name="admin")
app.command("verify")(verify.verify)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(_version())
        raise typer.Exit


def _version() -> str:
    return f"longshore {installed_version('longshore')} (schema {HEAD}, Python {sys.version.split()[0]})"


@app.callback()
def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Say which release this is.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """A registry for container images and every other OCI artifact."""


class Role(Enum):
    """What a server does."""

    ALL = "all"
    API = "api"
    WORKER = "worker"


@app.command()
def serve(
    role: Annotated[Role, typer.Option(help="all: everything; api: HTTP; worker: background work.")] = Role.ALL,
    config: ConfigOption = None,
) -> None:
    """Run the registry. Stop it with SIGTERM: transfers under way may finish."""
    from longshore.server.serve import serve as run  # noqa: PLC0415 - other commands don't pay for the server's imports

    raise typer.Exit(run(settings_from(config), role.value))


@app.command()
def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this release's schema. Running servers go on; two at once are harmless."""
    # Imported here: only this command pays for the migration tool.
    import asyncpg  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from longshore.database.migrate import migrate_postgresql, migrate_sqlite  # noqa: PLC0415

    settings = settings_from(config)
    if settings.database_url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate_sqlite(settings.sqlite_path)
    else:
        try:
            migrate_postgresql(settings.database_url.get_secret_value())
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            fail(f"LONGSHORE_DATABASE_URL: the database can't be migrated: {error}", code=1)
        except DBAPIError as error:
            fail(f"LONGSHORE_DATABASE_URL: the database can't be migrated: {error.orig}", code=1)
    typer.echo(f"The database is at revision {HEAD}.")


@app.command()
def version(output: OutputOption = Output.TEXT) -> None:
    """Say which release this is."""
    if output is Output.JSON:
        release = installed_version("longshore")
        typer.echo(json.dumps({"version": release, "schema": HEAD, "python": sys.version.split()[0]}))
    else:
        typer.echo(_version())


def main() -> None:
    """The command's entry. What goes wrong is said in a sentence, never by a traceback."""
    # Database, keys and blobs are nobody else's on this machine.
    os.umask(0o077)
    try:
        app()
    except SettingsError as error:
        fail(str(error), code=2)
    except LongshoreError as error:
        fail(str(error), code=1)
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}. Look at LONGSHORE_DATA_DIR, and who may write there.", code=1)
