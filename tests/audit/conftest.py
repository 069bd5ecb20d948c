"""One event, to be varied."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.audit.event import KeyUse

NOW = 1_795_000_000.125
KEY = "arn:aws:kms:eu-central-1:123456789012:key/hr"


def event(number: int = 1, **changes: object) -> KeyUse:
    given = {
        "time": NOW + number,
        "request_id": f"REQ{number}",
        "action": "kms:Decrypt",
        "key": KEY,
        "outcome": "allowed",
        "operation": "GetObject",
        "bucket": "hr-data",
        "object": f"file-{number}",
        "principal": "arn:aws:iam::123456789012:user/alice",
        "access_key_id": "AKIAALICE",
        "client": "192.0.2.7",
        "user_agent": 'curl/8 "x"\n\x7f',
        "context": {"aws:s3:arn": f"arn:aws:s3:::hr-data/file-{number}"},
    }
    return KeyUse(**{**given, **changes})


@pytest.fixture
def make() -> Callable[..., KeyUse]:
    return event
