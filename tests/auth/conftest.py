"""Requests signed by botocore, as they arrive on the wire, and a proxy that knows the keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials

from proxy.auth.claim import AuthSettings, Claim
from proxy.auth.credential import Credential
from proxy.auth.verify import authenticate
from proxy.errors import S3Error
from proxy.s3.address import Address
from proxy.s3.head import RequestHead, parse_head
from proxy.s3.headers import Headers

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = {
    "AKIAIOSFODNN7EXAMPLE": Credential("AKIAIOSFODNN7EXAMPLE", SECRET),
    "ASIATEMPORARY": Credential("ASIATEMPORARY", "temporary-secret", "the+session/token==", time.time() + 3600),
    "ASIAEXPIRED": Credential("ASIAEXPIRED", "temporary-secret", "old-token", time.time() - 1),
    "tenant/with/slashes": Credential("tenant/with/slashes", SECRET),
}


@dataclass(frozen=True)
class Wire:
    """A request as its bytes arrive; every `with_*` returns another one that was tampered with."""

    method: str
    target: str
    headers: tuple[tuple[str, bytes], ...] = ()

    def head(self) -> RequestHead:
        return parse_head(self.method, self.target, Headers((n.encode(), v) for n, v in self.headers))

    def header(self, name: str) -> str:
        return next(value.decode("latin-1") for n, value in self.headers if n.lower() == name)

    def with_header(self, name: str, value: str | bytes) -> Wire:
        value = value.encode() if isinstance(value, str) else value
        return replace(self.without_header(name), headers=(*self.without_header(name).headers, (name, value)))

    def with_another(self, name: str, value: str) -> Wire:
        return replace(self, headers=(*self.headers, (name, value.encode())))

    def without_header(self, name: str) -> Wire:
        return replace(self, headers=tuple((n, v) for n, v in self.headers if n.lower() != name.lower()))

    def with_target(self, old: str, new: str) -> Wire:
        assert old in self.target, (old, self.target)
        return replace(self, target=self.target.replace(old, new, 1))


def wire_of(request: AWSRequest, host: str | None = None) -> Wire:
    """Return what a client would send for a botocore request."""
    url = urlsplit(request.url)
    target = url.path + (f"?{url.query}" if url.query else "")
    pairs = [(str(n), v if isinstance(v, bytes) else str(v).encode()) for n, v in request.headers.items()]
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", (host or url.netloc).encode()))
    return Wire(request.method, target, tuple(pairs))


@dataclass
class Proxy:
    """Verifies requests the way the server does."""

    settings: AuthSettings = field(default_factory=AuthSettings)

    def accept(
        self, wire: Wire, *, where: Address | None = None, now: float | None = None, hosts: tuple[str, ...] = ()
    ) -> Claim:
        now = time.time() if now is None else now
        return authenticate(wire.head(), where or Address("path", "bucket", "key"), KEYS.get, self.settings, now, hosts)

    def refuse(
        self, wire: Wire, *, where: Address | None = None, now: float | None = None, hosts: tuple[str, ...] = ()
    ) -> S3Error:
        with pytest.raises(S3Error) as caught:
            self.accept(wire, where=where, now=now, hosts=hosts)
        error = caught.value
        shown = f"{error} {error.extras} {error.headers} {error.detail}"
        assert not any(key.secret_access_key in shown for key in KEYS.values())
        assert not any(key.session_token and key.session_token in shown for key in KEYS.values())
        return error


@pytest.fixture
def proxy() -> Proxy:
    return Proxy()


@pytest.fixture
def strict_proxy() -> Proxy:
    return Proxy(AuthSettings(sigv2=False, strict_region=True, region="eu-central-1"))


@pytest.fixture(scope="session")
def keys() -> dict[str, Credential]:
    return KEYS


@pytest.fixture(scope="session")
def new_wire() -> type[Wire]:
    return Wire


@pytest.fixture(scope="session")
def where() -> Callable[[str, str], Address]:
    return lambda style, bucket: Address(style, bucket, "key")


@pytest.fixture(scope="session")
def as_wire() -> Callable[..., Wire]:
    return wire_of


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    return Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)


@pytest.fixture(scope="session")
def temporary() -> Credentials:
    return Credentials("ASIATEMPORARY", "temporary-secret", "the+session/token==")


@pytest.fixture(scope="session")
def boto() -> Callable[..., Wire]:
    """A function that lets boto3 make an S3 call and returns what it would have sent."""
    clients: dict[tuple[object, ...], object] = {}

    def send(
        operation: str,
        signature: str | None = "s3v4",
        endpoint: str = "http://127.0.0.1:9000",
        style: str = "path",
        key: str = "AKIAIOSFODNN7EXAMPLE",
        **parameters: object,
    ) -> Wire:
        name = (signature, endpoint, style, key)
        if name not in clients:
            clients[name] = boto3.client(
                "s3",
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id=key,
                aws_secret_access_key=KEYS[key].secret_access_key,
                aws_session_token=KEYS[key].session_token,
                config=Config(
                    signature_version=UNSIGNED if signature is None else signature,
                    s3={"addressing_style": style},
                    retries={"total_max_attempts": 1},
                ),
            )
        client = clients[name]
        sent: list[Wire] = []

        def keep(request: AWSRequest, **_: object) -> AWSResponse:
            sent.append(wire_of(request))
            return AWSResponse(request.url, 418, {}, None)

        client.meta.events.register("before-send.s3", keep)
        try:
            getattr(client, operation)(**parameters)
        except Exception:
            if not sent:
                raise
        finally:
            client.meta.events.unregister("before-send.s3", keep)
        return sent[0]

    return send
