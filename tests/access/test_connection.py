"""Who the client is behind trusted proxies."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.connection import Connection, connect, resolve
from proxy.s3.headers import Headers

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def seen(peer: str, *headers: tuple[str, str], tls: str | None = None) -> Connection:
    return resolve(connect(peer, tls), Headers.of(headers), TRUSTED)


def test_a_socket_is_described_by_its_address_and_tls_version() -> None:
    assert connect("192.0.2.7", "TLSv1.3") == Connection("192.0.2.7", True, "1.3")
    assert connect("192.0.2.7", "TLSv1") == Connection("192.0.2.7", True, "1.0")
    assert connect("192.0.2.7", None) == Connection("192.0.2.7", False)


def test_an_ipv4_address_in_ipv6_clothes_is_written_as_ipv4() -> None:
    assert connect("::ffff:192.0.2.7", None).source_ip == "192.0.2.7"
    assert connect("fe80::1%eth0", None).source_ip == "fe80::1"


def test_an_untrusted_peer_cannot_say_who_it_is() -> None:
    forged = (("X-Forwarded-For", "10.1.1.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil"))
    assert seen("192.0.2.7", *forged) == Connection("192.0.2.7", False)


def test_without_trusted_proxies_nothing_is_read() -> None:
    socket = connect("10.0.0.1", None)
    assert resolve(socket, Headers.of([("X-Forwarded-For", "1.2.3.4")]), ()) is socket


def test_the_client_is_the_right_most_hop_that_is_not_trusted() -> None:
    chain = ("X-Forwarded-For", "203.0.113.66, 192.0.2.7, 10.2.2.2")
    assert seen("10.0.0.1", chain, ("X-Forwarded-Proto", "https")) == Connection("192.0.2.7", True)


def test_several_header_lines_are_one_chain() -> None:
    lines = (("X-Forwarded-For", "203.0.113.66"), ("X-Forwarded-For", "192.0.2.7"))
    assert seen("10.0.0.1", *lines).source_ip == "192.0.2.7"


def test_when_everybody_is_trusted_the_left_most_hop_is_the_client() -> None:
    assert seen("10.0.0.1", ("X-Forwarded-For", "10.3.3.3, 10.2.2.2")).source_ip == "10.3.3.3"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("\t192.0.2.7 ", "192.0.2.7"),
    ],
)
def test_hops_may_carry_ports_and_brackets(text: str, address: str) -> None:
    assert seen("10.0.0.1", ("X-Forwarded-For", text)).source_ip == address


@pytest.mark.parametrize(
    "text",
    [
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.7:port",
        "192.0.2.7,",
        "[::1",
        "[::1]80",
        "a" * 9,
        "1.2.3.4,,10.1.1.1",
        "²",
    ],
)
def test_an_unreadable_chain_counts_as_the_peer_and_as_not_encrypted(text: str) -> None:
    found = seen("10.0.0.1", ("X-Forwarded-For", text), ("X-Forwarded-Proto", "https"), tls="TLSv1.3")
    assert found == Connection("10.0.0.1", False)


def test_garbage_left_of_the_client_is_the_clients_own_and_is_not_read() -> None:
    assert seen("10.0.0.1", ("X-Forwarded-For", "garbage, 192.0.2.7")).source_ip == "192.0.2.7"


def test_a_chain_of_endless_hops_is_not_followed() -> None:
    assert seen("10.0.0.1", ("X-Forwarded-For", ",".join(["10.1.1.1"] * 1000))).source_ip == "10.0.0.1"


@pytest.mark.parametrize(
    ("protocol", "secure"),
    [("https", True), ("HTTPS", True), ("http", False), ("https, http", False), ("https,https", True)],
)
def test_the_way_is_encrypted_only_when_every_leg_was(protocol: str, secure: bool) -> None:
    assert seen("10.0.0.1", ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", protocol)).secure is secure


def test_silence_about_the_protocol_is_not_encrypted_even_over_tls() -> None:
    assert seen("10.0.0.1", ("X-Forwarded-For", "192.0.2.7"), tls="TLSv1.3") == Connection("192.0.2.7", False)


def test_a_trusted_peer_that_forwards_nothing_is_the_client_itself() -> None:
    assert seen("10.0.0.1", tls="TLSv1.2") == Connection("10.0.0.1", True, "1.2")


def test_the_tls_version_behind_a_proxy_is_not_known() -> None:
    assert seen("10.0.0.1", ("X-Forwarded-Proto", "https"), tls="TLSv1.3") == Connection("10.0.0.1", True)


def test_a_forwarded_host_is_believed_without_the_other_headers() -> None:
    host = ("X-Forwarded-Host", "s3.example.test")
    assert seen("10.0.0.1", host, tls="TLSv1.3") == Connection("10.0.0.1", True, "1.3", "s3.example.test")
    assert seen("192.0.2.7", host).forwarded_host is None


def test_a_forwarded_host_is_taken_only_when_there_is_one() -> None:
    proto = ("X-Forwarded-Proto", "https")
    assert seen("10.0.0.1", proto, ("X-Forwarded-Host", "s3.example.test")).forwarded_host == "s3.example.test"
    assert seen("10.0.0.1", proto, ("X-Forwarded-Host", "a, b")).forwarded_host is None


@given(st.text(max_size=40))
def test_no_header_text_breaks_the_reading(text: str) -> None:
    headers = Headers([(b"X-Forwarded-For", text.encode()), (b"X-Forwarded-Proto", text.encode())])
    assert resolve(connect("10.0.0.1", None), headers, TRUSTED).source_ip
