"""Who is at the other end of the wire, and was the way here encrypted.

Knows when `X-Forwarded-*` may be believed: only when the peer is one of the configured trusted
proxies, and then only as far as trusted proxies wrote it. The client is the right-most hop that is
not trusted; everything left of it is what that client claims about itself. Whatever cannot be read
makes the whole chain worthless: the peer counts as the client, and the way as not encrypted.

Sources: RFC 7239 section 8.1 (forgery); https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from proxy.s3.headers import Headers

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# A chain longer than this is not written by proxies; reading on would be work for an attacker's benefit.
MAX_HOPS = 64


@dataclass(frozen=True, slots=True)
class Connection:
    """What conditions may ask about the client's connection.

    `source_ip` is normalised text (`::ffff:a.b.c.d` is written as IPv4). `tls_version` is `1.2` or
    `1.3`, None without TLS and behind a trusted proxy, where the version is not known here.
    `forwarded_host` is the host name the client used, if a trusted proxy said so.
    """

    source_ip: str
    secure: bool
    tls_version: str | None = None
    forwarded_host: str | None = None


def connect(peer: str, tls_version: str | None) -> Connection:
    """Describe a socket: `peer` is the address of its other end, `tls_version` `TLSv1.3`, `1.3` or None.

    Made once per connection; `resolve` then looks at each request.
    """
    address = _address(peer)
    version = tls_version.removeprefix("TLSv") if tls_version else None
    if version == "1":
        version = "1.0"
    return Connection(str(address) if address else peer, tls_version is not None, version)


def resolve(socket: Connection, headers: Headers, trusted: tuple[IPNetwork, ...]) -> Connection:
    """Return the client's connection as seen through trusted proxies; `socket` itself for direct clients."""
    if not trusted:
        return socket
    peer = _address(socket.source_ip)
    if peer is None or not _is_trusted(peer, trusted):
        return socket
    forwarded_for = headers.joined("x-forwarded-for")
    protocol = headers.joined("x-forwarded-proto")
    if forwarded_for is None and protocol is None:
        return replace(socket, forwarded_host=_single_host(headers)) if "x-forwarded-host" in headers else socket
    try:
        client = _right_most_untrusted(peer, (forwarded_for or "").split(","), trusted)
        # Without a word about the protocol the first leg may have been plain, whatever this leg is.
        secure = protocol is not None and _all_https(protocol.split(","))
    except ValueError:
        return Connection(socket.source_ip, secure=False)
    return Connection(str(client), secure, None, _single_host(headers))


def _right_most_untrusted(peer: IPAddress, hops: list[str], trusted: tuple[IPNetwork, ...]) -> IPAddress:
    if hops == [""]:
        return peer
    if len(hops) > MAX_HOPS:
        raise ValueError("too many hops")
    client = peer
    for text in reversed(hops):
        hop = _hop(text)
        client = hop
        if not _is_trusted(hop, trusted):
            break
    return client


def _hop(text: str) -> IPAddress:
    """Parse `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`; raises ValueError."""
    text = text.strip(" \t")
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            raise ValueError("not an address in brackets")
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            raise ValueError("not a port")
    address = _address(text)
    if address is None:
        raise ValueError("not an address")
    return address


def _is_port(text: str) -> bool:
    return text[:1] == ":" and 1 <= len(text) - 1 <= 5 and text[1:].isascii() and text[1:].isdigit()


def _all_https(protocols: Iterable[str]) -> bool:
    """Tell whether every leg was `https`; raises ValueError for anything but http and https."""
    seen = {protocol.strip(" \t").lower() for protocol in protocols}
    if not seen <= {"http", "https"}:
        raise ValueError("not a protocol")
    return seen == {"https"}


def _single_host(headers: Headers) -> str | None:
    """Return X-Forwarded-Host if it is one plain value; with several, nobody knows which the client signed."""
    host = headers.joined("x-forwarded-host")
    if host is None or "," in host:
        return None
    return host.strip(" \t") or None


def _is_trusted(address: IPAddress, trusted: tuple[IPNetwork, ...]) -> bool:
    return any(address in network for network in trusted)


@lru_cache(maxsize=4096)
def _address(text: str) -> IPAddress | None:
    try:
        address = ip_address(text.partition("%")[0])  # the scope of a link-local address is not part of it
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
