# SPDX-License-Identifier: Apache-2.0
"""The page at `/`, until the portal is there: what this is and how to log in."""

from __future__ import annotations

from html import escape

from longshore.edge.origin import Origin
from longshore.edge.response import Response

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Longshore</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1.25rem; }}
pre {{ padding: 1rem; overflow-x: auto; border: 1px solid #8888; border-radius: 6px; }}
</style>
</head>
<body>
<h1>Longshore</h1>
<p>This is a registry for container images and every other OCI artifact. Log in, push and pull:</p>
<pre>docker login {host}
docker tag alpine {host}/library/alpine
docker push {host}/library/alpine
docker pull {host}/library/alpine</pre>
<p>Podman, Skopeo, containerd, ORAS, Helm, crane and every other OCI client work the same way. The project
<code>library</code> is public: pulling from it needs no login. Who has no account asks the administrator of this
registry; the administrator's name is <code>admin</code>, and its password was printed at the first start.</p>
<p>For scripts: <code>/api/v2.0</code> (Harbor's API), <code>/v2/</code> (OCI Distribution), <code>/readyz</code>,
<code>/metrics</code>.</p>
</body>
</html>
"""


def welcome(origin: Origin) -> Response:
    """The page, with the address that the visitor used."""
    body = _PAGE.format(host=escape(origin.host)).encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return Response(200, headers, body)
