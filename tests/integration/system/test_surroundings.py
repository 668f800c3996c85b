# SPDX-License-Identifier: Apache-2.0
"""What the instance stands on: the real sizes of its volume, and the certificate that the operator offers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from longshore.config import load_settings
from longshore.oci.errors import NotFound
from longshore.storage.factory import open_store
from longshore.system.surroundings import Surroundings, surroundings_of


async def test_volume_of_a_folder(tmp_path: Path) -> None:
    """The sizes of a folder's volume are those that the operating system tells."""
    store = await open_store((tmp_path / "store").as_uri())
    try:
        (volume,) = await Surroundings(store=store).volumes()
    finally:
        await store.close()
    usage = shutil.disk_usage(tmp_path)
    assert volume.total == usage.total
    assert abs(volume.free - usage.free) < usage.total // 10


async def test_object_stores_have_no_volume() -> None:
    """Nobody knows how much room an object store has."""
    assert await Surroundings(provider="s3", store=object()).volumes() == ()


async def test_certificate(tmp_path: Path) -> None:
    """The operator's file is read anew each time; without one, or when it is empty, there is none."""
    file = tmp_path / "ca.crt"
    surroundings = Surroundings(certificate=file)
    assert not surroundings.has_certificate
    for content in (None, b""):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(NotFound):
            await surroundings.root_certificate()
    file.write_bytes(b"-----BEGIN CERTIFICATE-----")
    assert surroundings.has_certificate
    assert await surroundings.root_certificate() == b"-----BEGIN CERTIFICATE-----"
    with pytest.raises(NotFound):
        await Surroundings().root_certificate()


@pytest.mark.parametrize(
    ("url", "provider"), [("file:///x", "filesystem"), ("s3://bucket", "s3"), (None, "filesystem")]
)
def test_provider(monkeypatch: pytest.MonkeyPatch, url: str | None, provider: str) -> None:
    """Stores have the names that Harbor gives them."""
    if url is not None:
        monkeypatch.setenv("LONGSHORE_STORAGE_URL", url)
    assert surroundings_of(load_settings(), None).provider == provider
