# SPDX-License-Identifier: Apache-2.0
"""``s3://bucket/prefix?option=value``, parsed: where the objects are, and how to get there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from longshore.storage.parts.sizes import LARGEST_PART, MEBIBYTE, SMALLEST_PART
from longshore.storage.refusals import InvalidStorageURL

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._=/-]{1,200}", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_SECRETS = ("access_key", "secret_key", "session_token")
_SIZE = re.compile(r"([0-9]{1,9})(MiB)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the URL, as the documentation tells it."""

    name: str
    takes: str
    default: str
    meaning: str


OPTIONS = (
    Option("endpoint", "`https://host[:port]`", "Amazon's", "the server's address, when it isn't Amazon's"),
    Option(
        "region",
        "text",
        "`AWS_REGION`, the profile's",
        "the bucket's region; with `endpoint` it is `us-east-1` unless the server has regions of its own",
    ),
    Option(
        "path_style",
        "`true` or `false`",
        "`true` with `endpoint`",
        "the bucket is the first part of the path (`https://host/bucket/key`) instead of the host's name; also `true` for a "
        "bucket with dots",
    ),
    Option(
        "public_endpoint",
        "`https://host[:port]`",
        "-",
        "where clients reach the server, for presigned addresses, when `endpoint` is an internal address",
    ),
    Option("ca", "path", "the system's", "more certificates (PEM) that the server's may be signed by"),
    Option(
        "access_key",
        "text, secret",
        "see below",
        "the key's id; may also stand before the bucket: `s3://id:secret@bucket`",
    ),
    Option("secret_key", "text, secret", "-", "the key's secret; in a URL `/` is written `%2F` and `%` is `%25`"),
    Option("session_token", "text, secret", "-", "goes with temporary keys"),
    Option("credentials", "path", "-", "a file of shared credentials, as Amazon's tools write it"),
    Option("profile", "text", "`AWS_PROFILE`", "the section of that file, or of `~/.aws`"),
    Option(
        "part_size",
        "size, 5MiB to 64MiB",
        "grows",
        "makes all parts but the last of one size, where a server demands it (Cloudflare R2)",
    ),
    Option(
        "timeout",
        "seconds, 1 to 300",
        "30",
        "how long a request may stand still before it is given up and tried again",
    ),
    Option(
        "concurrency",
        "1 to 10,000",
        "64",
        "requests that a process has under way at once; downloads aren't counted, completions of uploads apart",
    ),
)
KNOWN_OPTIONS = tuple(option.name for option in OPTIONS)


@dataclass(frozen=True, slots=True)
class GivenKey:
    """An access key that the URL names. It is shown nowhere."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Location:
    """A place in an object store.

    Attributes:
        bucket: Its name.
        prefix: What every key begins with: empty, or a path with a slash at its end.
        endpoint: Scheme, host and port of the server; None for Amazon's of the region.
        region: None when the environment or the profile says it.
        path_style: Whether the bucket is the first part of the path, rather than of the host's name.
        public_endpoint: Where clients reach the server, for presigned URLs.
        ca: A file with the certificates that the server's may be signed by, beside the system's.
        key: The access key of the URL, if it has one.
        credentials: A file of shared credentials, as Amazon's tools write it.
        profile: Which of its sections.
        part_size: Bytes of all parts but the last; None for parts that grow.
        timeout: Seconds without any progress after which a request is given up.
        concurrency: How many requests a process has under way, downloads not counted.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    path_style: bool
    public_endpoint: str | None
    ca: Path | None
    key: GivenKey | None
    credentials: Path | None
    profile: str | None
    part_size: int | None
    timeout: float
    concurrency: int

    def base(self, region: str) -> str:
        """The URL that paths are appended to."""
        return self._address(self.endpoint or _amazon(region))

    def public_base(self, region: str) -> str:
        """The same, as clients see it."""
        return self._address(self.public_endpoint or self.endpoint or _amazon(region))

    def _address(self, endpoint: str) -> str:
        if self.path_style:
            return f"{endpoint}/{self.bucket}"
        scheme, rest = endpoint.split("://", 1)
        return f"{scheme}://{self.bucket}.{rest}"


def parse_location(url: str) -> Location:
    """Read an ``s3://`` URL.

    Raises ``InvalidStorageURL`` naming the option that is wrong, never its value: the whole URL is a secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _wrong("is no URL; write s3://bucket/prefix?option=value") from error
    if "#" in url:
        raise _wrong("must not hold #; write %23")
    bucket = unquote(parts.netloc.rpartition("@")[2])
    if _BUCKET.fullmatch(bucket) is None:
        raise _wrong(
            "names no bucket: between s3:// and the next slash stands its name, 3 to 63 lower-case letters, digits, dots "
            "and hyphens; a server's address belongs into endpoint="
        )
    options = _options(
        parts.query, secretive="@" in parts.netloc or any(f"{name}=" in parts.query for name in _SECRETS)
    )
    endpoint = _origin("endpoint", options)
    key = _key(parts, options)
    if key is not None and ("credentials" in options or "profile" in options):
        raise _wrong("has an access key and credentials= or profile=; leave out one of them")
    # A certificate for *.s3.… doesn't cover a bucket with dots, and few servers but Amazon's have names for buckets.
    path_style = endpoint is not None or "." in bucket
    return Location(
        bucket=bucket,
        prefix=_prefix(parts.path),
        endpoint=endpoint,
        region=_region(options),
        path_style=_truth("path_style", options, default=path_style),
        public_endpoint=_origin("public_endpoint", options),
        ca=_file("ca", options),
        key=key,
        credentials=_file("credentials", options),
        profile=options.get("profile") or None,
        part_size=_part_size(options),
        timeout=float(_number("timeout", options, default=30, least=1, most=300)),
        concurrency=_number("concurrency", options, default=64, least=1, most=10_000),
    )


def _options(query: str, *, secretive: bool) -> dict[str, str]:
    """Read the query; a plus stays one, for secret keys have some.

    Behind a secret that holds an ampersand, the rest of it looks like an option: so its name isn't shown.
    """
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if name not in KNOWN_OPTIONS:
            shown = f"an option {name}" if name.isidentifier() and equals and not secretive else "an option"
            hint = " (in a secret, & is written %26)" if secretive else ""
            raise _wrong(f"has {shown} that nobody knows{hint}; the known ones are {', '.join(KNOWN_OPTIONS)}")
        if name in options:
            raise _wrong(f"has the option {name} twice")
        if not value:
            raise _wrong(f"has an option {name} without a value; write {name}=value or leave it out")
        options[name] = unquote(value)
    return options


def _key(parts: SplitResult, options: dict[str, str]) -> GivenKey | None:
    userinfo, at, _ = parts.netloc.rpartition("@")
    access, _, secret = userinfo.partition(":")
    given = {name: options.get(name) for name in ("access_key", "secret_key")}
    if at and any(given.values()):
        raise _wrong("has an access key twice, before the @ and as options")
    access_key = unquote(access) if at else given["access_key"]
    secret_key = unquote(secret) if at else given["secret_key"]
    token = options.get("session_token")
    if access_key and secret_key:
        return GivenKey(access_key, secret_key, token)
    if access_key or secret_key or token or at:
        raise _wrong("has half an access key; access_key= and secret_key= belong together, session_token= comes on top")
    return None


def _prefix(path: str) -> str:
    prefix = unquote(path).strip("/")
    # Servers disagree on how other characters are signed and listed.
    if prefix and _PREFIX.fullmatch(prefix) is None:
        raise _wrong("has a prefix with other characters than letters, digits and -_.= between its slashes")
    if prefix and any(part in {"", ".", ".."} for part in prefix.split("/")):
        raise _wrong("has a prefix with an empty part, . or .. in it")
    return f"{prefix}/" if prefix else ""


def _origin(name: str, options: dict[str, str]) -> str | None:
    value = options.get(name)
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.username
    ):
        raise _wrong(
            f"has an option {name} that isn't a server's address; write {name}=https://host or http://host:port"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def _region(options: dict[str, str]) -> str | None:
    region = options.get("region")
    if region is not None and _REGION.fullmatch(region) is None:
        raise _wrong("has an option region that isn't a region's name, such as eu-central-1")
    return region


def _truth(name: str, options: dict[str, str], *, default: bool) -> bool:
    value = options.get(name)
    if value not in {None, "true", "false"}:
        raise _wrong(f"has an option {name} that is neither true nor false")
    return default if value is None else value == "true"


def _file(name: str, options: dict[str, str]) -> Path | None:
    value = options.get(name)
    if value is None:
        return None
    if not value.startswith("/") or "\0" in value:
        raise _wrong(f"has an option {name} that isn't the absolute path of a file")
    return Path(value)


def _part_size(options: dict[str, str]) -> int | None:
    value = options.get("part_size")
    if value is None:
        return None
    match = _SIZE.fullmatch(value)
    size = int(match[1]) * (MEBIBYTE if match[2] else 1) if match else 0
    if not SMALLEST_PART <= size <= LARGEST_PART:
        raise _wrong("has an option part_size that isn't between 5MiB and 64MiB")
    return size


def _number(name: str, options: dict[str, str], *, default: int, least: int, most: int) -> int:
    value = options.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and least <= int(value[:9]) <= most):
        raise _wrong(f"has an option {name} that isn't a whole number from {least} to {most}")
    return int(value)


def _amazon(region: str) -> str:
    return f"https://s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def _wrong(complaint: str) -> InvalidStorageURL:
    return InvalidStorageURL(f"LONGSHORE_STORAGE_URL {complaint}.")
