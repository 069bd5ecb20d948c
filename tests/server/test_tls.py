"""What the TLS contexts accept and refuse, and certificates replaced while connections are open."""

import asyncio
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from proxy.config import ServerTls, UpstreamTls
from proxy.diagnostics import render
from proxy.errors import ConfigError
from proxy.server.tls import check_certificate, client_context, expiry_warning, load_certificate, server_context

WriteCertificate = Callable[..., tuple[Path, Path]]


@pytest.fixture
def tls(write_certificate: WriteCertificate) -> ServerTls:
    return ServerTls(*write_certificate("first"))


@asynccontextmanager
async def echo(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def connect(port: int, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    return await asyncio.wait_for(reader.readline(), 5)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


async def test_a_client_that_trusts_the_authority_gets_through_and_http_1_1_is_agreed_on(tls: ServerTls):
    async with echo(server_context(tls)) as port:
        reader, writer = await connect(port, client_context(UpstreamTls(ca=tls.cert)))
        assert await say(reader, writer) == b"hello\n"
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        await close(writer)


async def test_an_upstream_of_an_unknown_authority_is_refused_unless_verification_is_off(tls: ServerTls):
    async with echo(server_context(tls)) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, client_context(UpstreamTls()))
        reader, writer = await connect(port, client_context(UpstreamTls(verify=False)))
        assert await say(reader, writer) == b"hello\n"
        await close(writer)


async def test_an_upstream_by_another_name_is_refused(tls: ServerTls):
    async with echo(server_context(tls)) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_context(UpstreamTls(ca=tls.cert)), server_hostname="store.example.test"
            )


async def test_a_client_below_the_minimum_version_is_refused(tls: ServerTls):
    old = client_context(UpstreamTls(ca=tls.cert))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with echo(server_context(ServerTls(tls.cert, tls.key, "1.3"))) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(port, old)
    async with echo(server_context(tls)) as port:
        _, writer = await connect(port, old)
        await close(writer)


async def test_a_new_certificate_is_shown_to_new_connections_and_open_ones_go_on(
    tls: ServerTls, write_certificate: WriteCertificate
):
    old_trust = client_context(UpstreamTls(ca=tls.cert))
    context = server_context(tls)
    async with echo(context) as port:
        reader, writer = await connect(port, old_trust)
        assert await say(reader, writer) == b"hello\n"
        cert, key = write_certificate("second")
        shutil.copy(cert, tls.cert)
        shutil.copy(key, tls.key)
        load_certificate(context, tls)
        assert await say(reader, writer) == b"hello\n"
        fresh_reader, fresh_writer = await connect(port, client_context(UpstreamTls(ca=cert)))
        assert await say(fresh_reader, fresh_writer) == b"hello\n"
        await close(writer)
        await close(fresh_writer)


async def test_a_key_that_does_not_belong_to_the_certificate_leaves_the_old_pair_serving(
    tls: ServerTls, write_certificate: WriteCertificate
):
    trust = client_context(UpstreamTls(ca=tls.cert))
    context = server_context(tls)
    _, other_key = write_certificate("second")
    shutil.copy(other_key, tls.key)
    with pytest.raises(ConfigError, match="key values mismatch"):
        load_certificate(context, tls)
    async with echo(context) as port:
        reader, writer = await connect(port, trust)
        assert await say(reader, writer) == b"hello\n"
        await close(writer)


def test_an_encrypted_key_is_refused_without_asking_for_a_password(write_certificate: WriteCertificate):
    settings = ServerTls(*write_certificate("locked", passphrase=b"secret"))
    with pytest.raises(ConfigError, match="the private key is encrypted"):
        check_certificate(settings)


def test_files_that_are_missing_or_no_pem_are_named(tls: ServerTls, tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file or directory"):
        server_context(ServerTls(tmp_path / "absent.pem", tls.key))
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    with pytest.raises(ConfigError, match=r"garbage\.pem"):
        server_context(ServerTls(garbage, tls.key))
    with pytest.raises(ConfigError, match=r"garbage\.pem"):
        client_context(UpstreamTls(ca=garbage))
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        client_context(UpstreamTls(ca=tmp_path / "absent.pem"))


def test_a_certificate_that_expires_within_two_weeks_or_has_expired_is_pointed_out(
    tls: ServerTls, caplog: pytest.LogCaptureFixture
):
    now = time.time()  # the certificate is valid for an hour from now
    assert expiry_warning(tls, now - 15 * 86400) is None
    soon, expired = expiry_warning(tls, now), expiry_warning(tls, now + 7200)
    assert soon is not None
    assert "the certificate expires on 20" in render(soon)
    assert expired is not None
    assert "the certificate expired on 20" in render(expired)
    assert expired.span.file == str(tls.cert)
    server_context(tls)
    assert "the certificate expires on 20" in caplog.text
