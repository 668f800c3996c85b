# SPDX-License-Identifier: Apache-2.0
"""Sending entries of the audit log to a syslog server: RFC 5424, one line each, over TCP or UDP."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from longshore.audit.models import Entry
from longshore.oci.errors import ServiceUnavailable
from longshore.system.items import parse_endpoint

_NOTICE: Final = 13 * 8 + 5
"""Facility "log audit", severity "notice"."""
_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 3.0
_LONGEST_DATAGRAM: Final = 8_192


def syslog_line(entry: Entry, host: str) -> str:
    """An entry as a message of RFC 5424, without line breaks in it."""
    seconds, rest = divmod(entry.at, 1_000_000)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:03}Z"
    members = {
        "operator": entry.username,
        "time": time,
        "resourceType": entry.resource_type,
        "action": entry.operation,
        "resource": entry.resource,
        "operationResult": str(entry.success).lower(),
        "description": entry.description,
        "clientIP": entry.source,
    }
    text = " ".join(f'{name}="{_quoted(value)}"' for name, value in members.items())
    return f"<{_NOTICE}>1 {time} {host or '-'} longshore - audit - {text}"


async def send(endpoint: str, entries: Iterable[Entry]) -> None:
    """Sends entries, and returns when the server has them as far as the protocol can tell.

    Over TCP the connection is closed after them, and the server's own closing waited for: it comes after the last line was
    read. UDP tells nothing.

    Raises:
        ServiceUnavailable: the server can't be reached, is at an address that nobody may be sent to, or broke off.
    """
    parsed = parse_endpoint(endpoint)
    if parsed is None:
        raise ServiceUnavailable(f"audit_log_forward_endpoint {endpoint!a} isn't host:port. Correct it.")
    protocol, host, port = parsed
    own = socket.gethostname()[:255]
    lines = [syslog_line(entry, own).encode() for entry in entries]
    try:
        async with asyncio.timeout(_SECONDS):
            address = await _resolve(host, port, protocol)
        await (_send_stream if protocol == "tcp" else _send_datagrams)(address, port, lines)
    except (OSError, TimeoutError) as error:
        reason = str(error) or "it doesn't answer"
        raise ServiceUnavailable(f"The syslog server {host}:{port} can't be reached: {reason}.") from error


async def _resolve(host: str, port: int, protocol: str) -> str:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    for *_, address in found:
        parsed = ipaddress.ip_address(str(address[0]).partition("%")[0])
        # Where machines of a cloud are told their secrets; no syslog server is there.
        if not (parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified):
            return str(address[0])
    raise OSError(f"{host} is at a link-local or otherwise unusable address")


async def _send_stream(address: str, port: int, lines: list[bytes]) -> None:
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(address, port)
    try:
        async with asyncio.timeout(_SECONDS):
            writer.write(b"".join(line + b"\n" for line in lines))
            await writer.drain()
            writer.write_eof()
        # A server that keeps its side open has at least acknowledged ours.
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                while await reader.read(4096):
                    pass
    finally:
        writer.close()


async def _send_datagrams(address: str, port: int, lines: list[bytes]) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(address, port)
    )
    try:
        for line in lines:
            transport.sendto(line[:_LONGEST_DATAGRAM])
            # Sent as they come they would be dropped by our own queue.
            await asyncio.sleep(0)
    finally:
        transport.close()


def _quoted(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
