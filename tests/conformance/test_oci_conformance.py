# SPDX-License-Identifier: Apache-2.0
"""The official conformance suite of the OCI distribution specification, twice, without one failure or skip.

The suite is ``github.com/opencontainers/distribution-spec/conformance`` at the version that ``.ci/install-tools``
names. It is configured by variables alone (``config.go`` of its source); these are all that we set:

- both runs: ``OCI_REGISTRY`` host:port, ``OCI_TLS=disabled``, ``OCI_REPO1``/``OCI_REPO2`` two repositories of one
  project, ``OCI_USERNAME``/``OCI_PASSWORD`` of the administrator, ``OCI_RESULTS_DIR`` (``junit.xml``,
  ``results.yaml``, ``report.html``), ``OCI_VERSION``.
- standard: ``OCI_VERSION=1.1``. By that version's defaults every API is tested (ping, pull, push, blob delete, mount
  with and without source, manifest and tag delete, tag list, referrers, everything deleted being gone at once) with every
  kind of data (indexes, nested and empty ones, artifacts, subjects present and missing, embedded data,
  nondistributable layers, unknown fields, no layers, empty blobs, sha512), but for what is in "everything" below.
- everything: ``OCI_VERSION=dev`` adds upload cancel (``OCI_API_BLOBS_UPLOAD_CANCEL``), required digest headers
  (``OCI_API_BLOBS_DIGEST_HEADER``, ``OCI_API_MANIFESTS_DIGEST_HEADER``) and tag parameters
  (``OCI_API_MANIFESTS_TAG_PARAM``); ``OCI_DATA_SPARSE=true`` adds manifests of which parts are missing, so the project is
  one that allows that: ``longshore admin project create NAME --sparse any``.

Both runs are made against the embedded database with one process, and against PostgreSQL with two, where the chunks of
an upload come to different processes; the latter with a folder, and with an S3 server.

The suite exits with 0 when its settings can't be read and when it skips a test because the registry answered that it
doesn't do something, so the results are counted here: no failure, no error, no skip, nothing disabled but the cancelling of
an upload in the standard run (once for each digest algorithm), and at least as many passed as the suite has today.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.clients import OciConformance
from tests.acceptance.server import Registry, longshore


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One way to run the suite, and what it has to find."""

    name: str
    settings: dict[str, str]
    sparse: str
    passed: int
    disabled: int


STANDARD = Profile(name="standard", settings={"OCI_VERSION": "1.1"}, sparse="none", passed=860, disabled=2)
EVERYTHING = Profile(
    name="everything",
    settings={"OCI_VERSION": "dev", "OCI_DATA_SPARSE": "true"},
    sparse="any",
    passed=1032,
    disabled=0,
)


class ConfiguredSuite(OciConformance):
    """The suite with the settings of one run."""

    variables: dict[str, str]

    def settings(self) -> dict[str, str]:
        """The ``OCI_`` variables."""
        return self.variables


@pytest.mark.timeout(900)
@pytest.mark.parametrize("profile", [STANDARD, EVERYTHING], ids=lambda profile: profile.name)
def test_the_oci_conformance_suite_passes(server: Registry, tmp_path: Path, profile: Profile) -> None:
    """Every test of the suite passes; none fails, and none is skipped because the registry lacks something."""
    project = make_project(server, profile.sparse)
    kept = os.environ.get("LONGSHORE_RESULTS")
    results = Path(kept) / f"oci-conformance-{profile.name}-{project}" if kept else tmp_path / "results"
    suite = ConfiguredSuite(server, tmp_path / "suite")
    suite.variables = {
        "OCI_REGISTRY": server.host,
        "OCI_TLS": "disabled",
        "OCI_REPO1": f"{project}/one",
        "OCI_REPO2": f"{project}/two",
        "OCI_USERNAME": server.admin.username,
        "OCI_PASSWORD": server.admin.password,
        "OCI_RESULTS_DIR": str(results),
        **profile.settings,
    }
    done = suite.finished(timeout=800)
    junit = results / "junit.xml"
    assert junit.exists(), f"the suite wrote no results:\n{done.stdout}\n{done.stderr}"
    root = ET.parse(junit).getroot()  # noqa: S314 - the suite that we installed wrote it a moment ago
    wrong = [f"{case.get('status')}: {case.get('name')}\n{said(case)}" for case in unfortunate(root)]
    count = {name: int(root.get(name, "0")) for name in ("tests", "failures", "errors", "skipped", "disabled")}
    assert not wrong, f"{count}, details in {junit}\n" + "\n".join(wrong)
    assert (count["failures"], count["errors"], count["skipped"]) == (0, 0, 0), count
    assert count["disabled"] == profile.disabled, count
    assert count["tests"] - count["disabled"] >= profile.passed, f"the suite ran fewer tests than it should: {count}"
    assert done.returncode == 0, f"the suite ended with {done.returncode}:\n{done.stderr}"


def make_project(server: Registry, sparse: str) -> str:
    """Makes a private project that demands what the profile wants of its manifests, with the command line."""
    name = f"conformance-{secrets.token_hex(4)}"
    longshore(server.environment, "admin", "project", "create", name, "--sparse", sparse)
    return name


def unfortunate(root: ET.Element) -> list[ET.Element]:
    """The cases that didn't pass, but for those that the settings turned off."""
    return [
        case
        for case in root.iter("testcase")
        if case.get("status") != "passed" and "blob-post-cancel" not in str(case.get("name"))
    ]


def said(case: ET.Element) -> str:
    """What the suite says of a case, cut short."""
    return (case.findtext("system-out") or case.findtext("system-err") or "")[:2000]
