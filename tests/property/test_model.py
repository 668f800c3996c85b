# SPDX-License-Identifier: Apache-2.0
"""The registry, step by step beside a model that has no locks and no clock."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

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
_PAYLOADS = [f"layer {number} ".encode() * (number + 1) for number in range(3)]
_MEMORY = "/dev/shm"  # noqa: S108 - thousands of syncs that need not survive anything
_WHO = {"actor": "alice", "reason": "model"}

# Mostly one repository and few blobs: what happens to the same thing twice is what is interesting.
paths = st.sampled_from(("app", "app", "app", "other"))
blobs = st.integers(0, len(_PAYLOADS) - 1)
some_blobs = st.lists(blobs, min_size=1, max_size=2, unique=True)
tag_lists = st.lists(st.sampled_from(("v1", "v2")), max_size=1)
picks = st.integers(0, 1_000)


class RegistryMachine(RuleBasedStateMachine):
    """Does the same thing to both, and looks whether they agree."""

    template: ClassVar[Path]

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="longshore-model-", dir=_MEMORY if Path(_MEMORY).is_dir() else None)
        path = Path(self.folder, "longshore.db")
        shutil.copy(self.template, path)
        self.loop = asyncio.new_event_loop()
        # It does what the port says; World names the other one for tests that damage files.
        self.world = World(SQLiteDatabase(path), cast("Any", MemoryStore()))
        self.project_id = self.run_one(self.world.project())
        self.model = ModelProject()
        self.deletions: list[tuple[str, str]] = []
        self.gone: list[str] = []
        # What takes much away comes at every seventh step only, or there would never be much.
        self.steps = 0

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

    @precondition(lambda self: self.steps % 4 == 0)
    @rule(path=paths, source=paths, blob=blobs)
    def mount(self, path: str, source: str, blob: int) -> None:
        digest = Digest.of(_PAYLOADS[blob])
        there = self.model.find(source)
        expected = there is not None and there.sees(str(digest))
        mounted = self.world.blobs.mount(self.project_id, path, digest, MountSource(self.project_id, source, "demo"))
        assert self.run_one(mounted) == expected
        if expected:
            self.model.make(path).bring(str(digest), len(_PAYLOADS[blob]))

    @precondition(lambda self: any(one.members for one in self.model.repositories))
    @rule(path=paths, blob=blobs, often=st.booleans())
    def delete_blob(self, path: str, blob: int, often: bool) -> None:
        repository = self.model.find(path)
        digest = Digest.of(self.unneeded(repository) or _PAYLOADS[blob]) if often else Digest.of(_PAYLOADS[blob])
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

    def unneeded(self, repository: ModelRepository | None) -> bytes | None:
        """A blob that only deleted manifests hold, or none."""
        for payload in _PAYLOADS if repository is not None else ():
            digest = str(Digest.of(payload))
            if repository is not None and repository.sees(digest) and not any(repository.holders(digest, alive=True)):
                return payload
        return None

    # Manifests -------------------------------------------------------------------------------------------------------

    @rule(path=paths, layers=some_blobs, tags=tag_lists, subject=st.none() | picks, bring=st.integers(0, 3))
    def push_image(self, path: str, layers: list[int], tags: list[str], subject: int | None, bring: int) -> None:
        payloads = [_PAYLOADS[layer] for layer in layers]
        for layer in layers if bring else ():
            if not self.model.make(path).sees(str(Digest.of(_PAYLOADS[layer]))):
                self.upload(path, layer)
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

    @precondition(lambda self: any(one.manifests for one in self.model.repositories))
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

    @precondition(lambda self: any(one.manifests for one in self.model.repositories))
    @rule(path=paths, which=picks, again=st.integers(0, 3))
    def delete_manifest(self, path: str, which: int, again: int) -> None:
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
            if again == 0:
                self.undelete(len(self.deletions) - 1)

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

    @precondition(lambda self: any(one.tags for one in self.model.repositories))
    @rule(path=paths, name=st.sampled_from(("v1", "v2")))
    def delete_tag(self, path: str, name: str) -> None:
        repository = self.model.find(path)
        deletion = Tags(self.world.database, self.world.periods).delete(
            self.project_id, path, TagName.parse(name), actor="alice", reason="model"
        )
        if repository is None:
            self.refused(NameUnknown, deletion)
        elif name not in repository.tags:
            self.refused(ManifestUnknown, deletion)
        else:
            self.run_one(deletion)
            repository.history.append(Line(name, repository.tags.pop(name), None))

    # Repositories and time -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.repositories and self.steps % 7 == 6)
    @rule(path=paths)
    def delete_repository(self, path: str) -> None:
        repository = self.model.find(path)
        deletion = RepositoryDeletion(self.world.database, self.world.periods).delete(self.project_id, path, **_WHO)
        if repository is None:
            self.refused(NameUnknown, deletion)
            return
        repository.deletion = self.run_one(deletion).id
        self.gone.append(repository.deletion)

    @precondition(
        lambda self: self.gone and (self.steps % 7 == 0 or any(one.deletion for one in self.model.repositories))
    )
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

    @precondition(lambda self: self.model.repositories and self.steps % 7 == 3)
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
        self.steps += 1
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
        """One of the repository's manifests, now and then a deleted one."""
        repository = self.model.find(path)
        if repository is None or not repository.manifests:
            return None
        every = list(repository.manifests.values())
        alive = [manifest for manifest in every if manifest.alive] or every
        chosen = every if number % 5 == 0 else alive
        return chosen[number % len(chosen)]

    def refused(self, error: type[Exception], work: Coroutine[Any, Any, Any]) -> None:
        with pytest.raises(error):
            self.run_one(work)


@pytest.mark.fuzz
def test_the_registry_agrees_with_its_model(sqlite_template: Path, request: pytest.FixtureRequest) -> None:
    """After every step of any sequence, the registry shows what the model says, and every invariant holds."""
    machine = type("Machine", (RegistryMachine,), {"template": sqlite_template})
    asked_for = "fuzz" in (request.config.option.markexpr or "")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=400 if asked_for else 60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
