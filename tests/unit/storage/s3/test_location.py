# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from longshore.storage.refusals import InvalidStorageURL
from longshore.storage.s3.location import KNOWN_OPTIONS, GivenKey, parse_location


def test_a_bucket_is_enough() -> None:
    """Everything but the bucket has a default: Amazon's servers, virtual hosts, growing parts."""
    location = parse_location("s3://images")
    assert (location.bucket, location.prefix, location.region, location.key) == ("images", "", None, None)
    assert location.base("eu-central-1") == "https://images.s3.eu-central-1.amazonaws.com"
    assert location.base("cn-north-1") == "https://images.s3.cn-north-1.amazonaws.com.cn"
    assert location.part_size is None


def test_every_option_is_read() -> None:
    """Each known option arrives, typed."""
    location = parse_location(
        "s3://images/a/b/?endpoint=https://s3.example:9000/&region=eu-west-1&path_style=false"
        "&public_endpoint=https%3A%2F%2Fcdn.example&ca=/etc/ca.pem&access_key=AK&secret_key=a+b%2Fc%25&session_token=t=="
        "&part_size=16MiB&timeout=5&concurrency=7"
    )
    assert location.prefix == "a/b/"
    assert location.base("eu-west-1") == "https://images.s3.example:9000"
    assert location.public_base("eu-west-1") == "https://images.cdn.example"
    assert location.key == GivenKey("AK", "a+b/c%", "t==")
    assert (location.region, location.ca) == ("eu-west-1", Path("/etc/ca.pem"))
    assert (location.part_size, location.timeout, location.concurrency) == (16 * 1024 * 1024, 5.0, 7)
    other = parse_location("s3://images?credentials=/run/secrets/aws&profile=registry")
    assert (other.credentials, other.profile) == (Path("/run/secrets/aws"), "registry")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("s3://images?endpoint=http://minio:9000", "http://minio:9000/images"),
        ("s3://images?endpoint=http://[::1]:9000", "http://[::1]:9000/images"),
        ("s3://my.images?region=r", "https://s3.r.amazonaws.com/my.images"),
        ("s3://images?path_style=true", "https://s3.r.amazonaws.com/images"),
    ],
)
def test_the_bucket_is_in_the_path_where_it_has_to_be(url: str, base: str) -> None:
    """A server of one's own, and a bucket with dots, get path style unless the option says otherwise."""
    assert parse_location(url).base("r") == base


def test_the_access_key_may_stand_before_the_at_sign() -> None:
    """`s3://key:secret@bucket` means the same as the options."""
    assert parse_location("s3://AK:a%2Fb+c@images").key == GivenKey("AK", "a/b+c")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("s3://", "names no bucket"),
        ("s3://hunter2@/", "names no bucket"),
        ("s3://Bucket", "names no bucket"),
        ("s3://ab", "names no bucket"),
        ("s3://127.0.0.1:9000/bucket", "names no bucket"),
        ("s3://bucket:9000", "names no bucket"),
        ("s3://[bucket", "is no URL"),
        ("s3://bucket#hunter2", "must not hold #"),
        ("s3://bucket/a//b", "prefix with an empty part"),
        ("s3://bucket/../b", "prefix with an empty part"),
        ("s3://bucket/a b", "prefix with other characters"),
        ("s3://bucket?regoin=hunter2", "an option regoin that nobody knows"),
        ("s3://bucket?hunter2!", "an option that nobody knows"),
        ("s3://bucket?region=a&region=hunter2", "the option region twice"),
        ("s3://bucket?region=", "an option region without a value"),
        ("s3://bucket?region=EU%20hunter2", "an option region that isn't"),
        ("s3://bucket?endpoint=hunter2", "an option endpoint that isn't"),
        ("s3://bucket?endpoint=https://host/hunter2", "an option endpoint that isn't"),
        ("s3://bucket?endpoint=https://u:hunter2@host", "an option endpoint that isn't"),
        ("s3://bucket?endpoint=https://host:hunter2", "an option endpoint that isn't"),
        ("s3://bucket?endpoint=https://[hunter2", "an option endpoint that isn't"),
        ("s3://bucket?public_endpoint=ftp://hunter2", "an option public_endpoint that isn't"),
        ("s3://bucket?path_style=yes", "path_style that is neither true nor false"),
        ("s3://bucket?ca=hunter2.pem", "an option ca that isn't the absolute path"),
        ("s3://bucket?part_size=4MiB", "an option part_size that isn't between"),
        ("s3://bucket?part_size=65MiB", "an option part_size that isn't between"),
        ("s3://bucket?part_size=hunter2", "an option part_size that isn't between"),
        ("s3://bucket?timeout=301", "an option timeout that isn't a whole number from 1 to 300"),
        (
            "s3://bucket?access_key=a&secret_key=b&hunter2=rest",
            "an option that nobody knows (in a secret, & is written %26)",
        ),
        ("s3://bucket?secret_key=b&hunter2=rest", "an option that nobody knows (in a secret"),
        ("s3://bucket?session_token=b&hunter2=rest", "an option that nobody knows (in a secret"),
        ("s3://a:b@bucket?hunter2=rest", "an option that nobody knows (in a secret"),
        ("s3://bucket?timeout=0", "an option timeout that isn't a whole number"),
        ("s3://bucket?timeout=²", "an option timeout that isn't a whole number"),
        ("s3://bucket?concurrency=hunter2", "an option concurrency that isn't a whole number"),
        ("s3://bucket?access_key=hunter2", "half an access key"),
        ("s3://bucket?session_token=hunter2", "half an access key"),
        ("s3://hunter2@bucket", "half an access key"),
        ("s3://a:hunter2@bucket?secret_key=b", "an access key twice"),
        ("s3://a:hunter2@bucket?profile=b", "an access key and credentials= or profile="),
    ],
)
def test_what_is_wrong_is_named_and_nothing_secret_is_shown(url: str, complaint: str) -> None:
    """Each mistake is refused with the setting's name and the option's, never with a value."""
    with pytest.raises(InvalidStorageURL) as refusal:
        parse_location(url)
    assert refusal.value.message.startswith("LONGSHORE_STORAGE_URL ")
    assert complaint in refusal.value.message
    assert "hunter2" not in refusal.value.message


def test_an_unknown_option_lists_the_known_ones() -> None:
    """A misspelt option is an error that shows how to write it."""
    with pytest.raises(InvalidStorageURL) as refusal:
        parse_location("s3://bucket?pathstyle=true")
    assert all(name in refusal.value.message for name in KNOWN_OPTIONS)


def test_a_location_shows_no_secret() -> None:
    """The access key isn't in what a debugger or a traceback would print."""
    assert "hunter2" not in repr(parse_location("s3://a:hunter2@bucket"))
