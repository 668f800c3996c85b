# SPDX-License-Identifier: Apache-2.0
"""What the servers hold: the same random images on all of them, and the gate that checks that they give them back."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Bench, GateFailed, wait_for_lines
from bench.servers import PROJECT, Longshore, Nginx, Server, get


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image that every server holds: a manifest under a tag, and its two blobs."""

    repository: str
    tag: str
    digest: str
    blobs: tuple[str, ...]

    @property
    def manifest_path(self) -> str:
        """Its URL's path, by tag."""
        return f"/v2/{self.repository}/manifests/{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Everything that was laid into the servers, and what opens it: by server name, then by repository."""

    images: Sequence[Image]
    large_repository: str
    large_digest: str
    authorization: dict[str, dict[str, str]] = field(default_factory=dict)

    def opens(self, server: Server, repository: str) -> str:
        """The Authorization header's value for a repository on a server; empty where none is needed."""
        return self.authorization[server.name].get(repository, "")


def seed(bench: Bench, *, repositories: int, images: int, large_bytes: int) -> Corpus:
    """Pushes the images and one large blob to every server, from the same seed."""
    names = [f"{PROJECT}/team{number % 10}/image{number}" for number in range(repositories)]
    large_repository = f"{PROJECT}/large"
    authorization: dict[str, dict[str, str]] = {}
    seeded: list[Image] = []
    large_digest = ""
    for server in bench.servers:
        if not server.pushable:
            continue
        bench.say(f"seeding {server.name} with {images} images in {repositories} repositories")
        opens = authorization[server.name] = server.authorization([*names, large_repository])
        targets = targets_file(bench, opens, names)
        output = bench.scratch / "seeded.jsonl"
        bench.push(server, "images", "-repositories", str(targets), "-images", str(images), "-output", str(output))
        told, _ = bench.push(
            server,
            "blob",
            "-repository",
            large_repository,
            "-authorization",
            opens.get(large_repository, ""),
            "-size",
            str(large_bytes),
        )
        large_digest = told["digest"]
        seeded = pushed_images(output)
    seeded.sort(key=lambda image: int(image.tag[1:]))
    corpus = Corpus(
        images=seeded, large_repository=large_repository, large_digest=large_digest, authorization=authorization
    )
    _fill_files(bench, corpus)
    return corpus


def targets_file(bench: Bench, opens: dict[str, str], names: Sequence[str]) -> Path:
    """The file that tells the pushing client where to push."""
    path = bench.scratch / "targets.json"
    path.write_text(
        json.dumps([{"repository": name, "authorization": opens.get(name, "")} for name in names]), encoding="ascii"
    )
    return path


def pushed_images(output: Path) -> list[Image]:
    """What the pushing client says was acknowledged."""
    found = []
    for line in output.read_text(encoding="ascii").splitlines():
        told = json.loads(line)
        found.append(
            Image(repository=told["repository"], tag=told["tag"], digest=told["digest"], blobs=tuple(told["blobs"]))
        )
    return found


def _fill_files(bench: Bench, corpus: Corpus) -> None:
    """Lays what Longshore holds into the peers that serve plain files; every byte of it is checked on the way."""
    source = bench.servers[0]
    peers = [server for server in bench.servers if isinstance(server, Nginx)]
    for peer in peers:
        corpus.authorization[peer.name] = {}
    wanted = [
        (f"/v2/{image.repository}/{kind}", image.repository, digest)
        for image in corpus.images
        for kind, digest in [
            (f"manifests/{image.tag}", image.digest),
            (f"manifests/{image.digest}", image.digest),
            *((f"blobs/{blob}", blob) for blob in image.blobs),
        ]
    ]
    large = f"/v2/{corpus.large_repository}/blobs/{corpus.large_digest}"
    wanted.append((large, corpus.large_repository, corpus.large_digest))
    for path, repository, digest in wanted if peers else ():
        content = checked(source, path, corpus.opens(source, repository), digest)
        for peer in peers:
            file = peer.root / path[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def checked(server: Server, path: str, authorization: str, digest: str) -> bytes:
    """What a server gives for a path.

    Raises:
        GateFailed: it isn't what the digest names.
    """
    status, body = get(server.port, path, authorization)
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if status != 200 or found != digest:
        raise GateFailed(f"{server.name}: {path} answered {status} with {len(body)} bytes of {found}, not {digest}")
    return body


def check_images(server: Server, images: Sequence[Image], authorization: dict[str, str], *, most: int = 20) -> None:
    """Reads a sample of images, manifest and blobs, and compares their digests.

    Raises:
        GateFailed: something is missing or different.
    """
    for image in random.Random(len(images)).sample(images, min(most, len(images))):
        opens = authorization.get(image.repository, "")
        checked(server, image.manifest_path, opens, image.digest)
        for blob in image.blobs:
            checked(server, f"/v2/{image.repository}/blobs/{blob}", opens, blob)


def check_gate(bench: Bench, corpus: Corpus) -> None:
    """The gate before everything: digests are right, strangers stay out, and what was acknowledged survives `kill -9`.

    Raises:
        GateFailed: something isn't so.
    """
    for server in bench.servers:
        check_images(server, corpus.images, corpus.authorization[server.name])
        if isinstance(server, Longshore):
            _check_locked(server, corpus)
            _check_kill(bench, server)
            check_images(server, corpus.images, corpus.authorization[server.name])
    bench.say("gate: digests right, strangers refused, acknowledged images there after kill -9")


def _check_locked(server: Longshore, corpus: Corpus) -> None:
    for path in (
        corpus.images[0].manifest_path,
        f"/v2/{corpus.images[0].repository}/blobs/{corpus.images[0].blobs[0]}",
    ):
        for authorization in ("", "Bearer abc.def.ghi"):
            status, _ = get(server.port, path, authorization)
            if status != 401:
                raise GateFailed(f"{path} answered {status} instead of 401 to {authorization or 'nobody'!r}")


def _check_kill(bench: Bench, server: Longshore) -> None:
    """Kills the server in the middle of pushes; what was acknowledged is there afterwards."""
    name = f"{PROJECT}/killed"
    opens = server.authorization([name])
    output = bench.scratch / "killed.jsonl"
    command = ["images", "-repositories", str(targets_file(bench, opens, [name])), "-images", "5000", "-seed", "77"]
    with bench.pushing(server, *command, "-clients", "8", "-output", str(output)) as client:
        wait_for_lines(output, 20)
        server.kill()
        client.wait(60)
    server.start()
    acknowledged = pushed_images(output)
    check_images(server, acknowledged, opens, most=len(acknowledged))
    bench.say(f"gate: {len(acknowledged)} images were acknowledged before kill -9")
