# SPDX-License-Identifier: Apache-2.0
"""The product's services as one process of the random run has them, with periods short enough to see everything happen."""

from __future__ import annotations

import random
import traceback
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.postgresql import PostgreSQLDatabase
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.events.sequencer import Sequencer
from longshore.oci.errors import Conflict
from longshore.oci.names import ProjectName
from longshore.projects.service import ProjectService
from longshore.registry import collect, expiry, purge, reception, review, sweep, uploads
from longshore.registry.blobs import Blobs
from longshore.registry.collect import Collect
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.expiry import EmptyRepositories, Expire, PurgedProjects
from longshore.registry.manifests import Manifests
from longshore.registry.periods import SECOND, Periods
from longshore.registry.project_deletion import ProjectDeletion
from longshore.registry.purge import Purge
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.repository_purge import RepositoryPurge
from longshore.registry.review import Review
from longshore.registry.step import Step
from longshore.registry.sweep import Sweep
from longshore.registry.tags import Tags
from longshore.registry.undelete import Undelete
from longshore.registry.uploads import Uploads
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import BlobStore, OpenedStore
from tests.property.bucket import FolderClient
from tests.property.faults import Faults, FaultyDatabase, FaultyStore
from tests.property.notes import Notes
from tests.property.universe import PROJECTS, ProjectKind

# A request may be stopped for most of a second by the run itself, and a busy machine adds to it.
PERIODS = Periods(
    grace=400_000,
    window=250_000,
    delay=300_000,
    upload_expiry=1_000_000,
    request_timeout=3 * SECOND,
    owner_lease=150_000,
    done_expiry=300_000,
)
_PROJECT = Statement("SELECT id FROM projects WHERE name = :name AND deleted_at IS NULL")
_TTL = Statement("UPDATE projects SET untagged_ttl = :untagged_ttl WHERE id = :id")


# A blob of the universe has one to eight of them.
_PART_BYTES = 120


@dataclass(frozen=True, slots=True)
class Configuration:
    """One run: where it is, and what makes it repeatable as far as several processes can be.

    `database` is a path of SQLite or a URL of PostgreSQL; `parts` puts an object store where the folder of files was.
    """

    folder: Path
    database: str
    seed: int
    seconds: float
    processes: int
    mutant: str | None = None
    parts: bool = False

    @property
    def is_postgresql(self) -> bool:
        return self.database.startswith("postgresql")

    def unfinished_parts(self) -> list[str]:
        """Parts of uploads that nobody completed or aborted."""
        if not self.parts:
            return []
        return FolderClient(self.folder / "bucket", Faults(random.Random(0), kill=0, linger=0)).unfinished()

    def notes(self) -> Notes:
        return Notes(self.folder / "notes")


def shrink() -> None:
    """Makes constants of minutes and megabytes as short as the periods, in this process."""
    for module, name in (
        (collect, "_RETRY"),
        (review, "_RETRY"),
        (purge, "MINUTE"),
        (sweep, "MINUTE"),
    ):
        setattr(module, name, 100_000)
    for name, value in (("_PIECE", 400), ("_RECORD_BYTES", 600), ("_REREAD", 300), ("_RECORD_SECONDS", 0.05)):
        if not hasattr(reception, name):
            raise LookupError(f"reception has no {name} any more")
        setattr(reception, name, value)
    uploads._WAIT_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Registry:
    """Every service of the registry on one database and one store."""

    database: Database
    store: BlobStore
    blobs: Blobs
    uploads: Uploads
    manifests: Manifests
    tags: Tags
    deletion: ManifestDeletion
    undelete: Undelete
    repositories: RepositoryDeletion
    projects: ProjectDeletion
    project_service: ProjectService
    sequencer: Sequencer
    steps: tuple[Step, ...]

    @classmethod
    def over(cls, database: Database, store: BlobStore) -> Registry:
        blobs = Blobs(database, PERIODS)
        return cls(
            database=database,
            store=store,
            blobs=blobs,
            uploads=Uploads(database, store, blobs, PERIODS),
            manifests=Manifests(database, PERIODS),
            tags=Tags(database, PERIODS),
            deletion=ManifestDeletion(database, PERIODS),
            undelete=Undelete(database, PERIODS),
            repositories=RepositoryDeletion(database, PERIODS),
            projects=ProjectDeletion(database, PERIODS),
            project_service=ProjectService(database, PERIODS),
            sequencer=Sequencer(database),
            steps=(
                Review(database, PERIODS),
                RepositoryPurge(database),
                Purge(database, PERIODS),
                Expire(database, PERIODS),
                Collect(database, PERIODS),
                Sweep(database, store, PERIODS),
                EmptyRepositories(database, age=expiry._DAY // 400_000),
                PurgedProjects(database),
            ),
        )

    async def project_id(self, kind: ProjectKind) -> int:
        """The project of that name, made when it isn't there."""
        found: int | None = await self.value(_PROJECT, name=kind.name)
        if found is not None:
            return found
        try:
            made = await self.project_service.create(
                ProjectName.parse(kind.name), owner_id=None, sparse=kind.sparse, quota_bytes=kind.quota_bytes
            )
        except Conflict:
            again: int | None = await self.value(_PROJECT, name=kind.name)
            if again is None:
                raise
            return again
        await self.change(_TTL, id=made, untagged_ttl=kind.untagged_ttl)
        return made

    async def project_ids(self) -> list[int]:
        """Those of the world's projects that are alive."""
        found = [await self.value(_PROJECT, name=kind.name) for kind in PROJECTS]
        return [project_id for project_id in found if project_id is not None]

    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        async def run(connection: Connection) -> list[Row]:
            return await connection.all(statement, **parameters)

        return await self.database.read(run)

    async def value(self, statement: Statement, **parameters: Any) -> Any:
        async def run(connection: Connection) -> Any:
            return await connection.value(statement, **parameters)

        return await self.database.read(run)

    async def change(self, statement: Statement, **parameters: Any) -> int:
        async def run(transaction: Transaction) -> int:
            return await transaction.execute(statement, **parameters)

        return await self.database.write(run)


async def open_registry(
    configuration: Configuration, choice: random.Random, *, kill: float, linger: float
) -> tuple[Registry, Database, OpenedStore]:
    """The registry of this process, and what is to be closed at its end."""
    database: Database
    if configuration.is_postgresql:
        database = await PostgreSQLDatabase.open(configuration.database, pool_size=4)
    else:
        database = SQLiteDatabase(Path(configuration.database))
    faults = Faults(choice, kill=kill, linger=linger)
    store: OpenedStore
    if configuration.parts:
        store = PartsStore(FolderClient(configuration.folder / "bucket", faults), sizes=PartSizes(uniform=_PART_BYTES))
    else:
        files = FilesystemStore(configuration.folder / "store", reserve_bytes=0, writing_threads=4, reading_threads=2)
        await files.prepare()
        store = files
    return Registry.over(FaultyDatabase(database, faults), FaultyStore(store, faults)), database, store


def note_errors(notes: Notes) -> None:
    """Whatever the product logs as an error goes into the notes: a background step reports its failures nowhere else."""

    def keep(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in {"error", "exception", "critical"}:
            raised = traceback.format_exc() if event.get("exc_info") else ""
            notes.line("errors", f"{event} {raised}")
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
