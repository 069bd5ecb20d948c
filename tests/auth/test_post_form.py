"""Upload forms of browsers: signature over the policy, policy over the fields."""

from __future__ import annotations

import base64
import hmac
import json
import time

import boto3
import pytest
from botocore.config import Config

from proxy.auth.claim import AuthSettings
from proxy.auth.post_form import authenticate_form
from proxy.errors import S3Error

NOW = time.time()


@pytest.fixture
def form(keys):
    """A function that has boto3 make a form and returns its fields."""

    def make(signature="s3v4", key="AKIAIOSFODNN7EXAMPLE", object_key="up/${filename}", fields=None, conditions=None):
        credential = keys[key]
        client = boto3.client(
            "s3",
            endpoint_url="http://127.0.0.1:9000",
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=credential.secret_access_key,
            aws_session_token=credential.session_token,
            config=Config(signature_version=signature) if signature else Config(),
        )
        return client.generate_presigned_post(
            "bucket", object_key, Fields=fields, Conditions=conditions, ExpiresIn=600
        )["fields"]

    return make


@pytest.fixture
def submit(keys, new_wire):
    def send(fields, *, bucket="bucket", filename="photo.jpg", settings=None, target="/bucket", headers=(), now=None):
        head = new_wire("POST", target, (("Host", b"h"), *headers)).head()
        settings = settings or AuthSettings()
        now = time.time() if now is None else now
        return authenticate_form(head, bucket, fields, filename, keys.get, settings, now)

    return send


@pytest.fixture
def refusal(submit, keys):
    def send(fields, **how):
        with pytest.raises(S3Error) as caught:
            submit(fields, **how)
        shown = f"{caught.value} {caught.value.extras} {caught.value.detail}"
        assert not any(k.secret_access_key in shown or (k.session_token or "\0") in shown for k in keys.values())
        return caught.value

    return send


def test_a_version_4_form_is_accepted(form, submit):
    result = submit(form())
    assert (result.claim.kind, result.claim.signature_version) == ("POST", "AWS4-HMAC-SHA256")
    assert (result.claim.access_key_id, result.claim.region) == ("AKIAIOSFODNN7EXAMPLE", "us-east-1")
    assert result.claim.signed_at == pytest.approx(time.time(), abs=10)
    assert result.fields["key"] == "up/photo.jpg"


def test_what_boto3_makes_by_default_is_version_2_and_accepted(form, submit):
    fields = form(signature=None)
    assert "AWSAccessKeyId" in fields
    result = submit(fields)
    assert (result.claim.kind, result.claim.signature_version) == ("POST", "AWS")
    assert result.claim.access_key_id == "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_temporary_credentials_sign_forms(form, submit, refusal, signature):
    fields = form(signature, key="ASIATEMPORARY")
    assert submit(fields).claim.access_key_id == "ASIATEMPORARY"
    assert refusal({**fields, "x-amz-security-token": "x"}).code == "InvalidToken"
    del fields["x-amz-security-token"]
    assert refusal(fields).code == "InvalidAccessKeyId"
    assert refusal(form(signature, key="ASIAEXPIRED")).code == "ExpiredToken"


def test_names_of_fields_are_case_insensitive(form, submit):
    assert submit({name.upper(): value for name, value in form().items()})
    assert submit({name.upper(): value for name, value in form("s3").items()})


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-signature", "0" * 64, "SignatureDoesNotMatch"),
        ("x-amz-signature", "é", "SignatureDoesNotMatch"),
        ("x-amz-signature", "", "InvalidArgument"),
        ("x-amz-algorithm", "AWS4-HMAC-SHA1", "InvalidArgument"),
        ("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256", "NotImplemented"),
        ("x-amz-credential", "AKIA/20200101/us-east-1/s3/aws4_request", "InvalidArgument"),
        ("x-amz-credential", "AKIA", "InvalidArgument"),
        ("x-amz-date", "20200101T000000Z", "InvalidArgument"),
        ("x-amz-date", "now", "InvalidArgument"),
        ("x-amz-date", None, "InvalidArgument"),
        ("key", "elsewhere", "AccessDenied"),
        ("key", None, "AccessDenied"),
        ("acl", "public-read", "AccessDenied"),
        ("acl", None, "AccessDenied"),
        ("Content-Type", "text/html", "AccessDenied"),
        ("x-amz-meta-new", "1", "AccessDenied"),
        ("policy", None, "InvalidArgument"),
        ("policy", base64.b64encode(b'{"expiration":"2099-01-01T00:00:00Z","conditions":[]}').decode(), None),
        ("AWSAccessKeyId", "AKIAIOSFODNN7EXAMPLE", "InvalidArgument"),
        ("KEY", "up/photo.jpg", "InvalidArgument"),
    ],
)
def test_every_field_of_a_version_4_form_is_protected(form, submit, refusal, name, value, code):
    fields = form(
        fields={"acl": "private", "Content-Type": "image/jpeg"},
        conditions=[{"acl": "private"}, ["starts-with", "$Content-Type", "image/"]],
    )
    assert submit(fields)
    fields[name] = value
    if value is None:
        del fields[name]
    assert refusal(fields).code == (code or "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("signature", "x", "SignatureDoesNotMatch"),
        ("signature", None, "InvalidArgument"),
        ("AWSAccessKeyId", "AKIAOTHER", "InvalidAccessKeyId"),
        ("AWSAccessKeyId", None, "InvalidArgument"),
        ("policy", "e30=", "SignatureDoesNotMatch"),
        ("policy", None, "InvalidArgument"),
        ("key", "elsewhere", "AccessDenied"),
        ("acl", "private", "AccessDenied"),
    ],
)
def test_every_field_of_a_version_2_form_is_protected(form, submit, refusal, name, value, code):
    fields = form("s3")
    assert submit(fields)
    fields[name] = value
    if value is None:
        del fields[name]
    assert refusal(fields).code == code


def test_a_form_is_for_one_bucket_and_a_time(form, submit, refusal):
    error = refusal(form(), bucket="other")
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == 'Invalid according to Policy: Policy Condition failed: ["eq", "$bucket", "bucket"]'
    assert refusal(form(), now=time.time() + 700).message == "Invalid according to Policy: Policy expired."
    assert submit(form(), now=time.time() + 590)


def test_ignored_fields_and_the_size_range(form, submit):
    fields = form(conditions=[["content-length-range", 1, 1000]])
    assert submit({**fields, "x-ignore-tracking": "1"}).content_length_range == (1, 1000)


@pytest.mark.parametrize("filename", ["C:\\Users\\me\\photo.jpg", "/home/me/photo.jpg", "photo.jpg"])
def test_the_name_of_the_file_is_filled_in_before_the_conditions_are_looked_at(form, submit, filename):
    assert submit(form(), filename=filename).fields["key"] == "up/photo.jpg"


def test_version_2_can_be_switched_off(form, refusal):
    error = refusal(form("s3"), settings=AuthSettings(sigv2=False))
    assert (error.code, error.status) == ("InvalidRequest", 400)


def test_strict_region(form, submit, refusal):
    error = refusal(form(), settings=AuthSettings(strict_region=True, region="eu-central-1"))
    assert error.extras == {"Region": "eu-central-1"}


def test_an_unsigned_form_is_anonymous(submit, refusal):
    result = submit({"Key": "a/${filename}"})
    assert result.claim.kind is None
    assert result.claim.access_key_id is None
    assert result.fields == {"key": "a/photo.jpg"}
    error = refusal({"key": "a", "policy": "e30="})
    assert (error.code, error.extras["ArgumentName"]) == ("InvalidArgument", "AWSAccessKeyId")


def test_a_form_cannot_be_signed_in_two_ways(form, refusal):
    for how in (
        {"headers": (("Authorization", b"AWS a:b"),)},
        {"target": "/bucket?X-Amz-Signature=1"},
        {"target": "/bucket?Signature=1"},
    ):
        error = refusal(form(), **how)
        assert error.code == "InvalidArgument"
        assert error.message.startswith("Only one auth mechanism allowed")


def test_the_signature_is_over_the_text_as_sent(keys, submit):
    # With spaces and line ends, as a person's template may have it.
    document = {"expiration": "2099-01-01T00:00:00.000Z", "conditions": [["starts-with", "$key", ""]]}
    text = base64.encodebytes(json.dumps(document).encode()).decode()
    mac = hmac.new(keys["AKIAIOSFODNN7EXAMPLE"].secret_access_key.encode(), text.encode(), "sha1").digest()
    fields = {"key": "k", "AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE", "policy": text}
    assert submit({**fields, "signature": base64.b64encode(mac).decode()})
