# SPDX-License-Identifier: Apache-2.0
"""The end of an upload: its bytes become a blob (C of `docs/why/metadata.md`)."""

from __future__ import annotations

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.registry import repositories, upload_rows
from longshore.registry.blobs import link
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.upload_rows import Session

_DONE = Statement(
    "UPDATE upload_sessions SET state = 'done', verified_digest = :digest, bytes = :size, owner = NULL, owner_until = NULL,"
    " expires_at = {now} + :expiry WHERE id = :id AND owner = :owner AND state = 'completing'"
)
_TAKE_KEY = Statement("DELETE FROM upload_keys WHERE key = :key AND session_id = :id AND role = 'body'")
_INSERT_BLOB = Statement(
    "INSERT INTO blobs (digest, size, key, verified_at) VALUES (:digest, :size, :key, {now})"
    " ON CONFLICT (digest) DO NOTHING RETURNING id"
)
_EXISTING_BLOB = Statement("SELECT id, damaged FROM blobs WHERE digest = :digest FOR KEY SHARE")
_DAMAGED_BLOB = Statement("SELECT id, damaged, key, location FROM blobs WHERE digest = :digest FOR UPDATE")
_HEAL = Statement("UPDATE blobs SET key = :key, location = '', damaged = false, verified_at = {now} WHERE id = :id")
_TRASH_KEY = Statement("INSERT INTO trash (key, location, purge_after) VALUES (:key, :location, {now} + :delay)")


async def commit(
    transaction: Transaction,
    repository: Repository,
    session: Session,
    digest: Digest,
    size: int,
    *,
    owner: str,
    periods: Periods,
    leaves_keys: bool = False,
) -> None:
    """C: the bytes that `owner` wrote, synced and hashed become the blob `digest`, visible in the repository.

    Both conditional statements must hit exactly one row: otherwise the session expired or was taken over, and the key that
    this request hashed is not its own any more. Other keys that the session may have left are spent.
    """
    if session.key is None:
        raise upload_rows.unknown()
    key = str(session.key)
    done = await transaction.execute(
        _DONE,
        id=session.id,
        owner=owner,
        digest=str(digest),
        size=size,
        expiry=min(periods.done_expiry, periods.upload_expiry),
    )
    if done != 1 or await transaction.execute(_TAKE_KEY, id=session.id, key=key) != 1:
        raise upload_rows.unknown()
    if leaves_keys:
        await upload_rows.trash_keys(transaction, session.id, periods)
    current = await repositories.find(transaction, repository.project_id, repository.path)
    if current is None or current.id != session.repository_id:
        raise repositories.unknown(repository.path)
    blob_id = await _insert_blob(transaction, digest, size, key, periods)
    await link(transaction, current, blob_id, size, grace=periods.grace)


async def _insert_blob(transaction: Transaction, digest: Digest, size: int, key: str, periods: Periods) -> int:
    while True:
        blob_id: int | None = await transaction.value(_INSERT_BLOB, digest=str(digest), size=size, key=key)
        if blob_id is not None:
            return blob_id
        existing = await transaction.one(_EXISTING_BLOB, digest=str(digest))
        if existing is not None and existing[1]:
            existing = await transaction.one(_DAMAGED_BLOB, digest=str(digest))
            if existing is not None and existing[1]:
                await transaction.execute(_HEAL, id=existing[0], key=key)
                await transaction.execute(_TRASH_KEY, key=existing[2], location=existing[3], delay=periods.delay)
                return int(existing[0])
        if existing is not None:
            await transaction.execute(_TRASH_KEY, key=key, location="", delay=periods.delay)
            return int(existing[0])
        # Collected between the two statements: the digest is free again.
