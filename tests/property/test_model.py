# SPDX-License-Identifier: Apache-2.0
"""The registry, step by step beside a model that has no locks and no clock."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from longshore.database.sqlite import SQLiteDatabase
from longshore.oci.digest import Digest
from longshore.oci.errors import (
    BlobUnknown,
    Conflict,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    NotFound,
    Unsupported,
)
from longshore.oci.names import TagName
from longshore.registry.blobs import MountSource
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.errors import Held
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.tags import Tags
from longshore.registry.undelete import Undelete
from longshore.storage.memory import MemoryStore
from tests.builders import World
from tests.integrity import assert_integrity
from tests.property.model import Line, ModelManifest, ModelProject, ModelRepository

_Result = TypeVar("_Result")
_PAYLOADS = [f"layer {number} ".encode() * (number + 1) for number in range(5)]
_WHO = {"actor": "alice", "reason": "model"}

paths = st.sampled_from(("app", "other"))
blobs = st.integers(0, len(_PAYLOADS) - 1)
some_blobs = st.lists(blobs, min_size=1, max_size=2, unique=True)
tag_lists = st.lists(st.sampled_from(("v1", "v2")), max_size=1)
picks = st.integers(0, 1_000)


class RegistryMachine(RuleBasedStateMachine):
    """Does the same thing to both, and looks whether they agree."""

    template: ClassVar[Path]

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="longshore-model-")
        path = Path(self.folder, "longshore.db")
        shutil.copy(self.template, path)
        self.loop = asyncio.new_event_loop()
        self.world = World(SQLiteDatabase(path), MemoryStore())
        self.project_id = self.run_one(self.world.project())
        self.model = ModelProject()
        self.deletions: list[tuple[str, str]] = []
        self.gone: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run_one(self.world.database.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    def run_one(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.loop.run_until_complete(work)

    # Blobs -----------------------------------------------------------------------------------------------------------

    @rule(path=paths, blob=blobs)
    def upload(self, path: str, blob: int) -> None:
        digest = self.run_one(self.world.upload(self.project_id, _PAYLOADS[blob], path))
        self.model.make(path).bring(str(digest), len(_PAYLOADS[blob]))

    @rule(path=paths, source=paths, blob=blobs)
    def mount(self, path: str, source: str, blob: int) -> None:
        digest = Digest.of(_PAYLOADS[blob])
        there = self.model.find(source)
        expected = there is not None and there.sees(str(digest))
        mounted = self.world.blobs.mount(self.project_id, path, digest, MountSource(self.project_id, source, "demo"))
        assert self.run_one(mounted) == expected
        if expected:
            self.model.make(path).bring(str(digest), len(_PAYLOADS[blob]))

    @rule(path=paths, blob=blobs)
    def delete_blob(self, path: str, blob: int) -> None:
        digest = Digest.of(_PAYLOADS[blob])
        repository = self.model.find(path)
        deletion = self.world.blobs.delete(self.project_id, path, digest)
        member = None if repository is None else repository.members.get(str(digest))
        if repository is None:
            self.refused(NameUnknown, deletion)
        elif next(repository.holders(str(digest), alive=True), None) is not None:
            self.refused(Unsupported, deletion)
        elif member is None or member.hidden:
            self.refused(BlobUnknown, deletion)
        else:
            self.run_one(deletion)
            member.hidden, member.leased = True, False

    # Manifests -------------------------------------------------------------------------------------------------------

    @rule(path=paths, layers=some_blobs, tags=tag_lists, subject=st.none() | picks)
    def push_image(self, path: str, layers: list[int], tags: list[str], subject: int | None) -> None:
        payloads = [_PAYLOADS[layer] for layer in layers]
        about = None if subject is None else self.pick(path, subject)
        document = self.world.document(*payloads, subject=None if about is None else Digest.parse(about.digest))
        manifest = ModelManifest(
            digest=str(Digest.of(json.dumps(document, sort_keys=True).encode())),
            size=len(json.dumps(document, sort_keys=True)),
            blobs=tuple(str(Digest.of(payload)) for payload in payloads),
            children=(),
            subject=None if about is None else about.digest,
        )
        self.push(path, manifest, document, tags)

    @rule(path=paths, children=st.lists(picks, min_size=1, max_size=2), tags=tag_lists)
    def push_index(self, path: str, children: list[int], tags: list[str]) -> None:
        chosen = [child for child in (self.pick(path, number) for number in children) if child is not None]
        digests = list(dict.fromkeys(child.digest for child in chosen))
        if not digests:
            return
        entries = [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 2}
            for digest in digests
        ]
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
        payload = json.dumps(document, sort_keys=True).encode()
        manifest = ModelManifest(str(Digest.of(payload)), len(payload), (), tuple(digests), None)
        self.push(path, manifest, document, tags)

    def push(self, path: str, manifest: ModelManifest, document: dict[str, Any], tags: list[str]) -> None:
        known = self.model.find(path)
        repository = known or ModelRepository(path)
        pushing = self.world.push(self.project_id, document, path, tags=tags)
        if repository.push(manifest, tags):
            assert str(self.run_one(pushing)) == manifest.digest
            if known is None:
                self.model.repositories.append(repository)
        else:
            self.refused(ManifestBlobUnknown, pushing)

    @rule(path=paths, which=picks)
    def delete_manifest(self, path: str, which: int) -> None:
        repository = self.model.find(path)
        manifest = self.pick(path, which)
        if repository is None or manifest is None:
            return
        deletion = ManifestDeletion(self.world.database, self.world.periods).delete(
            self.project_id, path, Digest.parse(manifest.digest), **_WHO
        )
        if not manifest.alive:
            self.refused(ManifestUnknown, deletion)
        elif repository.live_parent(manifest.digest):
            self.refused(Held, deletion)
        else:
            done = self.run_one(deletion)
            assert repository.delete(manifest.digest, done.id) == set(done.manifests)
            self.deletions.append((path, done.id))

    @precondition(lambda self: self.deletions)
    @rule(which=picks)
    def undelete(self, which: int) -> None:
        path, deletion = self.deletions[which % len(self.deletions)]
        repository = self.model.find(path)
        undeleting = Undelete(self.world.database, self.world.periods).undelete(
            self.project_id, path, deletion, actor="alice"
        )
        back = None if repository is None else repository.undelete(deletion)
        if repository is None:
            self.refused(NameUnknown, undeleting)
        elif back is None:
            self.refused(NotFound, undeleting)
        else:
            assert set(self.run_one(undeleting).manifests) == back

    @rule(path=paths, name=st.sampled_from(("v1", "v2")))
    def delete_tag(self, path: str, name: str) -> None:
        repository = self.model.find(path)
        deletion = Tags(self.world.database, self.world.periods).delete(
            self.project_id, path, TagName.parse(name), actor=_WHO["actor"], reason=_WHO["reason"]
        )
        if repository is None:
            self.refused(NameUnknown, deletion)
        elif name not in repository.tags:
            self.refused(ManifestUnknown, deletion)
        else:
            self.run_one(deletion)
            repository.history.append(Line(name, repository.tags.pop(name), None))

    # Repositories and time -------------------------------------------------------------------------------------------

    @rule(path=paths)
    def delete_repository(self, path: str) -> None:
        repository = self.model.find(path)
        deletion = RepositoryDeletion(self.world.database, self.world.periods).delete(self.project_id, path, **_WHO)
        if repository is None:
            self.refused(NameUnknown, deletion)
            return
        repository.deletion = self.run_one(deletion).id
        self.gone.append(repository.deletion)

    @precondition(lambda self: self.gone)
    @rule(which=picks)
    def restore_repository(self, which: int) -> None:
        deletion = self.gone[which % len(self.gone)]
        repository = next((one for one in self.model.repositories if one.deletion == deletion), None)
        restoring = RepositoryDeletion(self.world.database, self.world.periods).restore(
            self.project_id, deletion, actor="alice"
        )
        if repository is None:
            self.refused(NotFound, restoring)
        elif self.model.find(repository.path) is not None:
            self.refused(Conflict, restoring)
        else:
            self.run_one(restoring)
            repository.deletion = None

    @rule()
    def let_time_pass(self) -> None:
        """Everything that waits is over, and reclaim has done all its work."""
        reclaim = Reclaim(self.world.database, self.world.store, self.world.periods)
        for _ in range(30):
            self.run_one(self.world.later())
            if not self.run_one(reclaim.run_once()).handled:
                break
        else:
            raise AssertionError("reclaim never comes to an end")
        self.model.settle()

    # What must agree -------------------------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        """Tags, manifests, what a client sees of blobs, and the ledger."""
        if not hasattr(self, "model"):
            return
        self.run_one(self.compare())
        self.run_one(assert_integrity(self.world.database, self.world.store))

    async def compare(self) -> None:
        for path in ("app", "other"):
            repository = self.model.find(path) or ModelRepository(path)
            found = await self.world.rows(
                "SELECT t.name, m.digest FROM tags t JOIN manifests m ON m.id = t.manifest_id"
                " JOIN repositories r ON r.id = t.repository_id WHERE r.name = :path AND r.deleted_at IS NULL",
                path=path,
            )
            assert {row[0]: row[1] for row in found} == repository.tags
            for digest, manifest in repository.manifests.items():
                assert await self.finds(path, Digest.parse(digest)) == manifest.alive
            for payload in _PAYLOADS:
                digest_of = Digest.of(payload)
                assert await self.sees(path, digest_of) == repository.sees(str(digest_of))
        assert await self.world.usage(self.project_id) == (self.model.used(), self.model.stored())

    async def finds(self, path: str, digest: Digest) -> bool:
        try:
            await self.world.manifests.find(self.project_id, path, digest)
        except ManifestUnknown:
            return False
        return True

    async def sees(self, path: str, digest: Digest) -> bool:
        try:
            await self.world.blobs.find(self.project_id, path, digest)
        except BlobUnknown:
            return False
        return True

    def pick(self, path: str, number: int) -> ModelManifest | None:
        """One of the repository's manifests, deleted ones included."""
        repository = self.model.find(path)
        if repository is None or not repository.manifests:
            return None
        return list(repository.manifests.values())[number % len(repository.manifests)]

    def refused(self, error: type[Exception], work: Coroutine[Any, Any, Any]) -> None:
        with pytest.raises(error):
            self.run_one(work)


def test_the_registry_agrees_with_its_model(sqlite_template: Path) -> None:
    """After every step of any sequence, the registry shows what the model says, and every invariant holds."""
    machine = type("Machine", (RegistryMachine,), {"template": sqlite_template})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
