# SPDX-License-Identifier: Apache-2.0
"""The rows of an upload session: every transaction of S, P, C and the takeover (`docs/why/push.md`).

`open → receiving → open → completing → done`. Whoever holds the session holds it by `owner`, a random text of one request, and
every change is conditional on it, so that a request that was thought dead can do no harm when it wakes up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from longshore.database.connection import Connection, Transaction
from longshore.database.statement import Statement
from longshore.oci.digest import Algorithm, Digest
from longshore.oci.errors import BlobUploadUnknown
from longshore.registry import quota, repositories
from longshore.registry.models import Upload
from longshore.registry.periods import Periods
from longshore.storage.port import NO_STATE, Checkpoint, ObjectKey

_USAGE = Statement(
    "SELECT u.used_bytes, p.quota_bytes FROM project_usage u JOIN projects p ON p.id = u.project_id"
    " WHERE u.project_id = :project_id"
)
_INSERT = Statement(
    "INSERT INTO upload_sessions (id, repository_id, created_at, expires_at)"
    " VALUES (:id, :repository_id, {now}, {now} + :expiry)"
)
_INSERT_KEY = Statement("INSERT INTO upload_keys (key, session_id, role) VALUES (:key, :id, :role)")
_LOOK = Statement(
    "SELECT s.state, s.bytes, s.digest_so_far, s.algorithm, s.verified_digest, k.key,"
    # A lease that ends in an hour was given before the clock was put back: no lease is that long.
    " (s.owner_until IS NOT NULL AND (s.owner_until <= {now} OR s.owner_until > {now} + 3600000000)) AS lapsed,"
    " s.repository_id, k.backend"
    " FROM upload_sessions s JOIN repositories r ON r.id = s.repository_id"
    " LEFT JOIN upload_keys k ON k.session_id = s.id AND k.role = 'body'"
    " WHERE s.id = :id AND r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL"
    " AND s.expires_at > {now}"
)
_LOCK = Statement(_LOOK.text + " FOR UPDATE OF s")
_CLAIM = Statement(
    "UPDATE upload_sessions SET state = :state, owner = :owner, owner_until = {now} + :lease, expires_at = {now} + :expiry"
    " WHERE id = :id"
)
_PROGRESS = Statement(
    "UPDATE upload_sessions SET bytes = :bytes, digest_so_far = :digest_so_far, algorithm = :algorithm,"
    " owner_until = {now} + :lease, expires_at = {now} + :expiry WHERE id = :id AND owner = :owner"
)
_RELEASE = Statement(
    "UPDATE upload_sessions SET state = 'open', owner = NULL, owner_until = NULL, bytes = :bytes,"
    " digest_so_far = :digest_so_far, algorithm = :algorithm, expires_at = {now} + :expiry"
    " WHERE id = :id AND owner = :owner"
)
_KEEP = Statement("UPDATE upload_sessions SET owner_until = {now} + :lease WHERE id = :id AND owner = :owner")
_LAPSE = Statement("UPDATE upload_sessions SET owner_until = {now} WHERE id = :id AND owner = :owner")
_MOVE_TO_TRASH = Statement(
    "INSERT INTO trash (key, backend, purge_after) SELECT key, backend, {now} + :delay FROM upload_keys"
    " WHERE session_id = :id AND role = :role"
)
_DELETE_KEYS = Statement("DELETE FROM upload_keys WHERE session_id = :id AND role = :role")
_RECORD = Statement("UPDATE upload_keys SET backend = :state WHERE session_id = :id AND role = 'body'")
_DEMOTE = Statement("UPDATE upload_keys SET role = 'tail' WHERE session_id = :id AND role = 'body'")
_SPENT_TO_TRASH = Statement(
    "INSERT INTO trash (key, backend, purge_after) SELECT key, backend, {now} + :delay FROM upload_keys"
    " WHERE session_id = :id AND role <> 'body' AND NOT key = ANY(:helpers)"
)
_DELETE_SPENT = Statement(
    "DELETE FROM upload_keys WHERE session_id = :id AND role <> 'body' AND NOT key = ANY(:helpers)"
)
_VERIFIED = Statement("UPDATE upload_sessions SET verified_digest = :digest WHERE id = :id AND owner = :owner")
_PROMOTE = Statement("UPDATE upload_keys SET role = 'body' WHERE key = :key AND session_id = :id AND role = 'copy'")
_ALL_TO_TRASH = Statement(
    "INSERT INTO trash (key, backend, purge_after) SELECT key, backend, {now} + :delay FROM upload_keys"
    " WHERE session_id = :id"
)
_DELETE_ALL_KEYS = Statement("DELETE FROM upload_keys WHERE session_id = :id")
_DELETE = Statement("DELETE FROM upload_sessions WHERE id = :id")
_LOCK_OWNED = Statement("SELECT 1 FROM upload_sessions WHERE id = :id AND owner = :owner FOR UPDATE")


class Availability(Enum):
    """Whether a request may have the session now."""

    FREE = "free"
    BUSY = "busy"
    ABANDONED = "abandoned"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An upload session as its row said a moment ago.

    Attributes:
        backend: The store's state of the object, `NO_STATE` where the object speaks for itself.
        verified_digest: The digest of the whole, once all of it was compared; it may not be an object yet.
    """

    id: str
    repository_id: int
    received: int
    digest_so_far: str | None
    algorithm: str
    verified_digest: str | None
    key: ObjectKey | None
    availability: Availability
    backend: str = NO_STATE

    @property
    def is_unfinished(self) -> bool:
        """Whether the store has more to do before there is an object."""
        return self.backend != NO_STATE


async def start(
    transaction: Transaction,
    project_id: int,
    path: str,
    *,
    session_id: str,
    key: ObjectKey,
    declared: int,
    periods: Periods,
) -> Upload:
    """S: a session and its key, before the key's first byte.

    Raises:
        QuotaExceeded: the project is full, or `declared` bytes do not fit.
    """
    repository = await repositories.find_or_create(transaction, project_id, path)
    await check_quota(transaction, project_id, declared)
    await transaction.execute(_INSERT, id=session_id, repository_id=repository.id, expiry=periods.upload_expiry)
    await add_key(transaction, session_id, key, role="body")
    return Upload(session_id, 0)


async def check_quota(connection: Connection, project_id: int, size: int) -> None:
    """Refuses an upload that can't be committed later; the commit itself checks exactly."""
    usage = await connection.one(_USAGE, project_id=project_id)
    if usage is None or usage[1] is None or usage[0] + max(size, 1) <= usage[1]:
        return
    if await quota.is_enforced(connection):
        raise await quota.exceeded(connection, project_id, added=max(size, 1), used=usage[0], limit=usage[1])


async def look(connection: Connection, project_id: int, path: str, session_id: str, *, lock: bool = False) -> Session:
    """The session as it is now.

    Raises:
        BlobUploadUnknown: there is none of that id in that repository, or it is over.
    """
    row = await connection.one(_LOCK if lock else _LOOK, id=session_id, project_id=project_id, path=path)
    if row is None:
        raise unknown()
    state = row[0]
    if state == "done":
        availability = Availability.DONE
    elif state == "open":
        availability = Availability.FREE
    else:
        availability = Availability.ABANDONED if row[6] else Availability.BUSY
    return Session(
        id=session_id,
        repository_id=row[7],
        received=row[1],
        digest_so_far=row[2],
        algorithm=row[3],
        verified_digest=row[4],
        key=None if row[5] is None else ObjectKey(row[5]),
        availability=availability,
        backend=row[8] or NO_STATE,
    )


async def claim(
    transaction: Transaction,
    project_id: int,
    path: str,
    session_id: str,
    *,
    owner: str,
    completing: bool,
    periods: Periods,
) -> Session:
    """Takes the session for one request when it is free or abandoned; otherwise says that it is busy or done."""
    session = await look(transaction, project_id, path, session_id, lock=True)
    if session.availability in {Availability.FREE, Availability.ABANDONED}:
        await own(transaction, session, owner=owner, completing=completing, periods=periods)
    return session


async def own(transaction: Transaction, session: Session, *, owner: str, completing: bool, periods: Periods) -> None:
    """Makes a session that was looked at under its lock this request's own."""
    await transaction.execute(
        _CLAIM,
        id=session.id,
        owner=owner,
        state="completing" if completing else "receiving",
        lease=periods.owner_lease,
        expiry=periods.upload_expiry,
    )


async def take_over(transaction: Transaction, session_id: str, *, owner: str, key: ObjectKey, periods: Periods) -> None:
    """First half of a takeover: a key for the copy. An earlier copy that was given up goes to the trash."""
    await _require_owned(transaction, session_id, owner)
    await transaction.execute(_MOVE_TO_TRASH, id=session_id, role="copy", delay=periods.delay)
    await transaction.execute(_DELETE_KEYS, id=session_id, role="copy")
    await add_key(transaction, session_id, key, role="copy")


async def promote_copy(
    transaction: Transaction, session_id: str, *, owner: str, key: ObjectKey, periods: Periods
) -> None:
    """Second half of a takeover: the copy becomes the body, and what a zombie may still write to goes to the trash."""
    await _require_owned(transaction, session_id, owner)
    await transaction.execute(_MOVE_TO_TRASH, id=session_id, role="body", delay=periods.delay)
    await transaction.execute(_DELETE_KEYS, id=session_id, role="body")
    if not await transaction.execute(_PROMOTE, key=str(key), id=session_id):
        raise unknown()


def taken_over(session: Session, key: ObjectKey, algorithm: Algorithm) -> Session:
    """The session after its takeover: the copy is its body, and nobody else writes to it."""
    return replace(session, key=key, algorithm=algorithm.value, availability=Availability.FREE)


async def add_key(transaction: Transaction, session_id: str, key: ObjectKey, *, role: str) -> None:
    """A key of the session, before its first byte."""
    await transaction.execute(_INSERT_KEY, key=str(key), id=session_id, role=role)


async def replace_body(transaction: Transaction, session_id: str, key: ObjectKey) -> None:
    """Gives the object a fresh key; the former one is a helper's now, which `record` keeps or trashes."""
    await transaction.execute(_DEMOTE, id=session_id)
    await add_key(transaction, session_id, key, role="body")


async def record(transaction: Transaction, session_id: str, checkpoint: Checkpoint, *, periods: Periods) -> None:
    """Keeps the store's state of the object; helpers' keys that the checkpoint doesn't name are spent."""
    await transaction.execute(_RECORD, id=session_id, state=checkpoint.state)
    helpers = [str(key) for key in checkpoint.helpers]
    await transaction.execute(_SPENT_TO_TRASH, id=session_id, helpers=helpers, delay=periods.delay)
    await transaction.execute(_DELETE_SPENT, id=session_id, helpers=helpers)


async def verified(transaction: Transaction, session_id: str, digest: Digest, *, owner: str) -> None:
    """Remembers that all bytes were compared with the digest, before the store makes an object of them."""
    await transaction.execute(_VERIFIED, id=session_id, digest=str(digest), owner=owner)


async def lapse(transaction: Transaction, session_id: str, *, owner: str) -> None:
    """Gives a session up whose object somebody may still write to: whoever comes next takes it over."""
    await transaction.execute(_LAPSE, id=session_id, owner=owner)


async def keep(transaction: Transaction, session_id: str, *, owner: str, periods: Periods) -> None:
    """Renews the owner's lease while work goes on that brings no bytes, such as reading the body once more."""
    if not await transaction.execute(_KEEP, id=session_id, owner=owner, lease=periods.owner_lease):
        raise unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is durable of an upload.

    Attributes:
        received: Bytes that another request can go on from.
        digest_so_far: Their digest, None when no hash state covers them.
        algorithm: The digest's.
        checkpoint: What the store has to know to go on from there; None when the rows say it already.
    """

    received: int
    digest_so_far: str | None
    algorithm: str
    checkpoint: Checkpoint | None = None


async def progress(
    transaction: Transaction,
    session_id: str,
    project_id: int | None,
    reached: Progress,
    *,
    owner: str,
    release: bool,
    periods: Periods,
) -> None:
    """P: records what is durable; at the end of a request the session becomes free again.

    Without `project_id` nothing was added, and the quota isn't asked.

    Raises:
        BlobUploadUnknown: another request has taken over, or the session is gone.
        QuotaExceeded: what is received can't be committed any more.
    """
    parameters = {
        "id": session_id,
        "owner": owner,
        "bytes": reached.received,
        "digest_so_far": reached.digest_so_far,
        "algorithm": reached.algorithm,
        "expiry": periods.upload_expiry,
    }
    if release:
        hit = await transaction.execute(_RELEASE, **parameters)
    else:
        hit = await transaction.execute(_PROGRESS, **parameters, lease=periods.owner_lease)
    if not hit:
        raise unknown()
    if reached.checkpoint is not None:
        await record(transaction, session_id, reached.checkpoint, periods=periods)
    if project_id is not None:
        await check_quota(transaction, project_id, reached.received)


async def give_back(transaction: Transaction, session: Session, *, owner: str, periods: Periods) -> None:
    """Ends a claim that touched nothing. What was abandoned stays abandoned: a zombie may still write to its object."""
    if session.availability is Availability.ABANDONED:
        await lapse(transaction, session.id, owner=owner)
        return
    await transaction.execute(
        _RELEASE,
        id=session.id,
        owner=owner,
        bytes=session.received,
        digest_so_far=session.digest_so_far,
        algorithm=session.algorithm,
        expiry=periods.upload_expiry,
    )


async def discard(transaction: Transaction, session_id: str, *, owner: str, periods: Periods) -> bool:
    """Ends a session that its owner gives up; its keys go to the trash. False when somebody else has it by now."""
    if await transaction.value(_LOCK_OWNED, id=session_id, owner=owner) is None:
        return False
    await _end(transaction, session_id, periods)
    return True


async def cancel(transaction: Transaction, project_id: int, path: str, session_id: str, *, periods: Periods) -> None:
    """Ends a session that a client gives up, also one that somebody is sending to: that request finds it gone.

    Raises:
        BlobUploadUnknown: there is none, or it is finished.
    """
    session = await look(transaction, project_id, path, session_id, lock=True)
    if session.availability is Availability.DONE:
        raise unknown()
    await _end(transaction, session_id, periods)


async def _end(transaction: Transaction, session_id: str, periods: Periods) -> None:
    await trash_keys(transaction, session_id, periods)
    await transaction.execute(_DELETE, id=session_id)


async def trash_keys(transaction: Transaction, session_id: str, periods: Periods) -> None:
    """All keys that the session still has go to the trash."""
    await transaction.execute(_ALL_TO_TRASH, id=session_id, delay=periods.delay)
    await transaction.execute(_DELETE_ALL_KEYS, id=session_id)


async def _require_owned(transaction: Transaction, session_id: str, owner: str) -> None:
    if await transaction.value(_LOCK_OWNED, id=session_id, owner=owner) is None:
        raise unknown()


def unknown() -> BlobUploadUnknown:
    """The answer for an upload that isn't there."""
    return BlobUploadUnknown(
        "There is no such upload in this repository: it was finished, cancelled, taken over by another request, or idle"
        " for too long. Start a new one with POST to blobs/uploads/."
    )
