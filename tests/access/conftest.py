"""One way to ask: a request line and headers in, questions out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from proxy.access.body_facts import body_facts
from proxy.access.connection import Connection
from proxy.access.context import AccessSettings
from proxy.access.form import form_upload
from proxy.access.kms import KmsNames
from proxy.access.questions import Question, questions
from proxy.access.upload_context import UploadContext
from proxy.auth.claim import Claim, PayloadHash, PayloadMode
from proxy.config.buckets import BucketRule, Buckets
from proxy.identity import Identity
from proxy.rewrite import complete
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import recognise

OWNER = "123456789012"
NOW = 1_795_435_200.0  # 2026-11-23T12:00:00Z
ALICE = Identity(
    f"arn:aws:iam::{OWNER}:user/alice",
    f"arn:aws:iam::{OWNER}:user/alice",
    OWNER,
    "User",
    "alice",
    "AIDAALICE",
    MappingProxyType({"Department": "hr"}),
)
SIGNED = Claim(
    "REST-HEADER",
    "AWS4-HMAC-SHA256",
    "AKIAALICE",
    "eu-central-1",
    NOW - 1.5,
    PayloadHash(PayloadMode.UNSIGNED, "UNSIGNED-PAYLOAD"),
)
CONNECTION = Connection("192.0.2.7", True, "1.3")
SETTINGS = AccessSettings(
    Buckets([BucketRule("theirs", "999999999999", tags={"Stage": "prod"})], OWNER).settings,
    OWNER,
    "eu-central-1",
    KmsNames("eu-central-1", OWNER),
    condition_values={"aws:principalorgid": "o-example"},
)


class Asker:
    """Asks as Alice would, unless told otherwise."""

    owner = OWNER
    now = NOW
    alice = ALICE
    signed = SIGNED
    connection = CONNECTION
    settings = SETTINGS

    def __call__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
        *,
        claim: Claim = SIGNED,
        identity: Identity | None = ALICE,
        connection: Connection = CONNECTION,
        settings: AccessSettings = SETTINGS,
        upload: UploadContext | None = None,
        own: Mapping[str, str] = MappingProxyType({}),
        form: Mapping[str, str] | None = None,
        now: float = NOW,
    ) -> tuple[Question, ...]:
        request = recognise(parse_head(method, target, Headers.of(headers.items())), Domains.of(()))
        if form is not None:
            request = form_upload(request, form)
        request = complete(request, claim, None, settings.kms).request
        facts = body_facts(request.operation.name, body)
        return questions(request, claim, identity, connection, settings, now, facts=facts, upload=upload, own=own)


@pytest.fixture
def ask() -> Asker:
    return Asker()
