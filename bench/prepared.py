# SPDX-License-Identifier: Apache-2.0
"""Prepared data: every server's folder with its content in it, made once and kept for the next run.

A run works on a copy, so what is kept never changes. It is made anew when anything changes that it is made by.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.content import Content, Corpus, checked, push_content
from bench.load import GateFailed, Loader
from bench.loading import load
from bench.longshore import Longshore
from bench.peers import DockerRegistry, Nginx
from bench.scale import Artifact, Scale
from bench.servers import Server
from bench.sizes import Size
from longshore.database.revisions import HEAD

_HERE = Path(__file__).parent
# What decides what the data is: a change of these makes it anew.
_SOURCES = ("content.py", "loading.py", "longshore.py", "peers.py", "prepared.py", "scale.py")
_CONTENT = "content.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How data is prepared.

    Attributes:
        cache: Where it is kept.
        loader: What pushes.
        size: How much there is.
        size_name: What this size is called.
        say: Tells a person what goes on.
    """

    cache: Path
    loader: Loader
    size: Size
    size_name: str
    say: Callable[[str], None]

    def lay(self, servers: Sequence[Server]) -> Corpus:
        """Gives every server its data, made now or before; none of them runs, before and after. One of them is pushable.

        Raises:
            GateFailed: the servers don't hold the same.
        """
        pushable = [server for server in servers if server.pushable]
        contents = [self._given(server, None) for server in pushable]
        for server in servers:
            if not server.pushable:
                self._given(server, pushable[0])
        content = contents[0]
        if any(other != content for other in contents):
            raise GateFailed("the servers don't hold the same, though they were given the same")
        scale = Scale(self.size, tuple((image.blobs[0], image.blobs[1]) for image in content.images))
        # Nothing of this is written while something is measured.
        os.sync()
        return Corpus(content=content, scale=scale)

    def _given(self, server: Server, source: Server | None) -> Content:
        kept = self.cache / f"{self.size_name}-{server.content_name}-{self._key(server)}"
        if not kept.exists():
            for old in self.cache.glob(f"{self.size_name}-{server.content_name}-{'?' * 16}"):
                shutil.rmtree(old)
            self.say(f"preparing {server.name}, for this run and the next ones")
            began = time.monotonic()
            content = self._made(server, source)
            self.say(f"  {server.name} took {time.monotonic() - began:.0f} s")
            (server.folder / _CONTENT).write_bytes(msgspec.json.encode(content))
            partial = kept.with_suffix(".part")
            shutil.rmtree(partial, ignore_errors=True)
            _copy(server.folder, partial)
            partial.rename(kept)
        else:
            _copy(kept, server.folder)
        return msgspec.json.decode((kept / _CONTENT).read_bytes(), type=Content)

    def _key(self, server: Server) -> str:
        clients = sorted((_HERE / "client").glob("*.go"))
        texts = [(_HERE / name).read_bytes() for name in _SOURCES] + [client.read_bytes() for client in clients]
        known = [repr(self.size), HEAD, repr(server.settings) if isinstance(server, Longshore) else ""]
        return hashlib.sha256(b"".join(texts) + "\n".join(known).encode()).hexdigest()[:16]

    def _made(self, server: Server, source: Server | None) -> Content:
        if source is not None:
            return self._copied(server, source)
        server.start()
        try:
            server.prepare()
            content = push_content(server, self.loader, self.size)
            scale = Scale(self.size, tuple((image.blobs[0], image.blobs[1]) for image in content.images))
            server.stop()
            if isinstance(server, Longshore):
                load(server.database_url or server.sqlite_path, scale)
                server.run("verify")
            elif isinstance(server, DockerRegistry):
                for artifact, tags in _asked(scale, cold=False).items():
                    server.lay(artifact.repository, tags, artifact.digest, artifact.payload)
        except BaseException:
            server.kill()
            raise
        server.stop_all()
        return content

    def _copied(self, server: Server, source: Server) -> Content:
        """Lays what another server holds into plain files; every byte that is pushed is checked on the way."""
        if not isinstance(server, Nginx):
            raise TypeError(f"{server.name} takes no files")
        content = msgspec.json.decode((source.folder / _CONTENT).read_bytes(), type=Content)
        scale = Scale(self.size, tuple((image.blobs[0], image.blobs[1]) for image in content.images))
        source.start()
        try:
            opens = source.authorization([*{image.repository for image in content.images}, content.layered.repository])
            for path, repository, digest in _paths(content):
                server.lay(checked(source, path, opens.get(repository, ""), digest), path)
        finally:
            source.stop_all()
        for artifact, tags in _asked(scale, cold=True).items():
            root = f"/v2/{artifact.repository}/manifests"
            server.lay(artifact.payload, *(f"{root}/{reference}" for reference in (artifact.digest, *tags)))
        return content


def _paths(content: Content) -> Iterable[tuple[str, str, str]]:
    """Path, repository and digest of everything that was pushed."""
    for image in content.images:
        root = f"/v2/{image.repository}"
        for reference in (image.tag, image.digest):
            yield f"{root}/manifests/{reference}", image.repository, image.digest
        for blob in image.blobs:
            yield f"{root}/blobs/{blob}", image.repository, blob
    layered = content.layered
    root = f"/v2/{layered.repository}"
    for reference, digest in (
        (layered.tag, layered.digest),
        *((one, one) for one in (layered.digest, layered.manifest)),
    ):
        yield f"{root}/manifests/{reference}", layered.repository, digest
    for piece in layered.blobs:
        yield f"{root}/blobs/{piece.digest}", layered.repository, piece.digest


def _asked(scale: Scale, *, cold: bool) -> dict[Artifact, list[str]]:
    """What the workloads ask for of the scale set, and by which tags: the peers hold only this.

    Registries among them are asked for what is hot only. They would need a million files and folders for the rest.
    """
    found: dict[Artifact, list[str]] = {}
    for artifact in dict.fromkeys([*scale.hot(), *(scale.cold() if cold else ()), scale.lonely()]):
        found[artifact] = [artifact.tags[0]]
    for artifact, tag in dict.fromkeys(scale.crowded()):
        found.setdefault(artifact, []).append(tag)
    return found


def _copy(source: Path, target: Path) -> None:
    """Copies a folder with everything that the files are, shared where the file system can."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--archive", "--reflink=auto", str(source), str(target)], check=True)
