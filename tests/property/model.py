# SPDX-License-Identifier: Apache-2.0
"""What a registry is, said as simply as possible: no locks, no leases with a clock, no rows. Only for comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class ModelManifest:
    """A manifest; `deletion` is the id of the deletion that took it, None while it is alive."""

    digest: str
    size: int
    blobs: tuple[str, ...]
    children: tuple[str, ...]
    subject: str | None
    deletion: str | None = None

    @property
    def alive(self) -> bool:
        return self.deletion is None


@dataclass(slots=True)
class Member:
    """A blob in a repository: a client's lease still runs, or a client has deleted it."""

    size: int
    leased: bool = True
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the history of tags."""

    name: str
    digest: str
    deletion: str | None


@dataclass(slots=True, eq=False)
class ModelRepository:
    """A repository, alive or deleted."""

    path: str
    deletion: str | None = None
    manifests: dict[str, ModelManifest] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    history: list[Line] = field(default_factory=list)

    def holders(self, blob: str, *, alive: bool) -> Iterator[ModelManifest]:
        """The manifests that hold the blob."""
        return (
            manifest for manifest in self.manifests.values() if blob in manifest.blobs and (manifest.alive or not alive)
        )

    def sees(self, blob: str) -> bool:
        """Whether a client is shown the blob."""
        member = self.members.get(blob)
        return (
            member is not None
            and not member.hidden
            and (member.leased or next(self.holders(blob, alive=False), None) is not None)
        )

    def live(self) -> set[str]:
        """The digests that can be pulled."""
        return {manifest.digest for manifest in self.manifests.values() if manifest.alive}

    def live_parent(self, digest: str) -> bool:
        """Whether an index that is alive contains it."""
        return any(manifest.alive and digest in manifest.children for manifest in self.manifests.values())

    def bring(self, blob: str, size: int) -> None:
        """An upload or a mount."""
        self.members[blob] = Member(size)

    def push(self, manifest: ModelManifest, tags: Sequence[str]) -> bool:
        """False when something that it needs isn't there."""
        if not all(self.sees(blob) for blob in manifest.blobs):
            return False
        if not all(child in self.manifests for child in manifest.children):
            return False
        kept = self.manifests.setdefault(manifest.digest, manifest)
        self.revive([kept.digest, *kept.children])
        for blob in kept.blobs:
            self.members[blob].leased = False
        for tag in tags:
            if self.tags.get(tag) != kept.digest:
                self.tags[tag] = kept.digest
                self.history.append(Line(tag, kept.digest, None))
        return True

    def revive(self, digests: Iterable[str]) -> set[str]:
        """Brings back what is deleted among these and below them."""
        back: set[str] = set()
        seen: set[str] = set()
        waiting = [digest for digest in digests if digest in self.manifests]
        while waiting:
            manifest = self.manifests[waiting.pop()]
            if manifest.digest in seen:
                continue
            seen.add(manifest.digest)
            waiting.extend(child for child in manifest.children if child in self.manifests)
            if not manifest.alive:
                manifest.deletion = None
                back.add(manifest.digest)
                for blob in manifest.blobs:
                    self.members[blob].hidden = False
        return back

    def closure(self, digest: str) -> set[str]:
        """What a deletion takes: the manifest, and what exists only for it."""
        taken = {digest}
        tagged = set(self.tags.values())
        while True:
            more = {
                manifest.digest
                for manifest in self.manifests.values()
                if manifest.alive
                and manifest.digest not in taken | tagged
                and (manifest.subject in taken or any(manifest.digest in self.manifests[one].children for one in taken))
                and not any(
                    other.alive and manifest.digest in other.children and other.digest not in taken
                    for other in self.manifests.values()
                )
                and manifest.subject not in self.live() - taken - {manifest.digest}
            }
            if not more:
                return taken
            taken |= more

    def delete(self, digest: str, deletion: str) -> set[str]:
        """Marks everything that goes."""
        taken = self.closure(digest)
        for name in sorted(name for name, target in self.tags.items() if target in taken):
            self.history.append(Line(name, self.tags.pop(name), deletion))
        for one in taken:
            self.manifests[one].deletion = deletion
        return taken

    def undelete(self, deletion: str) -> set[str] | None:
        """What came back; None when nothing of the deletion is left."""
        mine = [manifest.digest for manifest in self.manifests.values() if manifest.deletion == deletion]
        lines = [(number, line) for number, line in enumerate(self.history) if line.deletion == deletion]
        if not mine and not lines:
            return None
        back = self.revive(mine)
        for number, line in lines:
            newer = any(later.name == line.name for later in self.history[number + 1 :])
            if line.name not in self.tags and not newer and line.digest in self.live():
                self.tags[line.name] = line.digest
                self.history.append(Line(line.name, line.digest, None))
        return back

    def settle(self) -> None:
        """All waiting times are over."""
        self.manifests = {digest: manifest for digest, manifest in self.manifests.items() if manifest.alive}
        held = {blob for manifest in self.manifests.values() for blob in manifest.blobs}
        self.members = {blob: member for blob, member in self.members.items() if blob in held}
        for member in self.members.values():
            member.leased = False


@dataclass(slots=True)
class ModelProject:
    """A project's repositories, the deleted ones included."""

    repositories: list[ModelRepository] = field(default_factory=list)

    def find(self, path: str) -> ModelRepository | None:
        return next((one for one in self.repositories if one.path == path and one.deletion is None), None)

    def make(self, path: str) -> ModelRepository:
        found = self.find(path)
        if found is None:
            found = ModelRepository(path)
            self.repositories.append(found)
        return found

    def settle(self) -> None:
        """All waiting times are over."""
        self.repositories = [one for one in self.repositories if one.deletion is None]
        for one in self.repositories:
            one.settle()

    def used(self) -> int:
        """Bytes that count: live manifests, and blobs that one of them or a lease holds, each once."""
        blobs: dict[str, int] = {}
        manifests = 0
        for repository in self.repositories:
            alive = repository.deletion is None
            for blob, member in repository.members.items():
                if (member.leased and not member.hidden) or (
                    alive and next(repository.holders(blob, alive=True), None)
                ):
                    blobs[blob] = member.size
            if alive:
                manifests += sum(manifest.size for manifest in repository.manifests.values() if manifest.alive)
        return manifests + sum(blobs.values())

    def stored(self) -> int:
        """Bytes that are kept: every manifest, and every blob once."""
        blobs = {blob: member.size for one in self.repositories for blob, member in one.members.items()}
        return sum(blobs.values()) + sum(
            manifest.size for one in self.repositories for manifest in one.manifests.values()
        )
