# SPDX-License-Identifier: Apache-2.0
"""Settings that an object store refuses: told at the start, with what was tried and answered, and without secrets."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import uuid
from pathlib import Path

import pytest

from longshore.storage.conformance import expect_error
from longshore.storage.factory import open_store
from longshore.storage.port import OpenedStore, StoreUnavailable
from longshore.storage.refusals import StoreRefused
from tests.faultystore import Fault, said, standing_in
from tests.objectstore import ACCESS_KEY, SECRET_KEY, ObjectStore

_SECRETS = (SECRET_KEY, "hunter2", "no%2Fsecret")


async def _refused(url: str) -> str:
    """What the operator is told; clients are told less."""
    error = await expect_error(StoreRefused, _open(url))
    assert not any(secret in str(error) for secret in _SECRETS)
    _check_public(error.message)
    return str(error)


def _check_public(message: str) -> None:
    assert not any(private in message for private in ("127.0.0.1", "bucket (", ".pem", "as they say", "eu-west-3"))


async def _open(url: str) -> OpenedStore:
    store = await open_store(url)
    await store.close()
    return store


async def test_what_a_real_server_refuses(object_store: ObjectStore) -> None:
    """A bucket that isn't there, a key that nobody knows, and a secret that isn't the key's each have their remedy."""
    bucket = object_store.bucket(f"refusals-{uuid.uuid4().hex}")
    await _open(object_store.url(bucket))
    told = await _refused(object_store.url("no-such-bucket"))
    assert "bucket doesn't exist" in told
    assert "NoSuchBucket" in told
    assert object_store.endpoint in told
    told = await _refused(object_store.url(bucket, access_key="somebody"))
    assert "doesn't know the access key" in told
    told = await _refused(object_store.url(bucket, secret_key="hunter2"))
    assert "secret key doesn't belong" in told


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((403, said("AccessDenied", "Not you."), {}), ("denies the access", "403 AccessDenied Not you.")),
        ((403, said("RequestTimeTooSkewed"), {}), ("set the clocks",)),
        ((400, said("ExpiredToken"), {}), ("has expired",)),
        (
            (301, said("PermanentRedirect"), {"x-amz-bucket-region": "eu-west-3"}),
            ("region=", "the bucket is in eu-west-3"),
        ),
        (
            (400, said("AuthorizationHeaderMalformed", Region="eu-west-3"), {}),
            ("region=", "the bucket is in eu-west-3"),
        ),
        ((307, b"", {}), ("region= or endpoint=",)),
        ((400, said("InvalidBucketName"), {}), ("doesn't take the bucket's name",)),
        ((200, b"<html>Welcome</html>", {}), ("no S3 server",)),
        ((200, b"Welcome", {}), ("no S3 server",)),
        ((404, b"<html>Not here</html>", {}), ("Is it an S3 server?",)),
    ],
)
async def test_each_refusal_has_its_remedy(
    answer: tuple[int, bytes, dict[str, str]], expected: tuple[str, ...]
) -> None:
    """The message says what to change, where it was tried, and what the server answered."""
    async with standing_in() as network:
        network.fail(Fault("GET", times=100, answer=answer))
        told = await _refused(f"s3://a:hunter2@bucket?region=us-west-2&endpoint={network.endpoint}")
        assert network.count("GET") == 1
    assert all(text in told for text in expected)
    assert f"{network.endpoint}/bucket (region us-west-2)" in told


async def test_a_server_that_is_away_is_not_refused() -> None:
    """Nobody answering, a name that isn't known yet, and an overload may pass: the start goes on and waits."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for endpoint, hint in ((away, "is it running?"), ("http://no-such-host.invalid", "host name can't be found")):
            error = await expect_error(StoreUnavailable, _open(f"s3://a:b@bucket?timeout=1&endpoint={endpoint}"))
            assert not isinstance(error, StoreRefused)
            assert hint in error.message
            _check_public(error.message)
            assert endpoint in str(error)
    async with standing_in() as network:
        network.fail(Fault("GET", times=100, answer=(503, said("SlowDown"), {})))
        error = await expect_error(StoreUnavailable, _open(f"s3://a:b@bucket?timeout=1&endpoint={network.endpoint}"))
        assert not isinstance(error, StoreRefused)


async def test_a_certificate_must_be_trusted(tmp_path: Path, object_store: ObjectStore) -> None:
    """An unknown authority is refused until `ca=` names it; a file that has no certificates is refused too."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = _certificate(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    async with standing_in(tls=server_side) as network:
        network.fail(
            Fault("GET", answer=(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", {}))
        )
        url = f"s3://a:hunter2@bucket?timeout=1&endpoint={network.endpoint}"
        told = await _refused(url)
        assert "certificate can't be verified" in told
        assert "ca=" in told
        await _open(f"{url}&ca={certificate}")
        assert "can't be read as certificates" in await _refused(f"{url}&ca={key}")
        assert "can't be read as certificates" in await _refused(f"{url}&ca={tmp_path}/absent.pem")
    told = await _refused(f"s3://a:hunter2@bucket?endpoint={object_store.endpoint.replace('http', 'https')}")
    assert "doesn't speak TLS" in told


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of nobody's for 127.0.0.1, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_amazon_needs_a_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without endpoint= nobody can guess the region."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "absent"))
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert "add region=" in await _refused("s3://a:hunter2@bucket")


def test_the_tests_have_a_key_that_needs_quoting() -> None:
    """Half of all real secret keys have characters that a URL changes."""
    assert {"/", "+", "%"} <= set(SECRET_KEY)
    assert ACCESS_KEY
