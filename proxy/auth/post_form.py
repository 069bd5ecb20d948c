"""Who signed this upload form: the signature in the fields of a browser's POST.

The signature covers only the policy document, as the Base64 text that was sent; the document in turn
covers the fields. Taking the form apart is done elsewhere.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest, digest

from proxy.auth import v2, v4, verify
from proxy.auth.claim import ANONYMOUS, AuthSettings, Claim
from proxy.auth.credential import CredentialLookup, find_credential, signing_key
from proxy.auth.dates import parse_timestamp
from proxy.auth.post_policy import check_form, parse_form_policy
from proxy.errors import S3Error
from proxy.s3.head import RequestHead

_V4_FIELDS = frozenset({"x-amz-algorithm", "x-amz-credential", "x-amz-signature"})
_V2_FIELDS = frozenset({"awsaccesskeyid", "signature"})


@dataclass(frozen=True, slots=True)
class FormClaim:
    """A form whose signature and policy are good."""

    claim: Claim
    fields: Mapping[str, str]
    r"""Lower-case name -> value, with `${filename}` filled in: what the upload is to be done with."""
    content_length_range: tuple[int, int] | None = None
    """Smallest and largest file in bytes; see `post_policy.check_size`."""


def authenticate_form(
    request: RequestHead,
    bucket: str,
    fields: Mapping[str, str],
    filename: str,
    lookup: CredentialLookup,
    settings: AuthSettings,
    now: float,
) -> FormClaim:
    """Verify a form and hold its fields against its policy.

    `fields` are those before the file, `filename` is the file's as the browser sent it; names are
    case-insensitive, and one given twice must have been refused before. Raises `S3Error`.
    """
    verify.refuse_unsupported(request)
    if verify.is_signed(request):
        raise verify.only_one_mechanism()
    expanded = _expand(fields, filename)
    has_v4 = not _V4_FIELDS.isdisjoint(expanded)
    has_v2 = not _V2_FIELDS.isdisjoint(expanded)
    if has_v4 and has_v2:
        raise verify.only_one_mechanism()
    encoded = expanded.get("policy")
    if not has_v4 and not has_v2:
        if encoded is not None:
            raise _missing("AWSAccessKeyId")
        return FormClaim(ANONYMOUS, expanded)
    if encoded is None:
        raise _missing("policy")
    if has_v4:
        claim = _verify_v4(expanded, encoded, lookup, settings, now)
    else:
        claim = _verify_v2(expanded, encoded, lookup, settings, now)
    policy = parse_form_policy(encoded)
    check_form(policy, expanded, bucket, now)
    return FormClaim(claim, expanded, policy.size)


def _expand(fields: Mapping[str, str], filename: str) -> dict[str, str]:
    """Lower the names and fill in `${filename}`, which S3 does before it looks at any condition."""
    # Some browsers send the whole path of the file; S3 uses what follows the last separator.
    filename = filename.replace("\\", "/").rpartition("/")[2]
    expanded = {}
    for written, value in fields.items():
        name = written.lower()
        if name in expanded:
            raise S3Error("InvalidArgument", f"POST form field {name} is given more than once.", {"ArgumentName": name})
        expanded[name] = value if name == "policy" else value.replace("${filename}", filename)
    return expanded


def _verify_v4(
    fields: Mapping[str, str], encoded: str, lookup: CredentialLookup, settings: AuthSettings, now: float
) -> Claim:
    for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-signature", "x-amz-date"):
        if not fields.get(name):
            raise _missing(name)
    algorithm = fields["x-amz-algorithm"]
    if algorithm == "AWS4-ECDSA-P256-SHA256":
        raise S3Error("NotImplemented", "Signature Version 4A is not implemented.", {"Header": "x-amz-algorithm"})
    if algorithm != v4.ALGORITHM:
        raise S3Error(
            "InvalidArgument",
            f"X-Amz-Algorithm only supports {v4.ALGORITHM}",
            {"ArgumentName": "x-amz-algorithm", "ArgumentValue": algorithm[:64]},
        )
    try:
        scope = v4.parse_scope(fields["x-amz-credential"])
    except v4.ScopeError as error:
        raise S3Error(
            "InvalidArgument",
            f"Error parsing the x-amz-credential field; {error}",
            {"ArgumentName": "x-amz-credential", "ArgumentValue": fields["x-amz-credential"][:256]},
        ) from None
    v4.check_region(scope, settings, "AuthorizationHeaderMalformed", "The form's x-amz-credential is malformed; ")
    timestamp = fields["x-amz-date"]
    signed_at = parse_timestamp(timestamp)
    if signed_at is None or timestamp[:8] != scope.date:
        raise S3Error(
            "InvalidArgument",
            f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".',
            {"ArgumentName": "x-amz-date", "ArgumentValue": timestamp[:32]},
        )
    credential = find_credential(scope.access_key_id, fields.get("x-amz-security-token"), lookup, now)
    key = signing_key(credential, scope.date, scope.region)
    expected = digest(key, encoded.encode("utf-8", "replace"), "sha256").hex()
    _compare(expected, fields["x-amz-signature"], scope.access_key_id, encoded)
    return Claim("POST", v4.ALGORITHM, scope.access_key_id, scope.region, signed_at)


def _verify_v2(
    fields: Mapping[str, str], encoded: str, lookup: CredentialLookup, settings: AuthSettings, now: float
) -> Claim:
    v2.check_enabled(settings)
    for name in ("AWSAccessKeyId", "signature"):
        if not fields.get(name.lower()):
            raise _missing(name)
    access_key_id = fields["awsaccesskeyid"]
    credential = find_credential(access_key_id, fields.get("x-amz-security-token"), lookup, now)
    mac = digest(credential.secret_access_key.encode(), encoded.encode("utf-8", "replace"), "sha1")
    _compare(b64encode(mac).decode(), fields["signature"], access_key_id, encoded)
    return Claim("POST", "AWS", access_key_id)


def _compare(expected: str, provided: str, access_key_id: str, encoded: str) -> None:
    if not compare_digest(expected.encode(), provided.encode("utf-8", "replace")):
        # S3 shows the policy as StringToSign; a session token may stand in it, so only its size is said here.
        raise S3Error(
            "SignatureDoesNotMatch",
            extras={"AWSAccessKeyId": access_key_id, "SignatureProvided": provided},
            detail=f"form policy of {len(encoded)} characters",
        )


def _missing(name: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields.",
        {"ArgumentName": name, "ArgumentValue": ""},
    )
