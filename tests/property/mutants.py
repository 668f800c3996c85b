# SPDX-License-Identifier: Apache-2.0
"""Small wrongs, each of which breaks one rule of `docs/why/metadata.md` in this process.

A checker that finds nothing has shown nothing. So each of these is put into the product's code, in the processes of one random
run, and the run has to notice it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from longshore.database.connection import Dialect, Transaction
from longshore.database.statement import Statement
from longshore.oci.digest import Algorithm, Digest
from longshore.registry import (
    blobs,
    collect,
    deletion,
    ledger,
    manifests,
    purge,
    reception,
    upload_commit,
    upload_opening,
    upload_rows,
    uploads,
)
from longshore.registry.locking import LockedRepository
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.storage.port import ObjectKey, ObjectMissing
from tests.property.registry import Configuration

BOTH = (Dialect.SQLITE, Dialect.POSTGRESQL)
_NOTHING = Statement("SELECT 1 WHERE false")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong, and on which databases it is one: SQLite has a single writer, so locks don't matter there."""

    rule: str
    apply: Callable[[Configuration], None]
    dialects: tuple[Dialect, ...] = BOTH


def _replace(module: object, name: str, old: str, new: str) -> None:
    """Rewrites one statement of the product; says so when the product has changed and the mutant changes nothing."""
    statement: Statement = getattr(module, name)
    if old not in statement.text:
        raise LookupError(f"{name} has no {old!r} any more; write the mutant anew")
    setattr(module, name, Statement(statement.text.replace(old, new)))


def _head_promises_without_renewing(_: Configuration) -> None:
    _replace(blobs, "_PROMISE", "rb.lease_until > {now} + :half OR", "rb.lease_until > {now} + 0 * :half OR")


def _purge_leases_unused_only(_: Configuration) -> None:
    """… and without lock ①, as a purge that decides by itself might be written."""
    _replace(
        purge,
        "_LEASE",
        "blob_id = ANY(:blob_ids)",
        "blob_id = ANY(:blob_ids) AND 1 = (SELECT count(*) FROM manifest_blobs mb"
        " WHERE mb.repository_id = repository_blobs.repository_id AND mb.blob_id = repository_blobs.blob_id)",
    )
    unlocked = Statement(
        "SELECT id, project_id, name, deleted_at, purge_after, {now}, deletion_id FROM repositories WHERE id = :repository_id"
    )

    async def look_by_id(transaction: Transaction, repository_id: int) -> LockedRepository | None:
        # A function of its own: exchanging the statement itself would take lock ① from the other steps as well.
        row = await transaction.one(unlocked, repository_id=repository_id)
        if row is None:
            return None
        return LockedRepository(
            repository=Repository(row[0], row[1], row[2]),
            deleted=row[3] is not None,
            expired=row[4] is not None and row[4] < row[5],
            deletion_id=row[6],
        )

    purge.lock_by_id = look_by_id  # type: ignore[attr-defined] # the name that purge imported


def _count_without_lock(_: Configuration) -> None:
    _replace(ledger, "_SHARE", "FOR KEY SHARE", "")


def _uncount_without_lock(_: Configuration) -> None:
    _replace(ledger, "_LOCK", "FOR UPDATE", "")


def _visible_by_lease_alone(_: Configuration) -> None:
    for module, name in ((blobs, "_FIND"), (blobs, "_PROMISE"), (blobs, "_MOUNTABLE"), (manifests, "_MEMBERSHIPS")):
        statement: Statement = getattr(module, name)
        text = statement.text.replace("mb.repository_id = rb.repository_id AND mb.blob_id = rb.blob_id", "false")
        if text == statement.text:
            raise LookupError(f"{name} doesn't ask for edges any more; write the mutant anew")
        setattr(module, name, Statement(text))


def _bytes_removed_before_commit(configuration: Configuration) -> None:
    original = collect._settle_projects

    async def settle(transaction: Transaction, blob_id: int, project_ids: Any, blob: Any, periods: Periods) -> int:
        freed = await original(transaction, blob_id, project_ids, blob, periods)
        if freed:
            (configuration.folder / "store" / str(blob["key"])).unlink(missing_ok=True)
        return freed

    collect._settle_projects = settle


def _row_committed_before_bytes(_: Configuration) -> None:
    original = uploads.Uploads.finish

    async def finish(  # the product's own signature
        self: uploads.Uploads,
        project_id: int,
        path: str,
        session_id: str,
        digest: Digest,
        body: AsyncIterator[bytes],
        **named: Any,
    ) -> None:
        pieces = [piece async for piece in body]
        session = await self._look(project_id, path, session_id)
        if session.received or session.availability is not upload_rows.Availability.FREE or session.key is None:

            async def again() -> AsyncIterator[bytes]:
                for piece in pieces:
                    yield piece

            await original(self, project_id, path, session_id, digest, again(), **named)
            return
        session = await self._claim(project_id, path, session_id, None, owner=session_id, completing=True)
        size = sum(len(piece) for piece in pieces)
        await self._commit(project_id, path, session, digest, size, owner=session_id)
        if session.key is not None:
            writer = await self._opening._begin(session.key, None)
            await writer.append(pieces, digest.algorithm.hasher())
            await writer.close()

    uploads.Uploads.finish = finish  # type: ignore[method-assign] # that is what a mutant does


def _session_recorded_after_its_bytes(configuration: Configuration) -> None:
    original = upload_rows.start

    async def start(transaction: Transaction, *arguments: Any, key: ObjectKey, **named: Any) -> Any:
        descriptor = os.open(configuration.folder / "store" / str(key), os.O_CREAT | os.O_WRONLY)
        os.close(descriptor)
        return await original(transaction, *arguments, key=key, **named)

    upload_rows.start = start


def _collector_forgets_to_uncount(_: Configuration) -> None:
    _replace(ledger, "_UNCOUNT_PROJECTS", "AND counted AND", "AND counted AND false AND")


def _link_leaves_held_lease(_: Configuration) -> None:
    _replace(
        blobs,
        "_LINK_REPOSITORY",
        "lease_until = excluded.lease_until",
        "lease_until = CASE WHEN repository_blobs.lease_until IS NULL THEN NULL ELSE excluded.lease_until END",
    )


def _commit_without_fencing(_: Configuration) -> None:
    """A request that was overtaken commits all the same."""
    _replace(upload_commit, "_DONE", "AND owner = :owner AND state = 'completing'", "AND :owner = :owner")
    _replace(upload_commit, "_TAKE_KEY", "key = :key AND session_id", "(key = :key OR true) AND session_id")


def _purge_leaves_leases_alone(_: Configuration) -> None:
    _replace(
        purge, "_LEASE", "lease_until = {now} + :grace", "lease_until = lease_until, hidden_at = hidden_at + 0 * :grace"
    )


def _takeover_shares_the_body(_: Configuration) -> None:
    """An abandoned upload goes on in the file that its old owner may still write to."""

    async def share(
        self: upload_opening.UploadOpening, session: Any, owner: str, old: ObjectKey, algorithm: Any
    ) -> reception.Reception:
        try:
            writer = await self._store.resume(old, session.received)
        except ObjectMissing:
            writer = await self._store.create(old)
        chosen = algorithm or Algorithm(session.algorithm)
        return reception.Reception(
            self._database, self._periods, session, owner, writer, None, reception.NoHasher(), chosen
        )

    upload_opening.UploadOpening._copy = share  # type: ignore[method-assign] # that is what a mutant does


def _deletion_keeps_counting(_: Configuration) -> None:
    async def uncount(*_arguments: Any, **_named: Any) -> None:
        """Forgets to give the quota back."""

    deletion.ledger = type("ledger", (), {"uncount": staticmethod(uncount)})  # type: ignore[attr-defined,assignment] # a mutant


MUTANTS: dict[str, Mutant] = {
    "head_promises_without_renewing": Mutant("H extends the lease it promises", _head_promises_without_renewing),
    "purge_leases_unused_only": Mutant(
        "X leases all blobs it held, under ①", _purge_leases_unused_only, (Dialect.POSTGRESQL,)
    ),
    "purge_leaves_leases_alone": Mutant("X leases all blobs it held", _purge_leaves_leases_alone),
    "count_without_lock": Mutant("count takes the rows FOR KEY SHARE", _count_without_lock, (Dialect.POSTGRESQL,)),
    "uncount_without_lock": Mutant("uncount locks the rows first", _uncount_without_lock, (Dialect.POSTGRESQL,)),
    "visible_by_lease_alone": Mutant("an edge makes a blob visible", _visible_by_lease_alone),
    "bytes_removed_before_commit": Mutant("G moves the key to the trash", _bytes_removed_before_commit),
    "row_committed_before_bytes": Mutant("C comes after the bytes", _row_committed_before_bytes),
    "session_recorded_after_its_bytes": Mutant("S comes before the bytes", _session_recorded_after_its_bytes),
    "collector_forgets_to_uncount": Mutant("G uncounts", _collector_forgets_to_uncount),
    "link_leaves_held_lease": Mutant("link sets the lease of a held membership", _link_leaves_held_lease),
    "commit_without_fencing": Mutant("C is fenced by owner and key", _commit_without_fencing),
    "takeover_shares_the_body": Mutant("a takeover copies", _takeover_shares_the_body),
    "deletion_keeps_counting": Mutant("D uncounts", _deletion_keeps_counting),
}
