# SPDX-License-Identifier: Apache-2.0
"""The peers that run beside Longshore: two generations of the distribution project's registry, and nginx on plain files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.servers import Server


class DockerRegistry(Server):
    """Debian's docker-registry (distribution 2.8), without authentication and without an access log."""

    name = "docker-registry"

    def command(self) -> list[str]:
        """The command line."""
        configuration = self.folder / "config.yml"
        configuration.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            "storage:\n"
            "  cache: {blobdescriptor: inmemory}\n"
            f"  filesystem: {{rootdirectory: {self.root}}}\n"
            "  delete: {enabled: true}\n"
            f"http: {{addr: '127.0.0.1:{self.port}', secret: bench}}\n",
            encoding="utf-8",
        )
        return [machine.require(self.name, self.name), "serve", str(configuration)]

    @property
    def root(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    def environment(self) -> dict[str, str]:
        """Without traces, which distribution 3 sends by itself."""
        return {"OTEL_TRACES_EXPORTER": "none"}

    def version(self) -> str:
        """What the server says it is."""
        program = machine.require(self.name, self.name)
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        return said.stdout.strip()

    def lay(self, repository: str, tags: Sequence[str], digest: str, payload: bytes) -> None:
        """Lays a manifest into its files, as far as reading needs it."""
        value = digest.removeprefix("sha256:")
        blob = self.root / "docker/registry/v2/blobs/sha256" / value[:2] / value / "data"
        manifests = self.root / "docker/registry/v2/repositories" / repository / "_manifests"
        links = [manifests / "revisions/sha256" / value / "link"]
        links += [manifests / "tags" / tag / "current/link" for tag in tags]
        for file, content in [(blob, payload), *((link, digest.encode()) for link in links)]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


class Distribution(DockerRegistry):
    """Distribution 3, the same way."""

    name = "distribution"


class Nginx(Server):
    """nginx, one process, no access log, serving the same bytes as files: the physical ceiling of reading."""

    name = "nginx"
    pushable = False

    @property
    def root(self) -> Path:
        """Where its files are."""
        return self.folder / "root"

    def command(self) -> list[str]:
        """The command line."""
        self.root.mkdir(exist_ok=True)
        (self.folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;\n"
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            "events { worker_connections 2048; }\n"
            "http {\n"
            "  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; etag on;\n"
            "  default_type application/vnd.oci.image.manifest.v1+json;\n"
            + "".join(
                f"  {kind}_temp_path {self.folder}/{kind};\n"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            + f"  server {{ listen 127.0.0.1:{self.port} backlog=2048; root {self.root}; }}\n"
            "}\n",
            encoding="utf-8",
        )
        program = machine.require(self.name, "nginx-light")
        return [program, "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"]

    def version(self) -> str:
        """What the server says it is."""
        program = machine.require(self.name, "nginx-light")
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
        return said.stderr.strip().removeprefix("nginx version: ")

    def lay(self, content: bytes, *paths: str) -> None:
        """Lays a file where the paths of URLs find it."""
        files = [self.root / path.lstrip("/") for path in paths]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
        files[0].write_bytes(content)
        for file in files[1:]:
            file.hardlink_to(files[0])


PEERS = (DockerRegistry, Distribution, Nginx)
