# SPDX-License-Identifier: Apache-2.0
"""`longshore serve` as an operator meets it: first start, refusals, readiness, draining, several processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from longshore.database.revisions import HEAD
from tests.acceptance.server import Registry, free_port, longshore, longshore_command, serve, stop, wait_until_ready

_PASSWORD = re.compile(r"^ +password +(\S+)$", re.MULTILINE)
KEY = "0123456789abcdef0123456789abcdef"


def _environment(directory: Path, **settings: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LONGSHORE_PORT": str(free_port()),
        "LONGSHORE_DATA_DIR": str(directory / "data"),
        **settings,
    }


@contextmanager
def _started(
    directory: Path, environment: dict[str, str], *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = directory / f"serve-{uuid.uuid4().hex[:8]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            longshore_command("serve", *arguments), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _refused(environment: dict[str, str], *arguments: str) -> str:
    """What a server says that doesn't start because of its settings."""
    done = subprocess.run(
        longshore_command("serve", *arguments), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def _registry(environment: dict[str, str], log: Path) -> Registry:
    from tests.acceptance.server import Login  # noqa: PLC0415 - only here

    return Registry(
        host=f"127.0.0.1:{environment['LONGSHORE_PORT']}",
        admin=Login(username="admin", password=environment.get("LONGSHORE_ADMIN_PASSWORD", "")),
        environment=environment,
        log=log,
    )


def _wait_for(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


async def _fresh_database(server: str) -> str:
    name = f"serve_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(f"{server}/postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{server}/{name}"


def test_the_first_start_prints_a_password_that_works_and_later_starts_do_not(tmp_path: Path) -> None:
    """The administrator's password is generated, printed once, and logs in; it stands in no log line."""
    environment = _environment(tmp_path)
    with _started(tmp_path, environment) as (process, log):
        registry = _registry(environment, log)
        wait_until_ready(process, registry)
        match = _PASSWORD.search(log.read_text())
        assert match is not None
        password = match[1]
        assert httpx.get(f"{registry.url}/v2/", auth=("admin", password)).status_code == 200
        assert httpx.get(f"{registry.url}/v2/", auth=("admin", "wrong")).status_code == 401
        stop(process, log)
        assert log.read_text().count(password) == 1
    with _started(tmp_path, environment) as (process, log):
        wait_until_ready(process, _registry(environment, log))
        assert httpx.get(f"{registry.url}/v2/", auth=("admin", password)).status_code == 200
        stop(process, log)
        assert "password" not in log.read_text()


def test_a_second_server_of_the_same_role_is_refused_and_commands_run_beside(tmp_path: Path) -> None:
    """An embedded data directory has one server of each role; other roles and commands are welcome."""
    environment = _environment(tmp_path, LONGSHORE_ADMIN_PASSWORD="Harbor12345")
    with _started(tmp_path, environment, "--role", "api") as (process, log):
        wait_until_ready(process, _registry(environment, log))
        other = {**environment, "LONGSHORE_PORT": str(free_port())}
        said = _refused(other, "--role", "api")
        assert "LONGSHORE_DATA_DIR" in said
        assert f"pid {process.pid}" in said
        assert "LONGSHORE_DATA_DIR" in _refused(other)
        with _started(tmp_path, other, "--role", "worker") as (worker, worker_log):
            _wait_for(lambda: "reclaim_started" in worker_log.read_text())
            assert "demo" in longshore(environment, "admin", "project", "create", "demo")
            assert "Everything is right" in longshore(environment, "verify", "--deep")
            assert worker.poll() is None
            stop(worker, worker_log)
        stop(process, log)


def test_wrong_settings_are_refused_by_their_names(tmp_path: Path) -> None:
    """A server with a wrong setting doesn't start, names it, says what it may be, and repeats no secret."""
    for name, value in {
        "LONGSHORE_PORT": "http",
        "LONGSHORE_UPLOAD_GRACE": "soon",
        "LONGSHORE_TRUSTED_PROXIES": "10.0.0.0/99",
        "LONGSHORE_EXTERNAL_URL": "registry.example.com",
        "LONGSHORE_STORAGE_URL": "ftp://user:hunter2-secret@host/x",
        "LONGSHORE_SECRET_KEY": "hunter2-secret",
        "LONGSHORE_DATABASE_URL": "mysql://user:hunter2-secret@host/x",
        "LONGSHORE_TLS_CERT": "/nowhere.pem",
        "LONGSHORE_ADMIN_PASSWORD": "short",
        "LONGSHORE_STORAGE_RESERVE": "much",
    }.items():
        said = _refused(_environment(tmp_path, **{name: value}))
        assert name in said, said
        assert "hunter2" not in said, said


def test_postgresql_needs_a_key_and_keeps_to_it(tmp_path: Path, postgresql_server: str) -> None:
    """Without a secret key, or with another one than the database was made with, the server doesn't start."""
    url = asyncio.run(_fresh_database(postgresql_server))
    assert "LONGSHORE_SECRET_KEY" in _refused(_environment(tmp_path, LONGSHORE_DATABASE_URL=url))
    settings = {"LONGSHORE_DATABASE_URL": url, "LONGSHORE_ADMIN_PASSWORD": "Harbor12345"}
    with serve(tmp_path / "first", {**settings, "LONGSHORE_SECRET_KEY": KEY}):
        pass
    said = _refused(_environment(tmp_path, **settings, LONGSHORE_SECRET_KEY=KEY[::-1]))
    assert "LONGSHORE_SECRET_KEY" in said
    assert KEY[::-1] not in said


def test_on_postgresql_the_server_waits_for_the_migration(tmp_path: Path, postgresql_server: str) -> None:
    """Until `longshore migrate` ran the server is alive but unready, names the revision, and then gets ready by itself."""
    url = asyncio.run(_fresh_database(postgresql_server))
    environment = _environment(
        tmp_path, LONGSHORE_DATABASE_URL=url, LONGSHORE_SECRET_KEY=KEY, LONGSHORE_ADMIN_PASSWORD="Harbor12345"
    )
    with _started(tmp_path, environment) as (process, log):
        registry = _registry(environment, log)

        def unready() -> bool:
            try:
                answer = httpx.get(f"{registry.url}/readyz")
            except httpx.TransportError:
                return False
            return answer.status_code == 503 and HEAD in answer.json()["reason"]

        _wait_for(unready)
        assert httpx.get(f"{registry.url}/livez").status_code == 200
        refused = httpx.get(f"{registry.url}/v2/")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "longshore migrate" in refused.json()["errors"][0]["message"]
        assert HEAD in longshore(environment, "migrate")
        wait_until_ready(process, registry)
        assert httpx.get(f"{registry.url}/v2/", auth=("admin", "Harbor12345")).status_code == 200
        stop(process, log)


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ("postgres@{}/longshoer", 'database "longshoer" does not exist'),
        ("longshoer@{}/postgres", 'role "longshoer" does not exist'),
        ("postgres@{}/postgres?sslmod=disable", "sslmod"),
    ],
)
def test_a_database_that_refuses_is_an_error_of_the_settings(
    tmp_path: Path, postgresql_server: str, wrong: str, answer: str
) -> None:
    """A name that isn't there, an option that nobody knows: what PostgreSQL said is said, and the start ends."""
    url = "postgresql://" + wrong.format(postgresql_server.rpartition("@")[2])
    told = _refused(_environment(tmp_path, LONGSHORE_DATABASE_URL=url, LONGSHORE_SECRET_KEY=KEY))
    assert "LONGSHORE_DATABASE_URL" in told
    assert answer in told


def test_of_several_first_starts_one_prints_the_password(tmp_path: Path, postgresql_server: str) -> None:
    """Replicas that start together on an empty database make one administrator, and one of them tells the password."""
    url = asyncio.run(_fresh_database(postgresql_server))
    common = {"LONGSHORE_DATABASE_URL": url, "LONGSHORE_SECRET_KEY": KEY, "LONGSHORE_WORKERS": "1"}
    store = f"file://{tmp_path}/store"
    longshore(_environment(tmp_path, **common), "migrate")
    environments = [_environment(tmp_path / str(number), **common, LONGSHORE_STORAGE_URL=store) for number in range(3)]
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    with (
        _started(tmp_path, environments[0]) as first,
        _started(tmp_path, environments[1]) as second,
        _started(tmp_path, environments[2]) as third,
    ):
        logs = []
        for (process, log), environment in zip((first, second, third), environments, strict=True):
            wait_until_ready(process, _registry(environment, log))
            logs.append(log.read_text())
        passwords = [match[1] for text in logs if (match := _PASSWORD.search(text))]
        assert len(passwords) == 1
        for environment in environments:
            answer = httpx.get(f"http://127.0.0.1:{environment['LONGSHORE_PORT']}/v2/", auth=("admin", passwords[0]))
            assert answer.status_code == 200


def test_sigterm_lets_a_transfer_finish(tmp_path: Path) -> None:
    """A push that is under way when the server is told to stop is acknowledged and durable, and new ones are refused."""
    with serve(tmp_path, {"LONGSHORE_DRAIN_TIMEOUT": "30s"}) as registry:
        environment = registry.environment
        supervisor = next(
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.laddr and connection.laddr.port == int(environment["LONGSHORE_PORT"]) and connection.pid
        )
        parent = psutil.Process(supervisor).parent()
        assert parent is not None
        main = parent if "longshore" in " ".join(parent.cmdline()) else psutil.Process(supervisor)
        content = os.urandom(3_000_000)
        with registry.client(registry.admin) as client:
            upload = client.post("/v2/library/drain/blobs/uploads/").headers["location"]
        begun = threading.Event()

        def slowly() -> Iterator[bytes]:
            for offset in range(0, len(content), 300_000):
                yield content[offset : offset + 300_000]
                begun.set()
                time.sleep(0.2)

        answers: list[httpx.Response] = []

        def push() -> None:
            with registry.client(registry.admin) as client:
                answers.append(client.patch(upload, content=slowly()))

        pushing = threading.Thread(target=push)
        pushing.start()
        assert begun.wait(10)
        main.send_signal(signal.SIGTERM)
        pushing.join(30)
        assert answers
        assert answers[0].status_code == 202
        assert answers[0].headers["range"] == f"0-{len(content) - 1}"
        main.wait(30)
        with _started(tmp_path, environment) as (process, log):
            wait_until_ready(process, registry)
            with registry.client(registry.admin) as client:
                assert client.get(upload).headers["range"] == f"0-{len(content) - 1}"
            stop(process, log)


def test_while_draining_the_server_is_unready_but_serves(tmp_path: Path) -> None:
    """After SIGTERM load balancers get the drain delay to notice, and nobody is turned away meanwhile."""
    environment = _environment(tmp_path, LONGSHORE_ADMIN_PASSWORD="Harbor12345", LONGSHORE_DRAIN_DELAY="3s")
    with _started(tmp_path, environment) as (process, log):
        registry = _registry(environment, log)
        wait_until_ready(process, registry)
        process.send_signal(signal.SIGTERM)
        _wait_for(lambda: httpx.get(f"{registry.url}/readyz").status_code == 503, 2)
        assert httpx.get(f"{registry.url}/v2/", auth=("admin", "Harbor12345")).status_code == 200
        assert httpx.get(f"{registry.url}/livez").status_code == 200
        assert process.wait(20) == 0


def test_metrics_are_the_same_from_every_process(tmp_path: Path) -> None:
    """Whichever process answers, /metrics counts the requests of all of them."""
    with serve(tmp_path, {"LONGSHORE_WORKERS": "3"}) as registry:
        for _ in range(60):
            # A new connection each time, so that every process gets some.
            assert httpx.get(f"{registry.url}/v2/").status_code == 401
        time.sleep(0.5)
        figures = {
            line.rsplit(" ", 1)[1]
            for _ in range(12)
            for line in httpx.get(f"{registry.url}/metrics").text.splitlines()
            if line.startswith('longshore_http_requests_total{method="GET",route="v2",status="401"}')
        }
        assert figures == {"60.0"}
        text = httpx.get(f"{registry.url}/metrics").text
        assert 'longshore_reclaim_waiting{step="collect"}' in text


def test_each_request_is_one_log_line_without_secrets(tmp_path: Path) -> None:
    """The log says who did what to which repository and digest, how many bytes, how long, under the request's id."""
    with serve(tmp_path) as registry:
        with registry.client(registry.admin) as client:
            content = os.urandom(1000)
            answer = client.post(
                "/v2/library/logged/blobs/uploads/?digest=sha256:" + hashlib.sha256(content).hexdigest(),
                content=content,
                headers={"X-Request-Id": "my-own-id-7"},
            )
            assert answer.status_code == 201
            assert answer.headers["x-request-id"] == "my-own-id-7"
            token = client.get("/service/token?service=harbor-registry&scope=repository:library/logged:pull").json()[
                "token"
            ]
        httpx.get(f"{registry.url}/v2/library/logged/tags/list", headers={"Authorization": f"Bearer {token}"})
        time.sleep(0.6)
        text = registry.log.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        mine = [line for line in lines if line.get("request_id") == "my-own-id-7"]
        assert len(mine) == 1
        assert mine[0] | {"seconds": 0, "timestamp": ""} == {
            "timestamp": "",
            "level": "info",
            "event": "request",
            "request_id": "my-own-id-7",
            "method": "POST",
            "path": "/v2/library/logged/blobs/uploads/",
            "status": 201,
            "source": "127.0.0.1",
            "principal": "admin",
            "repository": "library/logged",
            "digest": answer.headers["docker-content-digest"],
            "received": 1000,
            "seconds": 0,
        }
        assert token not in text
        assert registry.admin.password not in text


def test_the_front_page_says_how_to_log_in(tmp_path: Path) -> None:
    """Who opens the address in a browser learns what this is and how to begin."""
    with serve(tmp_path) as registry:
        page = httpx.get(registry.url)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert f"docker login {registry.host}" in page.text
        missing = httpx.get(f"{registry.url}/nowhere")
        assert missing.status_code == 404
        assert missing.json()["errors"][0]["code"] == "NOT_FOUND"
        assert missing.json()["request_id"] == missing.headers["x-request-id"]


def test_behind_a_proxy_only_trusted_headers_count(tmp_path: Path) -> None:
    """Realm and source follow forwarded headers from trusted proxies, and ignore them from anybody else."""
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "registry.example.com",
        "X-Forwarded-For": "203.0.113.9",
    }
    with serve(tmp_path / "plain") as registry:
        challenge = httpx.get(f"{registry.url}/v2/", headers=forwarded).headers["www-authenticate"]
        assert f'realm="http://{registry.host}/service/token"' in challenge
    with serve(tmp_path / "trusting", {"LONGSHORE_TRUSTED_PROXIES": "127.0.0.0/8"}) as registry:
        challenge = httpx.get(f"{registry.url}/v2/", headers=forwarded).headers["www-authenticate"]
        assert 'realm="https://registry.example.com/service/token"' in challenge
    with serve(tmp_path / "external", {"LONGSHORE_EXTERNAL_URL": "https://images.example.org"}) as registry:
        challenge = httpx.get(f"{registry.url}/v2/").headers["www-authenticate"]
        assert 'realm="https://images.example.org/service/token"' in challenge
        with registry.client(registry.admin) as client:
            assert (
                client.post("/v2/library/x/blobs/uploads/")
                .headers["location"]
                .startswith("/v2/library/x/blobs/uploads/")
            )


def test_a_killed_process_is_replaced_and_a_killed_supervisor_leaves_nothing(tmp_path: Path) -> None:
    """An HTTP or worker process that dies is started again; processes whose supervisor dies go with it."""
    environment = _environment(tmp_path, LONGSHORE_ADMIN_PASSWORD="Harbor12345")
    with _started(tmp_path, environment) as (process, log):
        registry = _registry(environment, log)
        wait_until_ready(process, registry)
        children = psutil.Process(process.pid).children()
        assert len(children) == 2
        for child in children:
            child.kill()
        _wait_for(lambda: len([c for c in psutil.Process(process.pid).children() if c.status() != "zombie"]) == 2)
        wait_until_ready(process, registry)
        children = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(environment["LONGSHORE_PORT"])))
    with _started(tmp_path, environment) as (process, log):
        wait_until_ready(process, registry)
        stop(process, log)


@pytest.mark.parametrize(
    "command", [["--help"], ["serve", "--help"], ["admin", "--help"], ["verify", "--help"], ["version"]]
)
def test_every_command_helps(tmp_path: Path, command: list[str]) -> None:
    """Help costs no settings and no database."""
    assert longshore(_environment(tmp_path), *command)


def test_nobody_else_on_the_machine_can_read_the_data(tmp_path: Path) -> None:
    """Database, keys and blobs are the server's own, whatever the umask of whoever starts it."""
    with serve(tmp_path) as registry:
        with registry.client(registry.admin) as client:
            digest = "sha256:" + hashlib.sha256(b"x").hexdigest()
            assert client.post(f"/v2/library/x/blobs/uploads/?digest={digest}", content=b"x").status_code == 201
        data = Path(registry.environment["LONGSHORE_DATA_DIR"])
        assert {path.stat().st_mode & 0o077 for path in (data, *data.rglob("*"))} == {0}


def test_a_port_in_use_is_said_before_anything_is_made(tmp_path: Path) -> None:
    """The most likely failure of a first start names the setting that helps, and prints no password that is then lost."""
    environment = _environment(tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(environment["LONGSHORE_PORT"])))
        listener.listen()
        assert "LONGSHORE_PORT" in _refused(environment)
    with _started(tmp_path, {**environment, "LONGSHORE_HOST": "localhost"}) as (process, log):
        wait_until_ready(process, _registry(environment, log))
        assert _PASSWORD.search(log.read_text()) is not None
        stop(process, log)


def test_a_volume_that_is_not_mounted_is_refused(tmp_path: Path) -> None:
    """An empty folder where blobs should be is no empty registry: nobody is told that images are gone."""
    environment = _environment(tmp_path, LONGSHORE_ADMIN_PASSWORD="Harbor12345")
    store = Path(environment["LONGSHORE_DATA_DIR"]) / "store"
    digest = "sha256:" + hashlib.sha256(b"x").hexdigest()
    with _started(tmp_path, environment) as (process, log):
        registry = _registry(environment, log)
        wait_until_ready(process, registry)
        with registry.client(registry.admin) as client:
            assert client.post(f"/v2/library/x/blobs/uploads/?digest={digest}", content=b"x").status_code == 201
        stop(process, log)
    store.rename(store.with_name("elsewhere"))
    verify = subprocess.run(
        longshore_command("verify", "--mark-missing"), env=environment, capture_output=True, text=True, check=False
    )
    assert verify.returncode == 2
    assert "Is the volume mounted?" in verify.stderr
    with _started(tmp_path, environment) as (process, log):
        assert process.wait(30) == 2
        assert "Is the volume mounted?" in log.read_text()
    shutil.rmtree(store, ignore_errors=True)
    store.with_name("elsewhere").rename(store)
    assert "Everything is right" in longshore(environment, "verify", "--deep")


def test_commands_on_postgresql_say_what_is_wrong(tmp_path: Path, postgresql_server: str) -> None:
    """A wrong key makes no robot that could never log in; a wrong database is a sentence, for every command."""
    url = asyncio.run(_fresh_database(postgresql_server))
    right = _environment(tmp_path, LONGSHORE_DATABASE_URL=url, LONGSHORE_SECRET_KEY=KEY)
    longshore(right, "migrate")
    longshore(right, "admin", "reclaim", "status")
    robot = ("admin", "robot", "create", "ci", "--permission", "repository:pull")
    missing = {**right, "LONGSHORE_DATABASE_URL": url + "_missing"}
    for environment, command, name in (
        ({**right, "LONGSHORE_SECRET_KEY": KEY[::-1]}, robot, "LONGSHORE_SECRET_KEY"),
        (missing, ("migrate",), "LONGSHORE_DATABASE_URL"),
        (missing, ("verify",), "LONGSHORE_DATABASE_URL"),
    ):
        done = subprocess.run(longshore_command(*command), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in {1, 2}
        assert name in done.stderr
        assert "Traceback" not in done.stderr
