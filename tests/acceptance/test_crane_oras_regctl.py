# SPDX-License-Identifier: Apache-2.0
"""crane, oras and regctl."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.clients import Client, Crane, Oras, Regctl
from tests.acceptance.images import (
    INDEX,
    MEBIBYTE,
    Image,
    file_digest,
    make_build_cache,
    make_image,
    make_index,
    random_file,
    tar_of,
)
from tests.acceptance.server import Registry

GIBIBYTE = 1024 * MEBIBYTE


@pytest.fixture
def large_folder() -> Iterator[Path]:
    """A folder for gigabytes, which pytest would keep for the next three runs."""
    with tempfile.TemporaryDirectory(prefix="longshore-large-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("sizes", [(1,), (0, 100_000, 9_000_000), (100 * MEBIBYTE,)], ids=["byte", "layers", "large"])
def test_crane_pushes_validates_and_pulls(
    crane: Crane, server: Registry, private: str, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    """``crane validate`` reads every layer of what was pushed, and a pull gives the same bytes back."""
    crane.login(server.admin)
    image = make_image(tmp_path / "image", *sizes)
    reference = f"{crane.repository(private)}:v1"
    assert image.digest in crane.run("push", str(image.folder), reference)
    assert crane.run("digest", reference).strip() == image.digest
    crane.run("validate", "--remote", reference)
    back = tmp_path / "back"
    crane.run("pull", "--format", "oci", reference, str(back))
    for layer in image.layers:
        assert file_digest(back / "blobs" / "sha256" / layer.digest.partition(":")[2]) == layer.digest
    shutil.rmtree(back)


def test_crane_appends_copies_lists_and_deletes(
    crane: Crane, server: Registry, private: str, public: str, tmp_path: Path
) -> None:
    """A layer is appended to an image, the result copied to another project, listed, and deleted there."""
    crane.login(server.admin)
    source, target = f"{crane.repository(private)}:v1", f"{crane.repository(public)}:copy"
    files = tmp_path / "files.tar"
    files.write_bytes(tar_of({"one": b"1", "two": b"22"}))
    crane.run("append", "--new_layer", str(files), "--new_tag", source)
    more = tmp_path / "more.tar"
    more.write_bytes(tar_of({"three": secrets.token_bytes(333)}))
    crane.run("append", "--base", source, "--new_layer", str(more), "--new_tag", f"{source}.1")
    crane.run("copy", f"{source}.1", target)
    digest = server.digest(f"{public}/image", "copy")
    assert digest == server.digest(f"{private}/image", "v1.1")
    crane.run("validate", "--remote", target)
    crane.run("tag", target, "other")
    assert crane.run("ls", crane.repository(private)).split() == ["v1", "v1.1"]
    assert crane.run("ls", crane.repository(public)).split() == ["copy", "other"]
    assert {f"{private}/image", f"{public}/image"} <= set(crane.run("catalog", server.host).split())
    crane.run("delete", f"{crane.repository(public)}@{digest}")
    crane.refused("manifest", target)
    crane.refused("manifest", f"{crane.repository(public)}:other")
    assert crane.run("digest", f"{source}.1").strip() == digest


def test_crane_copies_every_platform(crane: Crane, server: Registry, private: str, public: str, tmp_path: Path) -> None:
    """An index of three platforms is copied whole to another project."""
    crane.login(server.admin)
    image = make_index(tmp_path / "image")
    crane.run("push", str(image.folder), f"{crane.repository(private)}:v1")
    crane.run("copy", "--all-tags", crane.repository(private), crane.repository(public))
    assert server.digest(f"{public}/image", "v1") == image.digest
    crane.run("validate", "--remote", f"{crane.repository(public)}:v1")
    for entry in server.manifest(f"{public}/image", "v1").json()["manifests"]:
        platform = f"linux/{entry['platform']['architecture']}"
        assert crane.run("digest", "--platform", platform, f"{crane.repository(public)}:v1").strip() == entry["digest"]


def test_the_same_image_pushed_by_many_at_once(crane: Crane, server: Registry, private: str, tmp_path: Path) -> None:
    """Eight clients that push one image at the same moment, to two repositories, all succeed and agree."""
    crane.login(server.admin)
    image = make_image(tmp_path / "image", 3_000_000, 400_000, 1)
    targets = [f"{crane.repository(private, f'image{number % 2}')}:v{number}" for number in range(8)]
    with ThreadPoolExecutor(len(targets)) as threads:
        pushes = threads.map(lambda target: crane.run("push", str(image.folder), target), targets)
        assert all(image.digest in pushed for pushed in pushes)
    for target in targets:
        crane.run("validate", "--remote", target)


@pytest.mark.timeout(1200)
def test_a_layer_of_two_gibibytes(crane: Crane, server: Registry, private: str, large_folder: Path) -> None:
    """A layer beyond the 2 GiB that fit into 31 bits goes up and comes down unchanged."""
    crane.login(server.admin)
    image = make_image(large_folder / "image", 2 * GIBIBYTE)
    repository = crane.repository(private)
    crane.run("push", str(image.folder), f"{repository}:large", timeout=900)
    (layer,) = image.layers
    assert layer.size > 2 * GIBIBYTE
    with server.client(server.admin) as client:
        stored = client.head(f"/v2/{private}/image/blobs/{layer.digest}")
    assert int(stored.headers["Content-Length"]) == layer.size
    assert f"sha256:{crane.sha256_of_blob(f'{repository}@{layer.digest}')}" == layer.digest


def test_oras_pushes_and_pulls_files(oras: Oras, server: Registry, private: str, tmp_path: Path) -> None:
    """Files of one byte, of none and of megabytes come back as they went up."""
    oras.login(server.admin)
    source = tmp_path / "source"
    source.mkdir()
    digests = {name: random_file(source / name, size) for name, size in (("a", 1), ("b", 0), ("c", 5 * MEBIBYTE))}
    reference = f"{oras.repository(private)}:files"
    names = [f"{name}:application/x-{name}" for name in digests]
    oras.run("push", "--plain-http", "--artifact-type", "application/x-test", reference, *names, folder=source)
    back = tmp_path / "back"
    oras.run("pull", "--plain-http", "--output", str(back), reference)
    assert {path.name: file_digest(path) for path in back.iterdir()} == digests
    manifest = server.manifest(f"{private}/image", "files").json()
    assert manifest["artifactType"] == "application/x-test"
    assert oras.run("repo", "tags", "--plain-http", oras.repository(private)).split() == ["files"]


def referrers(oras: Oras, reference: str, *arguments: str) -> dict[str, str]:
    """The digest of each artifact attached to the reference, by artifact type."""
    found = oras.json("discover", "--plain-http", "--format", "json", *arguments, reference)["referrers"]
    assert isinstance(found, list)
    return {entry["artifactType"]: entry["digest"] for entry in found}


def test_oras_attaches_and_discovers(oras: Oras, server: Registry, private: str, public: str, tmp_path: Path) -> None:
    """Attached artifacts are discovered, filtered by type, copied with their subject, and gone when deleted."""
    oras.login(server.admin)
    for name in ("content", "bill", "scan"):
        random_file(tmp_path / name, 1_000)
    reference = f"{oras.repository(private)}:v1"
    oras.run("push", "--plain-http", reference, "content", folder=tmp_path)
    types = {"bill": "application/x-bill", "scan": "application/x-scan"}
    for name, artifact_type in types.items():
        oras.run("attach", "--plain-http", "--artifact-type", artifact_type, reference, name, folder=tmp_path)
    found = referrers(oras, reference)
    assert set(found) == set(types.values())
    only = referrers(oras, reference, "--artifact-type", "application/x-scan")
    assert only == {"application/x-scan": found["application/x-scan"]}
    copy = f"{oras.repository(public)}:copied"
    oras.run("copy", "--recursive", "--from-plain-http", "--to-plain-http", reference, copy)
    assert referrers(oras, copy) == found
    scan = f"{oras.repository(public)}@{found['application/x-scan']}"
    oras.run("manifest", "delete", "--plain-http", "--force", scan)
    assert set(referrers(oras, copy)) == {"application/x-bill"}
    assert referrers(oras, reference) == found
    assert oras.run("repo", "tags", "--plain-http", oras.repository(public)).split() == ["copied"]


def push_cache(oras: Oras, cache: Image, repository: str) -> None:
    """Pushes a build cache as BuildKit does: each blob, then the index that lists them."""
    for blob in cache.layers:
        oras.run("blob", "push", "--plain-http", f"{repository}@{blob.digest}", str(cache.blob(blob.digest)))
    index = str(cache.blob(cache.digest))
    oras.run("manifest", "push", "--plain-http", "--media-type", INDEX, f"{repository}:cache", index)


def test_a_build_cache_whose_index_lists_blobs(
    oras: Oras, regctl: Regctl, server: Registry, private: str, tmp_path: Path
) -> None:
    """The index of a BuildKit cache lists layers instead of manifests; it is accepted, kept and read back."""
    oras.login(server.admin)
    regctl.login(server.admin)
    cache = make_build_cache(tmp_path / "cache")
    push_cache(oras, cache, oras.repository(private))
    assert server.digest(f"{private}/image", "cache") == cache.digest
    read = regctl.run("manifest", "get", "--format", "raw-body", f"{regctl.repository(private)}:cache")
    assert read == cache.blob(cache.digest).read_text()
    for blob in cache.layers:
        back = tmp_path / "back"
        reference = f"{oras.repository(private)}@{blob.digest}"
        oras.run("blob", "fetch", "--plain-http", "--output", str(back), reference)
        assert file_digest(back) == blob.digest


def test_a_build_cache_with_a_missing_blob_is_refused(
    oras: Oras, server: Registry, private: str, tmp_path: Path
) -> None:
    """An index that lists a blob which isn't there isn't accepted in an ordinary project."""
    oras.login(server.admin)
    cache = make_build_cache(tmp_path / "cache")
    index = str(cache.blob(cache.digest))
    target = f"{oras.repository(private)}:cache"
    said = oras.refused("manifest", "push", "--plain-http", "--media-type", INDEX, target, index)
    assert cache.layers[0].digest in said or "unknown" in said.lower()


def test_regctl_copies_in_chunks(regctl: Regctl, server: Registry, private: str, tmp_path: Path) -> None:
    """A push in chunks of 64 KiB arrives whole, and a copy back to a layout has the same bytes."""
    regctl.login(server.admin)
    image = make_image(tmp_path / "image", 1_000_000, 65_536, 10)
    chunk = str(64 * 1024)
    regctl.run("registry", "set", "--skip-check", "--blob-chunk", chunk, "--blob-max", chunk, server.host)
    reference = f"{regctl.repository(private)}:v1"
    regctl.run("image", "copy", f"ocidir://{image.folder}@{image.digest}", reference)
    assert regctl.run("image", "digest", reference).strip() == image.digest
    back = tmp_path / "back"
    regctl.run("image", "copy", reference, f"ocidir://{back}:v1")
    for layer in image.layers:
        assert file_digest(back / "blobs" / "sha256" / layer.digest.partition(":")[2]) == layer.digest


def test_regctl_makes_an_index_and_deletes_a_tag(
    regctl: Regctl, server: Registry, private: str, tmp_path: Path
) -> None:
    """An index is put together from tags; deleting a tag leaves the image under its other names."""
    regctl.login(server.admin)
    repository = regctl.repository(private)
    for number, tag in enumerate(("one", "two")):
        image = make_image(tmp_path / tag, 1_000 + number)
        regctl.run("image", "copy", f"ocidir://{image.folder}@{image.digest}", f"{repository}:{tag}")
    regctl.run("index", "create", f"{repository}:both", "--ref", f"{repository}:one", "--ref", f"{repository}:two")
    children = [entry["digest"] for entry in server.manifest(f"{private}/image", "both").json()["manifests"]]
    assert children == [server.digest(f"{private}/image", tag) for tag in ("one", "two")]
    assert regctl.run("tag", "ls", repository).split() == ["both", "one", "two"]
    regctl.run("tag", "delete", f"{repository}:one")
    assert regctl.run("tag", "ls", repository).split() == ["both", "two"]
    regctl.run("manifest", "head", f"{repository}@{children[0]}")
    assert f"{private}/image" in regctl.run("repo", "ls", server.host).split()


def test_regctl_puts_an_artifact_with_a_subject(regctl: Regctl, server: Registry, private: str, tmp_path: Path) -> None:
    """An artifact put for an image is listed for it and needs no fallback tag."""
    regctl.login(server.admin)
    image = make_image(tmp_path / "image", 5_000)
    reference = f"{regctl.repository(private)}:v1"
    regctl.run("image", "copy", f"ocidir://{image.folder}@{image.digest}", reference)
    regctl.run("artifact", "put", "--artifact-type", "application/x-note", "--subject", reference, text="a note")
    listed = json.loads(regctl.run("artifact", "list", "--format", "{{ json .Descriptors }}", reference))
    assert [entry["artifactType"] for entry in listed] == ["application/x-note"]
    assert regctl.run("tag", "ls", regctl.repository(private)).split() == ["v1"]
    note = regctl.run("artifact", "get", "--subject", reference, "--filter-artifact-type", "application/x-note")
    assert note == "a note"


@pytest.mark.parametrize("program", ["oras", "regctl"])
def test_a_wrong_password_is_refused_at_login(request: pytest.FixtureRequest, server: Registry, program: str) -> None:
    """A login with a wrong password says so."""
    client: Oras | Regctl = request.getfixturevalue(program)
    said = client.refused(*client.login_arguments(server.wrong_login), text=server.wrong_login.password)
    assert "unauthorized" in said.lower()


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("crane", ["manifest"]),
        ("oras", ["manifest", "fetch", "--plain-http"]),
        ("regctl", ["manifest", "get"]),
    ],
    ids=["crane", "oras", "regctl"],
)
def test_anonymous_clients_read_only_what_is_public(
    request: pytest.FixtureRequest,
    server: Registry,
    private: str,
    tmp_path: Path,
    crane: Crane,
    program: str,
    arguments: list[str],
) -> None:
    """Without a login, library can be read and a private project can't; with a wrong password neither can."""
    image = make_image(tmp_path / "image", 1_000)
    name = f"image-{secrets.token_hex(4)}"
    crane.login(server.admin)
    for project in ("library", private):
        crane.run("push", str(image.folder), f"{crane.repository(project, name)}:v1")
    crane.run("auth", "logout", server.host)
    client: Client = request.getfixturevalue(program)
    client.run(*arguments, f"{client.repository('library', name)}:v1")
    said = client.refused(*arguments, f"{client.repository(private, name)}:v1")
    assert "unauthorized" in said.lower() or "401" in said
    crane.login(server.wrong_login)
    crane.refused("manifest", f"{crane.repository('library', name)}:v1")
