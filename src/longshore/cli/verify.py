# SPDX-License-Identifier: Apache-2.0
"""`longshore verify`: do the database and the store tell the same?"""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import aclosing
from enum import Enum
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from longshore.cli.workbench import ConfigOption, Output, OutputOption, fail, with_database
from longshore.config import Settings
from longshore.database.connection import Database
from longshore.marking import open_marked_store
from longshore.opening import periods_of
from longshore.registry.findings import Finding, OrphanReport, VerificationProgress
from longshore.registry.orphans import Orphans
from longshore.registry.verify import Verification
from longshore.system.instance import ensure_instance
from longshore.system.secret import load_secret_key


def verify(
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Also read every blob and compare its digest.")] = False,
    report_only: Annotated[
        bool,
        typer.Option("--report-only", help="With --deep: do not mark what is damaged for healing by the next push."),
    ] = False,
    mark_missing: Annotated[
        bool, typer.Option("--mark-missing", help="Let the next push of a blob without an object bring it back.")
    ] = False,
    orphans: Annotated[bool, typer.Option("--orphans", help="With --delete: objects that nothing owns.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the orphans that are older than the delay.")] = False,
    yes_really: Annotated[
        bool, typer.Option("--yes-really", help="Remove them even when they are more than 1 % of all objects.")
    ] = False,
    output: OutputOption = Output.TEXT,
    config: ConfigOption = None,
) -> None:
    """Compare database and store, both ways, beside a running server. Exits with 1 when anything is wrong."""
    if orphans != delete:
        fail("--orphans and --delete go together: a run without them reports orphans among all findings.", code=2)
    if yes_really and not delete:
        fail("--yes-really goes with --orphans --delete.", code=2)

    async def work(settings: Settings, database: Database) -> int:
        instance_id = await ensure_instance(database, load_secret_key(settings))
        store = await open_marked_store(settings, instance_id, database)
        try:
            if delete:
                removal = Orphans(database, store, periods_of(settings))
                report = await removal.delete(database_id=instance_id, yes_really=yes_really)
                _say_removed(report, output)
                return 0
            verification = Verification(database, store, mark_damaged=not report_only, mark_missing=mark_missing)
            return await _run(verification, deep=deep, output=output)
        finally:
            await store.close()

    raise typer.Exit(with_database(config, work))


async def _run(verification: Verification, *, deep: bool, output: Output) -> int:
    findings = 0
    with _Reporter(output) as reporter:
        async with aclosing(verification.run(deep=deep)) as items:
            async for item in items:
                if isinstance(item, Finding):
                    findings += 1
                    reporter.finding(item)
                else:
                    reporter.progress(item)
    reporter.summary(findings)
    return 1 if findings else 0


class _Reporter:
    """Findings go to standard output as they are made; progress goes to standard error."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: VerificationProgress | None = None
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def finding(self, finding: Finding) -> None:
        """Tells one thing that is wrong."""
        if self._output is Output.JSON:
            typer.echo(json.dumps({"finding": _plain(finding)}))
            return
        typer.echo(f"{finding.problem.value}: {finding.message}")
        for affected in finding.affected:
            tag = (
                f"{affected.repository}:{affected.tag}"
                if affected.tag
                else f"{affected.repository}@{affected.manifest}"
            )
            typer.echo(f"    affects {tag}")

    def progress(self, progress: VerificationProgress) -> None:
        """Tells how far it is."""
        self._last = progress
        if self._task is None:
            self._task = self._bar.add_task(progress.phase.value)
        self._bar.update(
            self._task,
            description=progress.phase.value,
            completed=progress.rows,
            total=max(progress.total, progress.rows),
        )

    def summary(self, findings: int) -> None:
        """The last line."""
        last = self._last
        figures = {"findings": findings, "keys": 0, "objects": 0, "bytes_read": 0}
        if last is not None:
            figures |= {"keys": last.rows, "objects": last.objects, "bytes_read": last.bytes}
        if self._output is Output.JSON:
            typer.echo(json.dumps({"summary": figures}))
            return
        wrong = "One thing is wrong" if findings == 1 else f"{findings:,} things are wrong"
        verdict = wrong if findings else "Everything is right"
        read = f", {figures['bytes_read']:,} bytes read" if figures["bytes_read"] else ""
        typer.echo(f"{verdict}: {figures['keys']:,} keys and {figures['objects']:,} objects compared{read}.")


def _say_removed(report: OrphanReport, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(dataclasses.asdict(report)))
    else:
        typer.echo(f"Removed {report.deleted:,} of {report.objects:,} objects, {report.size:,} bytes.")


def _plain(value: Any) -> Any:
    """A frozen value as JSON has it."""
    return json.loads(json.dumps(dataclasses.asdict(value), default=_value))


def _value(item: object) -> object:
    return item.value if isinstance(item, Enum) else str(item)
