# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from longshore.storage.factory import directory_of, open_store
from longshore.storage.port import FreeSpace, InstanceMark, PresignedReads, StoreUnavailable
from longshore.storage.refusals import InvalidStorageURL


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///var/lib/longshore", "/var/lib/longshore"),
        ("file://localhost/data", "/data"),
        ("FILE:///data/", "/data"),
        ("file:///with%20space%3F", "/with space?"),
    ],
)
def test_a_file_url_names_a_directory(url: str, path: str) -> None:
    """The path of a `file://` URL is unquoted."""
    assert directory_of(url) == Path(path)


@pytest.mark.parametrize("url", ["gs://hunter2", "az://account:hunter2@x/y"])
def test_other_object_stores_come_later(url: str) -> None:
    """An object store is refused with the setting's name and without what may be secret in the URL."""
    with pytest.raises(InvalidStorageURL, match=r"LONGSHORE_STORAGE_URL.*later release") as refusal:
        directory_of(url)
    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize(
    "url",
    ["", "/var/lib", "file:relative", "file://host/path", "file://", "file:///a?b=c", "file:///a#b", "file:///a%00b",
     "http://hunter2@host/", "file://[/path"],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    """Whatever isn't `file:///path` is refused with the setting's name."""
    with pytest.raises(InvalidStorageURL, match="LONGSHORE_STORAGE_URL") as refusal:
        directory_of(url)
    assert "hunter2" not in refusal.value.message


async def test_an_open_store_is_prepared(tmp_path: Path) -> None:
    """The factory hands out a store that is ready and tells by its type what it can."""
    store = await open_store(f"file://{tmp_path}/new/store")
    assert isinstance(store, InstanceMark)
    assert isinstance(store, FreeSpace)
    assert not isinstance(store, PresignedReads)
    assert (tmp_path / "new/store/ff").is_dir()
    await store.close()


async def test_a_place_that_cannot_be_prepared_is_refused(tmp_path: Path) -> None:
    """A path that runs through a file raises `StoreUnavailable` naming the setting."""
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreUnavailable, match="LONGSHORE_STORAGE_URL"):
        await open_store(f"file://{tmp_path}/file/store")
    with pytest.raises(StoreUnavailable, match="LONGSHORE_STORAGE_URL"):
        await open_store(f"file://{tmp_path}/file")


def test_a_file_system_pays_for_no_http_client() -> None:
    """Building everything that serves from a directory imports neither Amazon's library nor an HTTP client."""
    program = (
        "import sys, longshore.app, longshore.worker, longshore.storage.factory\n"
        "print([name for name in ('aiobotocore', 'botocore', 'aiohttp', 'longshore.storage.parts.writer')"
        " if name in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"
