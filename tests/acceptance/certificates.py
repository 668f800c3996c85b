# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.clients import find_tool


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate for 127.0.0.1 and its key."""

    chain: Path
    key: Path


def make_pair(folder: Path, name: str, *, days: int = 30, key: str = "ec:prime256v1", password: str = "") -> Pair:
    """Makes a pair whose subject is CN=name; negative days make one that has expired. Keys are `ec:CURVE` or `rsa:BITS`."""
    folder.mkdir(parents=True, exist_ok=True)
    chain, secret, request = folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.csr"
    kind, _, size = key.partition(":")
    options = ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{size}"] if kind == "ec" else ["-newkey", key]
    extensions = folder / f"{name}.cnf"
    extensions.write_text("subjectAltName=IP:127.0.0.1\n")
    secrecy = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    _openssl("req", *options, *secrecy, "-keyout", secret, "-out", request, "-subj", f"/CN={name}")
    unlock = ["-passin", f"pass:{password}"] if password else []
    _openssl(
        "x509",
        "-req",
        "-in",
        request,
        "-signkey",
        secret,
        *unlock,
        "-days",
        days,
        "-extfile",
        extensions,
        "-out",
        chain,
    )
    return Pair(chain, secret)


def _openssl(*arguments: object) -> None:
    done = subprocess.run(
        [find_tool("openssl"), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
