# SPDX-License-Identifier: Apache-2.0
"""Longshore under test: each configuration is a value, and one server."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from bench import machine
from bench.asking import basic, get, post
from bench.backing import Backing, FrontServer, ObjectStore, PostgreSQL
from bench.servers import PROJECT, Server

_PASSWORD = "Harbor12345-bench"  # noqa: S105 - of a server that lives for minutes on loopback
_KEY = "of-a-server-that-lives-for-minutes-on-loopback"
_PERSON = "puller"
_QUOTA = 1 << 40
_LOGINS = "logins.json"
_PULL = {"resource": "repository", "action": "pull"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to run Longshore.

    Attributes:
        name: What the result tables call it.
        database: Where the metadata is.
        storage: Where the bytes of blobs are.
        front: Whether clients talk to an nginx in front of it, which sends the blobs (LONGSHORE_ACCEL_REDIRECT).
    """

    name: str
    database: Literal["sqlite", "postgresql"]
    storage: Literal["filesystem", "s3"]
    front: bool = False

    def missing(self) -> list[str]:
        """The programs that it needs and this machine doesn't have."""
        programs = ["pg_isready"] if self.database == "postgresql" else []
        programs += [*(["versitygw"] if self.storage == "s3" else []), *(["nginx"] if self.front else [])]
        return [program for program in programs if machine.find(program) is None]


CONFIGURATIONS = (
    Configuration(name="longshore-sqlite", database="sqlite", storage="filesystem"),
    Configuration(name="longshore-postgresql", database="postgresql", storage="filesystem"),
    Configuration(name="longshore-postgresql-s3", database="postgresql", storage="s3"),
    Configuration(name="longshore-behind-nginx", database="sqlite", storage="filesystem", front=True),
)


class Longshore(Server):
    """`longshore serve` of this checkout: authentication and durability on, a quota on the project.

    Args:
        folder: Where its data is.
        cores: Where it runs.
        configuration: Which database and which store.
        settings: Settings that win over those of the benchmark.
    """

    def __init__(
        self, folder: Path, cores: Sequence[int], configuration: Configuration, settings: dict[str, str]
    ) -> None:
        super().__init__(folder, cores)
        self.name = configuration.name
        self.configuration = configuration
        self.settings = settings
        # Behind a front server clients have its port, and it has this one.
        self._own_port = machine.free_port() if configuration.front else self.port

    @property
    def content_name(self) -> str:
        """The same with a front server and without."""
        return f"longshore-{self.configuration.database}-{self.configuration.storage}"

    @property
    def database_url(self) -> str:
        """The database that runs beside it; empty on SQLite."""
        return next((backing.url for backing in self.backing if isinstance(backing, PostgreSQL)), "")

    @property
    def sqlite_path(self) -> Path:
        """The file of the embedded database."""
        return self.folder / "data" / "longshore.db"

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [str(Path(sys.executable).with_name("longshore")), *(arguments or ("serve",))]

    def environment(self) -> dict[str, str]:
        """Environment variables of the server."""
        storage = next((backing.url for backing in self.backing if isinstance(backing, ObjectStore)), "")
        return {
            "LONGSHORE_PORT": str(self._own_port),
            "LONGSHORE_DATA_DIR": str(self.folder / "data"),
            "LONGSHORE_DATABASE_URL": self.database_url,
            "LONGSHORE_STORAGE_URL": storage,
            "LONGSHORE_SECRET_KEY": _KEY,
            "LONGSHORE_ADMIN_PASSWORD": _PASSWORD,
            # SQLite's own default is one process; it writes, reads and hashes in other threads.
            "LONGSHORE_WORKERS": "" if not self.database_url else str(len(self.cores)),
            # The tokens of a run are got once, and a run may take longer than they are good for.
            "LONGSHORE_TOKEN_EXPIRY": "6h",
            **({"LONGSHORE_TRUSTED_PROXIES": "127.0.0.1"} if self.configuration.front else {}),
            **({"LONGSHORE_ACCEL_REDIRECT": FrontServer.prefix} if self.configuration.front else {}),
            **self.settings,
        }

    def version(self) -> str:
        """What the server says it is."""
        root = Path(__file__).parent.parent
        commit = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
        said = subprocess.run(self.command("version"), capture_output=True, text=True, check=True)
        beside = "".join(f", {backing.version()}" for backing in self.make_backing())
        return f"{said.stdout.strip()}, commit {commit.stdout.strip() or 'unknown'}{beside}"

    def ready(self) -> bool:
        """Whether the server can serve everything."""
        return get(self.port, "/readyz")[0] == http.client.OK

    def make_backing(self) -> list[Backing]:
        """Database, store and front server of the configuration."""
        made: list[Backing] = []
        if self.configuration.database == "postgresql":
            made.append(PostgreSQL(self.folder / "postgresql"))
        if self.configuration.storage == "s3":
            made.append(ObjectStore(self.folder / "objects"))
        if self.configuration.front:
            made.append(FrontServer(self.folder / "front", self.port, self._own_port, self.folder / "data" / "store"))
        return made

    def begin_backing(self) -> None:
        """Starts what the configuration needs; a database that is new gets its schema."""
        super().begin_backing()
        for backing in self.backing:
            if isinstance(backing, PostgreSQL) and backing.make_database():
                self.run("migrate")

    def run(self, *arguments: str) -> None:
        """Runs a command of Longshore on the data of this server.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise RuntimeError(f"{self.name}: longshore {' '.join(arguments)} ended with {done.returncode}: {said}")

    def prepare(self) -> None:
        """Makes the private project that everything is pushed to, with a quota, a person and a robot who may pull."""
        admin = basic("admin", _PASSWORD)
        project = {"project_name": PROJECT, "metadata": {"public": "false"}, "storage_limit": _QUOTA}
        person = {
            "username": _PERSON,
            "email": f"{_PERSON}@example.com",
            "realname": _PERSON,
            "password": _PASSWORD,
            "comment": "",
        }
        permissions = [{"kind": "project", "namespace": PROJECT, "access": [_PULL]}]
        robot = {"name": "ci", "level": "project", "duration": -1, "permissions": permissions}
        post(self.port, "/api/v2.0/projects", admin, project)
        post(self.port, "/api/v2.0/users", admin, person)
        member = {"role_id": 3, "member_user": {"username": _PERSON}}
        post(self.port, f"/api/v2.0/projects/{PROJECT}/members", admin, member)
        made: Any = post(self.port, "/api/v2.0/robots", admin, robot)
        logins = {"user": basic(_PERSON, _PASSWORD), "robot": basic(made["name"], made["secret"])}
        (self.folder / _LOGINS).write_text(json.dumps(logins), encoding="ascii")

    def logins(self) -> dict[str, str]:
        """The Authorization header's value of a `user` and of a `robot` who may pull."""
        found: dict[str, str] = json.loads((self.folder / _LOGINS).read_text(encoding="ascii"))
        return found

    def authorization(self, repositories: Sequence[str]) -> dict[str, str]:
        """A token of the administrator for each repository."""
        headers = {"Authorization": basic("admin", _PASSWORD)}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        found = {}
        try:
            for name in repositories:
                connection.request("GET", token_path(name, "pull,push"), headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != http.client.OK:
                    raise RuntimeError(f"no token for {name}: {answer.status} {body.decode(errors='replace')}")
                found[name] = f"Bearer {json.loads(body)['token']}"
        finally:
            connection.close()
        return found


def token_path(repository: str, actions: str) -> str:
    """Where a token for a repository is got."""
    return f"/service/token?service=harbor-registry&scope={quote(f'repository:{repository}:{actions}')}"
