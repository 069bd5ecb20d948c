"""Access keys and the signing keys derived from them.

Knows what a credential is, how AWS derives Signature Version 4 keys, and when a session token is good.
It does not know whom a key belongs to; that is asked through `CredentialLookup`.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest, digest

from proxy.errors import S3Error

REDACTED = "REDACTED"


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """An access key. Temporary ones have a session token and, where known, an end in epoch seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires: float | None = None

    def __repr__(self) -> str:
        temporary = ", temporary" if self.session_token is not None else ""
        return f"Credential({self.access_key_id}{temporary})"


CredentialLookup = Callable[[str], Credential | None]
"""The port to whoever knows the access keys: access key id -> credential, or None when unknown."""


def find_credential(access_key_id: str, token: str | None, lookup: CredentialLookup, now: float) -> Credential:
    """Return the credential of `access_key_id` after checking the session token that came with it.

    Raises `S3Error` InvalidAccessKeyId, InvalidToken or ExpiredToken.
    """
    credential = lookup(access_key_id)
    if credential is None:
        raise S3Error("InvalidAccessKeyId", extras={"AWSAccessKeyId": access_key_id})
    if token is not None or credential.session_token is not None:
        _check_token(credential, token)
    if credential.expires is not None and credential.expires <= now:
        raise S3Error("ExpiredToken", extras={"Token-0": REDACTED})
    return credential


def _check_token(credential: Credential, token: str | None) -> None:
    if token is None:
        # As AWS answers: a temporary key without its token is a key that does not exist.
        raise S3Error(
            "InvalidAccessKeyId",
            extras={"AWSAccessKeyId": credential.access_key_id},
            detail="temporary access key used without its session token",
        )
    # AWS puts the token into Token-0; it stays out of answers and logs here.
    expected = (credential.session_token or "").encode()
    if credential.session_token is None or not compare_digest(expected, token.encode("utf-8", "replace")):
        raise S3Error("InvalidToken", extras={"Token-0": REDACTED})


def signing_key(credential: Credential, date: str, region: str, service: str = "s3") -> bytes:
    """Return the Signature Version 4 signing key for a scope; `date` is `YYYYMMDD`."""
    return _derive(credential.access_key_id, credential.secret_access_key, date, region, service)


# Kept per access key, day, region and service. The secret is part of the key so that a rotated one
# cannot verify with what was derived from the old; callers choose regions, hence the bound.
@lru_cache(maxsize=4096)
def _derive(access_key_id: str, secret: str, date: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = digest(key, part.encode(), "sha256")
    return key


forget_signing_keys = _derive.cache_clear
"""Drop all derived keys, for when credentials were taken away."""
