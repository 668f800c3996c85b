# SPDX-License-Identifier: Apache-2.0
"""Where credentials are found when the URL has none, and what happens when they change or expire."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from longshore.storage.conformance import entries, expect_error
from longshore.storage.factory import open_store
from longshore.storage.port import StoreUnavailable
from longshore.storage.refusals import StoreRefused
from tests.faultystore import Fault, FaultyStore, said, standing_in
from tests.objectstore import ACCESS_KEY, SECRET_KEY, ObjectStore

_EMPTY: tuple[int, bytes, dict[str, str]] = (
    200,
    b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    {},
)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def _section(name: str, access_key: str, secret_key: str) -> str:
    return f"[{name}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"


@pytest.mark.parametrize("source", ["environment", "file", "option", "profile"])
async def test_credentials_are_found_where_others_find_them(
    object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    """The environment, Amazon's usual files, a file of one's own, and a profile in it all work."""
    bucket = object_store.bucket(f"credentials-{uuid.uuid4().hex}")
    url = f"s3://{bucket}?endpoint={object_store.endpoint}"
    if source == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    elif source == "file":
        (tmp_path / "credentials").write_text(_section("default", ACCESS_KEY, SECRET_KEY))
    elif source == "option":
        (tmp_path / "mine").write_text(_section("default", ACCESS_KEY, SECRET_KEY))
        url += f"&credentials={tmp_path}/mine"
    else:
        (tmp_path / "mine").write_text(_section("default", "a", "b") + _section("registry", ACCESS_KEY, SECRET_KEY))
        url += f"&credentials={tmp_path}/mine&profile=registry"
    store = await open_store(url)
    assert await entries(store) == []
    await store.close()


async def test_no_credentials_at_all_are_refused(object_store: ObjectStore) -> None:
    """The message names every place that was looked at."""
    error = await expect_error(StoreRefused, open_store(f"s3://bucket?endpoint={object_store.endpoint}"))
    assert all(place in error.message for place in ("access_key=", "credentials=", "AWS_*", "~/.aws"))


async def test_a_profile_that_is_not_there_is_refused(object_store: ObjectStore) -> None:
    """A misspelt profile is told as one."""
    error = await expect_error(StoreRefused, open_store(f"s3://bucket?endpoint={object_store.endpoint}&profile=nobody"))
    assert "profile=" in error.message


async def test_a_file_that_was_exchanged_is_read_again(tmp_path: Path) -> None:
    """A key that the server refuses is looked up anew, so that rotating the file needs no restart."""
    async with standing_in() as network:
        (tmp_path / "mine").write_text(_section("default", "OLD", "old"))
        network.fail(Fault("GET", answer=_EMPTY))
        store = await open_store(f"s3://bucket?endpoint={network.endpoint}&credentials={tmp_path}/mine")
        _pass_time(store)
        (tmp_path / "mine").write_text(_section("default", "NEW", "new"))
        network.fail(Fault("GET", answer=(403, said("InvalidAccessKeyId"), {})))
        network.fail(Fault("GET", answer=_EMPTY))
        assert await entries(store) == []
        assert [_key_of(network, number) for number in range(3)] == ["OLD", "OLD", "NEW"]
        network.fail(Fault("GET", times=100, answer=(403, said("InvalidAccessKeyId"), {})))
        await expect_error(StoreRefused, entries(store))
        assert len(network.arrived) == 4
        await store.close()


async def test_an_exchange_fails_no_request_that_was_under_way(tmp_path: Path) -> None:
    """All requests that were signed with the old key are signed anew, not only the one that reads the file."""
    async with standing_in() as network:
        (tmp_path / "mine").write_text(_section("default", "OLD", "old"))
        network.fail(Fault("GET", answer=_EMPTY))
        store = await open_store(f"s3://bucket?endpoint={network.endpoint}&credentials={tmp_path}/mine")
        _pass_time(store)
        (tmp_path / "mine").write_text(_section("default", "NEW", "new"))
        network.fail(Fault("GET", head=b"=OLD/", times=100, answer=(403, said("InvalidAccessKeyId"), {})))
        network.fail(Fault("GET", times=100, answer=_EMPTY))
        assert await asyncio.gather(*(entries(store) for _ in range(20))) == [[]] * 20
        await store.close()


async def test_a_key_that_stays_refused_is_not_looked_up_for_each_request(tmp_path: Path) -> None:
    """While no other key is there, requests are refused without being repeated, and the file is read again now and then."""
    async with standing_in() as network:
        (tmp_path / "mine").write_text(_section("default", "OLD", "old"))
        network.fail(Fault("GET", answer=_EMPTY))
        store = await open_store(f"s3://bucket?endpoint={network.endpoint}&credentials={tmp_path}/mine")
        network.fail(Fault("GET", times=100, answer=(403, said("InvalidAccessKeyId"), {})))
        _pass_time(store)
        await asyncio.gather(*(expect_error(StoreRefused, entries(store)) for _ in range(5)))
        assert len(network.arrived) == 6
        (tmp_path / "mine").write_text(_section("default", "NEW", "new"))
        await expect_error(StoreRefused, entries(store))
        assert {_key_of(network, number) for number in range(7)} == {"OLD"}
        await store.close()


def _pass_time(store: object) -> None:
    """Looking again is limited to once in a few seconds."""
    store._s3._transport._source._loaded_at = float("-inf")  # type: ignore[attr-defined]


def _key_of(network: FaultyStore, number: int) -> str:
    head = network.arrived[number].head.decode()
    return head.partition("Credential=")[2].partition("/")[0]


async def test_session_tokens_are_renewed_before_they_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of a container's role are asked for again when their time is nearly over, and their token is sent."""
    async with standing_in() as role, standing_in() as network:
        for number in range(8):
            soon = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
            given = {"AccessKeyId": f"KEY{number}", "SecretAccessKey": "s", "Token": f"t{number}", "Expiration": soon}
            role.fail(Fault("GET", answer=(200, json.dumps(given).encode(), {"Content-Type": "application/json"})))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role.endpoint}/role")
        network.fail(Fault("GET", times=2, answer=_EMPTY))
        store = await open_store(f"s3://bucket?endpoint={network.endpoint}")
        assert await entries(store) == []
        await store.close()
        first, second = (int(_key_of(network, number).removeprefix("KEY")) for number in range(2))
        assert first < second
        assert f"x-amz-security-token: t{second}".encode() in network.arrived[1].head.lower()


async def test_a_role_that_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service for credentials that fails may come back: no reason to refuse the start."""
    async with standing_in() as role:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role.endpoint}/role")
        error = await expect_error(StoreUnavailable, open_store("s3://bucket?endpoint=http://127.0.0.1:9"))
        assert not isinstance(error, StoreRefused)
        assert "credentials can't be had" in error.message
