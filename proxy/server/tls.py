"""TLS contexts: the certificate shown to clients, and whom to trust as the upstream.

A context lives as long as its listener: a new certificate is loaded into it, so that new handshakes
show it while connections that are open go on. HTTP/2 is not offered, because S3 does not speak it.

Source: https://docs.python.org/3/library/ssl.html#ssl.SSLContext.load_cert_chain
"""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path

from cryptography import x509

from proxy.config import Config, ServerTls, UpstreamTls
from proxy.diagnostics import Diagnostic, Severity, Span, render
from proxy.errors import ConfigError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_ALPN = ["http/1.1"]
_SOON_SECONDS = 14 * 86400.0
_log = logging.getLogger("s3warden.tls")


def server_context(settings: ServerTls) -> ssl.SSLContext:
    """Make the context of the listener for clients; raises `ConfigError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_alpn_protocols(_ALPN)
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could make the server work without end
    load_certificate(context, settings)
    return context


def check_certificate(settings: ServerTls) -> None:
    """Raise `ConfigError` unless certificate and key can be read and belong together."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings)


def check_tls(config: Config, now: float) -> list[Diagnostic]:
    """Try all that a configuration says of TLS; return warnings, raise `ConfigError` for what cannot be used."""
    if config.upstream.endpoint.startswith("https:"):
        client_context(config.upstream.tls)
    if config.listen.tls is None:
        return []
    check_certificate(config.listen.tls)
    warning = expiry_warning(config.listen.tls, now)
    return [] if warning is None else [warning]


def load_certificate(context: ssl.SSLContext, settings: ServerTls) -> None:
    """Put the certificate now on disk into `context`, live; raises `ConfigError`.

    It is tried on a context of its own first: OpenSSL takes the certificate before it finds that the
    key does not match, and what is left can no longer shake hands.
    """
    check_certificate(settings)
    _load(context, settings)
    # Clients would only hear of it in the handshake, and this process not at all.
    warning = expiry_warning(settings, time.time())
    if warning is not None:
        _log.warning("%s", render(warning))


def expiry_warning(settings: ServerTls, now: float) -> Diagnostic | None:
    """Return a warning about a certificate that clients will refuse, or will soon: it has, or nearly has, expired."""
    try:
        end = x509.load_pem_x509_certificate(settings.cert.read_bytes()).not_valid_after_utc
    except ValueError:
        return None  # OpenSSL, which decides, reads more than this parser does
    left = end.timestamp() - now
    if left > _SOON_SECONDS:
        return None
    message = f"the certificate {'expires' if left > 0 else 'expired'} on {end:%Y-%m-%d %H:%M} UTC"
    remedy = "put a new one in its place: it is picked up while the proxy runs"
    return Diagnostic(Severity.WARNING, "certificate-expires", message, Span(str(settings.cert)), remedy)


def client_context(settings: UpstreamTls) -> ssl.SSLContext:
    """Make the context of connections to the upstream; raises `ConfigError`."""
    try:
        context = ssl.create_default_context(cafile=settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise _refused(settings.ca, f"cannot load the authority: {_reason(error)}", "give a PEM file") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(context: ssl.SSLContext, settings: ServerTls) -> None:
    def no_password() -> str:
        # Without this, OpenSSL would ask for one on the terminal and wait.
        raise _refused(settings.key, "the private key is encrypted", "store it without a passphrase, mode 0600")

    try:
        context.load_cert_chain(settings.cert, settings.key, no_password)
    except (OSError, ssl.SSLError) as error:
        remedy = "`cert` is the PEM chain with the server's certificate first, `key` its PEM private key"
        raise _refused(settings.cert, f"cannot load certificate and key: {_reason(error)}", remedy) from None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM data in it").lower().replace("_", " ")
    return error.strerror or str(error)


def _refused(path: Path | None, message: str, help: str) -> ConfigError:
    return ConfigError([Diagnostic(Severity.ERROR, "invalid-certificate", message, Span(str(path)), help)])
