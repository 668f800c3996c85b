# SPDX-License-Identifier: Apache-2.0
"""What random clients do: pushing, in every way there is, and taking away again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable

from longshore.database.statement import Statement
from longshore.oci.digest import Digest
from longshore.oci.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    LongshoreError,
    ManifestBlobUnknown,
    RangeInvalid,
)
from longshore.oci.manifest import parse_manifest
from longshore.oci.names import TagName
from longshore.oci.ranges import ContentRange
from longshore.registry.blobs import MountSource
from longshore.registry.storing import ManifestPush
from tests.property.notes import Notes, Place
from tests.property.registry import PERIODS, Registry
from tests.property.universe import BLOBS, BY_DIGEST, DIGESTS, PATHS, PROJECTS, RECIPES, TAGS, ProjectKind, Recipe

# What a promise is shortened by: SQLite's clock shows milliseconds.
_MARGIN_SECONDS = 0.01
PROMISE_SECONDS = PERIODS.grace / 2 / 1_000_000 - _MARGIN_SECONDS
_TURN_SECONDS = 3.0
_LIVE = Statement(
    "SELECT m.digest FROM manifests m JOIN repositories r ON r.id = m.repository_id WHERE r.project_id = :project_id"
    " AND r.name = :path AND r.deleted_at IS NULL AND m.deleted_at IS NULL ORDER BY m.id"
)
_TAG_NAMES = Statement(
    "SELECT t.name FROM tags t JOIN repositories r ON r.id = t.repository_id"
    " WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL ORDER BY t.name"
)
_MEMBERS = Statement(
    "SELECT b.digest FROM repository_blobs rb JOIN blobs b ON b.id = rb.blob_id JOIN repositories r ON r.id = rb.repository_id"
    " WHERE r.project_id = :project_id AND r.name = :path AND r.deleted_at IS NULL AND rb.lease_until IS NOT NULL ORDER BY b.id"
)
_TTL = Statement("SELECT untagged_ttl FROM projects WHERE id = :project_id")
_IMAGES = tuple(recipe for recipe in RECIPES if recipe.blobs and not recipe.children and recipe.subject is None)


async def _together(*work: Awaitable[object]) -> None:
    """Does all of it at once; what the registry refuses to one doesn't stop the others."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException) and not (isinstance(result, LongshoreError) and result.status < 500):
            raise result


class ClientGone(Exception):  # noqa: N818 - what happened to the connection
    """A body that ends in the middle."""


class Client:
    """One random client."""

    def __init__(self, registry: Registry, notes: Notes, choice: random.Random) -> None:
        self.registry = registry
        self.notes = notes
        self.choice = choice

    def kind(self) -> ProjectKind:
        """One of the two projects that everybody is busy with at the moment."""
        turn = int(time.monotonic() / _TURN_SECONDS) + self.choice.randrange(2)
        return PROJECTS[turn % len(PROJECTS)] if self.choice.random() < 0.9 else self.choice.choice(PROJECTS)

    async def place(self, kind: ProjectKind | None = None) -> Place:
        return Place(await self.registry.project_id(kind or self.kind()), self.choice.choice(PATHS))

    # Pushing ---------------------------------------------------------------------------------------------------------

    async def push(self) -> None:
        """An image, an artifact or an index with what it needs, as a client does it."""
        kind = self.kind()
        place = await self.place(kind)
        recipe = self.choice.choice(RECIPES)
        tags = [self.choice.choice(TAGS)] if self.choice.random() < 0.7 else []
        if recipe.subject is not None and recipe.subject.algorithm.value == "sha256" and self.choice.random() < 0.4:
            tags = [f"sha256-{recipe.subject.hex}.sig"]
        if await self._push_all(place, recipe, tags, skip=0.3 if kind.sparse == "any" else 0.0, depth=0):
            self.notes.count("pushes")

    async def _push_all(self, place: Place, recipe: Recipe, tags: list[str], *, skip: float, depth: int) -> bool:
        for child in recipe.children:
            # A child may be there already, or (in sparse projects) never come.
            if self.choice.random() < skip or depth > 2:
                continue
            await self._push_all(place, RECIPES[child], [], skip=skip, depth=depth + 1)
        promised: dict[str, float] = {}
        for digest in recipe.blobs:
            if self.choice.random() < skip:
                continue
            began = time.monotonic()
            if not await self.bring(place, digest):
                return False
            promised[str(digest)] = began
        if self.choice.random() < 0.03:
            return False  # The client gives up.
        if self.choice.random() < 0.1:
            await asyncio.sleep(self.choice.random() * PERIODS.grace / 3_000_000)
        return await self._put_manifest(place, recipe, tags, promised)

    async def bring(self, place: Place, digest: Digest) -> bool:
        """Sees that the blob is there, in the way of clients: ask, mount, upload. False when that failed."""
        if self.choice.random() < 0.8:
            try:
                await self.registry.blobs.promise(place.project_id, place.path, digest)
            except BlobUnknown:
                pass
            else:
                return True
        if self.choice.random() < 0.4 and await self.mount(place, digest):
            return True
        try:
            await self.upload(place, digest)
        except (BlobUploadUnknown, RangeInvalid, BlobUnknown):
            return False  # It expired, was ended with its repository, or was taken over.
        return True

    async def mount(self, place: Place, digest: Digest) -> bool:
        """From a repository that has it, or from anywhere."""
        if self.choice.random() < 0.5:
            sources = await self.registry.blobs.sources(place.project_id, digest)
        else:
            other = await self.place()
            sources = [MountSource(other.project_id, other.path, "any")]
        for source in sources[:3]:
            if await self.registry.blobs.mount(place.project_id, place.path, digest, source):
                self.notes.count("mounts")
                return True
        return False

    async def _put_manifest(self, place: Place, recipe: Recipe, tags: list[str], promised: dict[str, float]) -> bool:
        began = time.monotonic()
        pushed = ManifestPush(
            manifest=parse_manifest(recipe.payload, recipe.media_type),
            digest=recipe.digest,
            payload=recipe.payload,
            tags=tuple(TagName.parse(tag) for tag in tags),
            actor="client",
        )
        try:
            await self.registry.manifests.push(place.project_id, place.path, pushed)
        except ManifestBlobUnknown as refused:
            self._check_promises(place, promised, refused)
            return False
        await self._check_acknowledged(place, recipe.digest, began)
        return True

    def _check_promises(self, place: Place, promised: dict[str, float], refused: ManifestBlobUnknown) -> None:
        """PROMISE: nothing that a HEAD, a mount or an upload promised a moment ago may be unknown now."""
        now = time.monotonic()
        entries = refused.detail if isinstance(refused.detail, list) else []
        missing = {entry["digest"] for entry in entries}
        for digest, since in promised.items():
            if digest in missing and now - since < PROMISE_SECONDS:
                if self.notes.disturbed(place, since, f"blob {digest}"):
                    continue
                self.notes.violation(f"PROMISE broken after {now - since:.3f} s: {digest} is unknown in {place}")

    async def _check_acknowledged(self, place: Place, digest: Digest, began: float) -> None:
        """ACKNOWLEDGED: a manifest whose push was answered can be pulled by its digest."""
        try:
            await self.registry.manifests.find(place.project_id, place.path, digest)
        except LongshoreError as error:
            if await self.registry.value(_TTL, project_id=place.project_id) is not None:
                return  # The review of an index takes its untagged children along, however young.
            if time.monotonic() - began < PROMISE_SECONDS and not self.notes.disturbed(place, began, "manifests"):
                self.notes.violation(f"ACKNOWLEDGED push of {digest} to {place} is gone: {error}")

    async def move_tag(self) -> None:
        """Points a tag to a manifest that is there already."""
        place = await self.place()
        live = await self.live(place)
        if live:
            recipe = BY_DIGEST[self.choice.choice(live)]
            await self._put_manifest(place, recipe, [self.choice.choice(TAGS)], {})

    async def twins(self) -> None:
        """One image in both repositories of a project, and then both change at the same moment: they share its blobs."""
        project_id = await self.registry.project_id(self.kind())
        recipe = self.choice.choice(_IMAGES)
        places = [Place(project_id, path) for path in PATHS]
        await _together(*(self._push_all(place, recipe, [], skip=0, depth=0) for place in places))
        await _together(*(self._change(place, recipe) for place in places))

    async def _change(self, place: Place, recipe: Recipe) -> None:
        if self.choice.random() < 0.75:
            with self.notes.disturbing(place.project_id, place.path, "manifests"):
                await self.registry.deletion.delete(
                    place.project_id, place.path, recipe.digest, actor="client", reason="fuzz"
                )
            self.notes.count("manifests_deleted")
        else:
            await self._push_all(place, recipe, [], skip=0, depth=0)

    # Uploads ---------------------------------------------------------------------------------------------------------

    async def upload(self, place: Place, digest: Digest) -> None:
        """In one piece, or in chunks."""
        payload = BLOBS[digest]
        session = await self.registry.uploads.start(place.project_id, place.path, declared=len(payload))
        self._remember(place, session.id, digest, 0)
        offset = 0
        while self.choice.random() < 0.3 and offset < len(payload):
            offset = await self._send_chunk(place, session.id, digest, offset)
        await self._finish(place, session.id, digest, offset)

    async def start_upload(self) -> None:
        """Begins an upload, for any process to go on with."""
        place = await self.place()
        digest = self.choice.choice(DIGESTS)
        session = await self.registry.uploads.start(place.project_id, place.path)
        self._remember(place, session.id, digest, 0)
        if self.choice.random() < 0.6:
            await self._send_chunk(place, session.id, digest, 0)

    async def continue_upload(self) -> None:
        """Goes on with an upload that any process began, also with one whose owner was killed in the middle."""
        records = self.notes.records("sessions", last_bytes=16_384)
        ended = {record["id"] for record in records if record["offset"] < 0}
        known = [record for record in records if record["id"] not in ended]
        if not known:
            return
        fact = self.choice.choice(known)
        place, digest = Place(fact["project_id"], fact["path"]), Digest.parse(fact["digest"])
        acknowledged = max(other["offset"] for other in known if other["id"] == fact["id"])
        upload = await self.registry.uploads.status(place.project_id, place.path, fact["id"])
        if upload.received < acknowledged:
            self.notes.violation(f"CHUNK lost: {acknowledged} bytes were acknowledged, {upload.received} are there")
        if self.choice.random() < 0.4 and upload.received < len(BLOBS[digest]):
            await self._send_chunk(place, fact["id"], digest, upload.received)
        else:
            await self._finish(place, fact["id"], digest, upload.received)
            self.notes.count("continued")

    async def cancel_upload(self) -> None:
        """Ends an upload that any process began."""
        known = self.notes.records("sessions", last_bytes=2048)
        if known:
            fact = self.choice.choice(known)
            await self.registry.uploads.cancel(fact["project_id"], fact["path"], fact["id"])

    async def _send_chunk(self, place: Place, session_id: str, digest: Digest, offset: int) -> int:
        payload = BLOBS[digest]
        end = self.choice.randint(offset + 1, len(payload))
        chunk = payload[offset:end]
        wrong = self.choice.random() < 0.08
        if wrong:
            # Whoever sends these gets DIGEST_INVALID in the end; whoever took over in the meantime mustn't.
            chunk = bytes(len(chunk))
        content_range = ContentRange(offset, end - 1) if self.choice.random() < 0.5 else None
        upload = await self.registry.uploads.receive(
            place.project_id, place.path, session_id, self._body(chunk, drowsy=wrong), content_range=content_range
        )
        self._remember(place, session_id, digest, upload.received)
        return upload.received

    async def _finish(self, place: Place, session_id: str, digest: Digest, offset: int) -> None:
        rest = BLOBS[digest][offset:]
        content_range = ContentRange(offset, offset + len(rest) - 1) if rest and self.choice.random() < 0.8 else None
        began = time.monotonic()
        await self.registry.uploads.finish(
            place.project_id, place.path, session_id, digest, self._body(rest), content_range=content_range
        )
        self._remember(place, session_id, digest, -1)
        self.notes.count("uploads")
        if self.choice.random() < 0.1:
            # The answer was lost on its way: the client asks again.
            await self.registry.uploads.finish(place.project_id, place.path, session_id, digest, self._body(b""))
        try:
            await self.registry.blobs.find(place.project_id, place.path, digest)
        except BlobUnknown:
            if time.monotonic() - began < PROMISE_SECONDS and not self.notes.disturbed(place, began, f"blob {digest}"):
                self.notes.violation(f"ACKNOWLEDGED upload of {digest} to {place} is gone")

    async def _body(self, payload: bytes, *, drowsy: bool = False) -> AsyncIterator[bytes]:
        while payload:
            length = self.choice.randint(1, len(payload))
            if self.choice.random() < 0.02:
                raise ClientGone
            if self.choice.random() < 0.1:
                await asyncio.sleep(self.choice.random() * 0.02)
            if self.choice.random() < (0.5 if drowsy else 0.03):
                # Long enough to be given up for dead, and then it goes on.
                await asyncio.sleep((1 + self.choice.random()) * PERIODS.owner_lease / 1_000_000)
            yield payload[:length]
            payload = payload[length:]

    def _remember(self, place: Place, session_id: str, digest: Digest, offset: int) -> None:
        self.notes.record(
            "sessions",
            id=session_id,
            project_id=place.project_id,
            path=place.path,
            digest=str(digest),
            offset=offset,
        )

    # Taking away -----------------------------------------------------------------------------------------------------

    async def live(self, place: Place) -> list[str]:
        """The digests of the repository's manifests."""
        rows = await self.registry.rows(_LIVE, project_id=place.project_id, path=place.path)
        return [row[0] for row in rows]

    async def delete_blob(self) -> None:
        place = await self.place()
        members = await self.registry.rows(_MEMBERS, project_id=place.project_id, path=place.path)
        digest = Digest.parse(self.choice.choice(members)[0]) if members else self.choice.choice(DIGESTS)
        with self.notes.disturbing(place.project_id, place.path, f"blob {digest}"):
            await self.registry.blobs.delete(place.project_id, place.path, digest)
        self.notes.count("blobs_deleted")

    async def delete_manifest(self) -> None:
        place = await self.place()
        live = await self.live(place)
        if not live:
            return
        with self.notes.disturbing(place.project_id, place.path, "manifests"):
            deletion = await self.registry.deletion.delete(
                place.project_id, place.path, Digest.parse(self.choice.choice(live)), actor="client", reason="fuzz"
            )
        self.notes.count("manifests_deleted")
        if self.choice.random() < 0.4:
            await self._think()
            await self.registry.undelete.undelete(place.project_id, place.path, deletion.id, actor="client")
            self.notes.count("undeleted")

    async def _think(self) -> None:
        """As long as an undelete window is, more or less."""
        await asyncio.sleep(self.choice.random() ** 2 * 1.3 * PERIODS.window / 1_000_000)

    async def delete_tag(self) -> None:
        place = await self.place()
        names = await self.registry.rows(_TAG_NAMES, project_id=place.project_id, path=place.path)
        if names:
            name = TagName.parse(self.choice.choice(names)[0])
            await self.registry.tags.delete(place.project_id, place.path, name, actor="client", reason="fuzz")

    async def delete_repository(self) -> None:
        place = await self.place()
        with self.notes.disturbing(place.project_id, place.path):
            deleted = await self.registry.repositories.delete(
                place.project_id, place.path, actor="client", reason="fuzz"
            )
        if self.choice.random() < 0.6:
            await self._think()
            await self.registry.repositories.restore(place.project_id, deleted.id, actor="client")
            self.notes.count("repositories_restored")

    async def delete_project(self) -> None:
        project_id = await self.registry.project_id(self.kind())
        with self.notes.disturbing(project_id):
            deleted = await self.registry.projects.delete(project_id, actor="client", reason="fuzz")
        if self.choice.random() < 0.6:
            await self._think()
            await self.registry.projects.restore(deleted.id, actor="client")
            self.notes.count("projects_restored")
