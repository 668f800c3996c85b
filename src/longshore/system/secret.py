# SPDX-License-Identifier: Apache-2.0
"""The secret key: given by the operator, or made once in the data directory of the embedded default."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from longshore.config import Settings, SettingsError


def load_secret_key(settings: Settings) -> bytes:
    """The instance's secret key.

    Raises:
        SettingsError: PostgreSQL without a key: replicas that each made their own would not trust each other's tokens.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    if settings.database_url is not None:
        raise SettingsError(
            "LONGSHORE_SECRET_KEY: must be set with PostgreSQL, the same for all replicas; make one with"
            " `openssl rand -hex 32` and keep it safe"
        )
    return _read_or_make(settings.data_dir / "secret.key")


def key_check(secret_key: bytes) -> str:
    """A value that tells whether two keys are the same, and nothing else about them."""
    return hmac.new(secret_key, b"longshore/key-check/1", hashlib.sha256).hexdigest()


def _read_or_make(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A hard link fails when another process was first: its key is the one.
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_bytes().strip()
