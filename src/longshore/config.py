# SPDX-License-Identifier: Apache-2.0
"""Settings: typed, checked at start, from the environment (`LONGSHORE_*`) or a TOML file; the environment wins.

Every setting is documented in `docs/reference/settings.md`, and a test keeps it so. A secret setting may also be given as
`LONGSHORE_<NAME>_FILE`, the path of a file that holds it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "LONGSHORE_"
SECRETS = ("admin_password", "secret_key", "database_url", "redis_url", "storage_url", "config_overwrite_json")
# Harbor's name of a setting that is ours too.
_HARBORS = {"CONFIG_OVERWRITE_JSON": "config_overwrite_json"}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_LOCATION = re.compile(r"/(?:[A-Za-z0-9._~-]+/)+", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(%|[KMGT]i?B?|B)?", re.IGNORECASE)


class SettingsError(Exception):
    """A setting is wrong; the message names it and says what it may be, without repeating a secret.

    Args:
        message: For whoever starts the server, and the log.
        public: What clients of a process that waits for something better are told instead, when the message isn't for all.
    """

    def __init__(self, message: str, *, public: str | None = None) -> None:
        super().__init__(message)
        self.public = message if public is None else public


def parse_duration(value: object) -> object:
    """`90s`, `15m`, `24h`, `7d` or a plain number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a duration such as 30s, 15m, 24h or 7d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(BaseSettings):
    """All settings. `load_settings` makes them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="the port to listen on")
    external_url: str | None = Field(None, description="the URL that clients use; taken from the request when not set")
    data_dir: Path = Field(Path("data"), description="where everything of the embedded default is kept")
    database_url: SecretStr | None = Field(
        None, description="postgresql://…, with commas between several hosts; SQLite in the data directory when not set"
    )
    storage_url: SecretStr | None = Field(
        None, description="file://… or s3://…; a folder in the data directory when not set"
    )
    redis_url: SecretStr | None = Field(
        None, description="an optional cache that may be emptied at any time; not used yet"
    )
    admin_password: SecretStr | None = Field(
        None, description="first start only; generated and printed once when not set"
    )
    secret_key: SecretStr | None = Field(
        None,
        description="signs tokens and keys the hashes of machine secrets; generated in the data directory on SQLite",
    )
    workers: int | None = Field(
        None, ge=1, le=64, description="HTTP worker processes; 1 on SQLite, else the number of CPUs, at most 4"
    )
    database_pool: int = Field(4, ge=1, le=64, description="PostgreSQL connections per process")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="address ranges, separated by commas, whose Forwarded and X-Forwarded-* headers are believed"
    )
    tls_cert: Path | None = Field(None, description="serve TLS directly: the certificate chain, PEM")
    tls_key: Path | None = Field(None, description="serve TLS directly: the private key, PEM")
    ca_cert: Path | None = Field(
        None, description="the root certificate that clients may load from /api/v2.0/systeminfo/getcert, PEM"
    )
    storage_redirect: Literal["auto", "never", "always"] = Field(
        "auto", description="presigned redirects of blob GETs, for object stores"
    )
    accel_redirect: str | None = Field(
        None,
        description="where the trusted front proxy has the folder of a file:// store, such as /_store/; it sends the blobs",
    )
    storage_reserve: str = Field(
        "1%", description="free space (a size or a percentage, at most 512 MiB) below which uploads get 507"
    )
    upload_grace: Duration = Field(timedelta(hours=24), description="how long a blob waits for its manifest")
    upload_expiry: Duration = Field(timedelta(hours=24), description="how long an idle upload waits for its next byte")
    drain_delay: Duration = Field(timedelta(0), description="after SIGTERM: unready, but still accepting")
    drain_timeout: Duration = Field(
        timedelta(seconds=300), description="after that: how long transfers may take to finish"
    )
    trash_days: float = Field(7, ge=0, le=3650, description="how long deleted things can be restored; 0 is no undo")
    trash_limit: str | None = Field(
        None,
        description="how much of one project can be restored (a size such as 100GiB): the oldest deletions go before",
    )
    reclaim_delay: Duration = Field(timedelta(hours=24), description="from unreferenced to bytes gone; 0 for tests")
    token_expiry: Duration = Field(timedelta(minutes=30), description="how long a registry token is good")
    config_overwrite_json: SecretStr | None = Field(
        None,
        description="configuration items as a JSON object, over what administrators have set; nobody changes items then",
    )
    transfer_timeout: Duration = Field(
        timedelta(seconds=60), description="how long a transfer may stand still before the connection is closed"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    log_format: Literal["json", "text"] = Field("json", description="how it is logged")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before what the file says (which comes as arguments)."""
        return env_settings, init_settings

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        if value == "localhost":
            return "127.0.0.1"
        try:
            return str(ipaddress.ip_address(value.strip("[]")))
        except ValueError:
            raise ValueError("must be an IP address to listen on, such as 127.0.0.1, 0.0.0.0 or ::") from None

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            return value
        try:
            return tuple(ipaddress.ip_network(part, strict=False) for part in value)
        except ValueError as error:
            raise ValueError(
                f"must be addresses or ranges such as 10.0.0.0/8, separated by commas ({error})"
            ) from error

    @field_validator("external_url")
    @classmethod
    def _external(cls, value: str | None) -> str | None:
        if value is None or value == "":
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"} or parts.query:
            raise ValueError("must be http://host[:port] or https://host[:port], without a path")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or value.get_secret_value() == "":
            return None
        scheme, _, rest = value.get_secret_value().partition("://")
        if scheme.lower() not in {"postgresql", "postgres"}:
            raise ValueError("must begin with postgresql:// (leave it out for SQLite in the data directory)")
        try:
            # Several servers stand side by side, with commas between them; newer Pythons take such a list for no host.
            for server in re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].split(","):
                urlsplit(f"//{server}").port  # noqa: B018 - reading it is what checks it
        except ValueError:
            # The parser's own words would repeat a piece of the password.
            raise ValueError(
                "must have a number as its port; percent-encode what is special in the password (/ as %2F, : as %3A, @ as %40)"
            ) from None
        return value

    @field_validator("accel_redirect")
    @classmethod
    def _accel(cls, value: str | None) -> str | None:
        if value is not None and _LOCATION.fullmatch(value) is None:
            raise ValueError(
                "must be a location of the front proxy that begins and ends with a slash, such as /_store/"
            )
        return value

    @field_validator("storage_reserve")
    @classmethod
    def _reserve(cls, value: str) -> str:
        if _SIZE.fullmatch(value.strip()) is None:
            raise ValueError("must be a size such as 512MiB or a percentage such as 1%")
        return value

    @field_validator("trash_limit")
    @classmethod
    def _trash(cls, value: str | None) -> str | None:
        if value is not None and (_SIZE.fullmatch(value.strip()) is None or value.strip().endswith("%")):
            raise ValueError("must be a size such as 100GiB; leave it out for no limit")
        return value

    @field_validator("secret_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("must have at least 16 characters; make one with `openssl rand -hex 32`")
        return value

    @field_validator("config_overwrite_json")
    @classmethod
    def _items(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        try:
            parsed = json.loads(value.get_secret_value())
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise ValueError('must be a JSON object such as {"self_registration": true}')  # noqa: TRY004 - pydantic wants it
        return value

    @model_validator(mode="after")
    def _tls(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("LONGSHORE_TLS_CERT and LONGSHORE_TLS_KEY go together: set both or none")
        return self

    @model_validator(mode="after")
    def _front(self) -> Settings:
        if self.accel_redirect is not None and not self.storage.startswith("file://"):
            raise ValueError("LONGSHORE_ACCEL_REDIRECT needs a file:// store: a front proxy can send files only")
        if self.accel_redirect is not None and not self.trusted_proxies:
            raise ValueError(
                "LONGSHORE_ACCEL_REDIRECT needs LONGSHORE_TRUSTED_PROXIES: the addresses of that front proxy"
            )
        return self

    @property
    def sqlite_path(self) -> Path:
        """The file of the embedded database."""
        return self.data_dir / "longshore.db"

    @property
    def storage(self) -> str:
        """The storage URL, the folder in the data directory when none is set."""
        if self.storage_url is not None:
            return self.storage_url.get_secret_value()
        return (self.data_dir / "store").resolve().as_uri()

    @property
    def worker_processes(self) -> int:
        """How many HTTP processes to run."""
        if self.workers is not None:
            return self.workers
        return 1 if self.database_url is None else min(os.cpu_count() or 1, 4)

    def reserve_bytes(self, total: int) -> int:
        """The free space to keep on a volume of `total` bytes."""
        match = _SIZE.fullmatch(self.storage_reserve.strip())
        if match is None:
            raise AssertionError
        if match[2] == "%":
            return min(int(total * float(match[1]) / 100), 512 * 1024 * 1024)
        return _bytes(match)

    @property
    def trash_limit_bytes(self) -> int | None:
        """How many bytes of one project can be restored; None for any."""
        match = None if self.trash_limit is None else _SIZE.fullmatch(self.trash_limit.strip())
        return None if match is None else _bytes(match)


def _bytes(size: re.Match[str]) -> int:
    unit = (size[2] or "B").upper()
    powers = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
    base = 1024 if "I" in unit or len(unit) == 1 else 1000
    return int(float(size[1]) * base ** powers[unit[0]])


def load_settings(config: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Reads and checks all settings.

    Raises:
        SettingsError: one is wrong; the message names each by its environment variable.
    """
    surroundings = os.environ if environment is None else environment
    file = config or (Path(surroundings[PREFIX + "CONFIG"]) if surroundings.get(PREFIX + "CONFIG") else None)
    given: dict[str, Any] = {} if file is None else _read_toml(file)
    given.update(_secret_files(surroundings))
    for variable, name in _HARBORS.items():
        if surroundings.get(variable):
            given.setdefault(name, surroundings[variable])
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The configuration file {path} can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration file {path} is not valid TOML: {error}.") from error
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"The configuration file {path} has settings that don't exist: {', '.join(unknown)}.")
    return values


def _secret_files(environment: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in SECRETS:
        variable = f"{PREFIX}{name.upper()}_FILE"
        path = environment.get(variable)
        if not path:
            continue
        if environment.get(f"{PREFIX}{name.upper()}"):
            raise SettingsError(f"{variable} and {PREFIX}{name.upper()} are both set: keep one of them.")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable}: the file {path} can't be read: {error.strerror}.") from error
    return found


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = PREFIX + str(problem["loc"][0]).upper() if problem["loc"] else "settings"
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
