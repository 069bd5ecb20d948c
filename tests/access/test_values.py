"""Where the value of each condition key comes from, and when the key is absent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.access.connection import Connection
from proxy.access.questions import bucket_questions, needs_existing_tags, reads_existing_tags, with_existing_tags
from proxy.access.support import CARRIED
from proxy.access.upload_context import INHERITED, UploadContext
from proxy.access.values import HEADER_KEYS
from proxy.auth.claim import ANONYMOUS, Claim
from proxy.errors import S3Error
from proxy.policy.names import find_key
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import recognise

Ask = Any
Context = dict[str, Any]

SSE = "x-amz-server-side-encryption"
KMS_ID = f"{SSE}-aws-kms-key-id"
SSE_C = f"{SSE}-customer-algorithm"
ARN = "arn:aws:kms:eu-central-1:123456789012:key/abc"


def put(ask: Ask, headers: dict[str, str], **more: Any) -> Context:
    return dict(ask("PUT", "/bkt/k", headers, **more)[0].context)


# --- who, from where, when ---


def test_the_caller(ask: Ask) -> None:
    context = put(ask, {})
    assert context["aws:principalarn"] == ask.alice.arn
    assert context["aws:principalaccount"] == ask.owner
    assert context["aws:principaltype"] == "User"
    assert context["aws:userid"] == "AIDAALICE"
    assert context["aws:username"] == "alice"
    assert context["aws:principaltag/department"] == "hr"
    assert context["aws:principalisawsservice"] == context["aws:viaawsservice"] == "false"


def test_a_role_session_has_the_arn_of_its_role_and_no_user_name(ask: Ask) -> None:
    role = replace(
        ask.alice,
        arn="arn:aws:sts::123456789012:assumed-role/r/s",
        principal_arn="arn:aws:iam::123456789012:role/r",
        principal_type="AssumedRole",
        user_name=None,
        user_id="AROA:s",
    )
    context = put(ask, {}, identity=role)
    assert context["aws:principalarn"] == "arn:aws:iam::123456789012:role/r"
    assert "aws:username" not in context


def test_an_anonymous_caller_has_a_type_and_nothing_else(ask: Ask) -> None:
    context = put(ask, {}, claim=ANONYMOUS, identity=None)
    assert context["aws:principaltype"] == "Anonymous"
    for key in (
        "aws:principalarn",
        "aws:principalaccount",
        "aws:userid",
        "aws:username",
        "aws:principaltag/department",
    ):
        assert key not in context
    for key in ("s3:authtype", "s3:signatureversion", "s3:signatureage", "s3:x-amz-content-sha256"):
        assert key not in context


def test_the_caller_of_one_request_is_not_that_of_the_next(ask: Ask) -> None:
    bob = replace(ask.alice, arn="arn:aws:iam::123456789012:user/bob", user_name="bob")
    names = [put(ask, {}, identity=who).get("aws:username") for who in (ask.alice, bob, None, ask.alice)]
    assert names == ["alice", "bob", None, "alice"]


def test_an_identity_that_was_reloaded_is_not_the_old_one(ask: Ask) -> None:
    put(ask, {})
    reloaded = replace(ask.alice, tags={"Department": "it"})
    assert put(ask, {}, identity=reloaded)["aws:principaltag/department"] == "it"


def test_the_connection(ask: Ask) -> None:
    context = put(ask, {})
    assert (context["aws:sourceip"], context["aws:securetransport"], context["s3:tlsversion"]) == (
        "192.0.2.7",
        "true",
        "1.3",
    )
    plain = put(ask, {}, connection=Connection("192.0.2.7", False))
    assert plain["aws:securetransport"] == "false"
    assert "s3:tlsversion" not in plain


def test_the_clock(ask: Ask) -> None:
    context = put(ask, {}, now=1_795_435_200.9)
    assert context["aws:currenttime"] == "2026-11-23T12:00:00Z"
    assert context["aws:epochtime"] == "1795435200"


def test_the_signature(ask: Ask) -> None:
    context = put(ask, {})
    assert context["s3:authtype"] == "REST-HEADER"
    assert context["s3:signatureversion"] == "AWS4-HMAC-SHA256"
    assert context["s3:signatureage"] == "1500"
    assert context["aws:requestedregion"] == "eu-central-1"
    assert context["s3:x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_a_signature_from_a_fast_clock_has_no_age(ask: Ask) -> None:
    assert put(ask, {}, claim=replace(ask.signed, signed_at=ask.now + 60))["s3:signatureage"] == "0"


def test_signature_version_2(ask: Ask) -> None:
    context = put(ask, {}, claim=Claim("REST-QUERY-STRING", "AWS", "AKIAALICE"))
    assert (context["s3:authtype"], context["s3:signatureversion"]) == ("REST-QUERY-STRING", "AWS")
    assert context["aws:requestedregion"] == "eu-central-1"
    assert "s3:signatureage" not in context
    assert "s3:x-amz-content-sha256" not in context


def test_user_agent_and_referer(ask: Ask) -> None:
    utf8 = "für".encode().decode("latin-1")
    context = put(ask, {"User-Agent": "tool/1", "Referer": utf8})
    assert (context["aws:useragent"], context["aws:referer"]) == ("tool/1", "für")
    assert not {"aws:useragent", "aws:referer"} & put(ask, {}).keys()


def test_the_bucket(ask: Ask) -> None:
    context = ask("PUT", "/theirs/k")[0].context
    assert context["aws:resourceaccount"] == context["s3:resourceaccount"] == "999999999999"
    assert context["aws:resourcetag/stage"] == context["s3:buckettag/stage"] == "prod"
    assert "aws:resourcetag/stage" not in put(ask, {})


def test_what_the_configuration_says_about_everybody(ask: Ask) -> None:
    assert put(ask, {})["aws:principalorgid"] == "o-example"
    assert put(ask, {}, claim=ANONYMOUS, identity=None)["aws:principalorgid"] == "o-example"


def test_keys_of_the_proxy_itself_belong_to_what_is_written(ask: Ask) -> None:
    found = ask("PUT", "/bkt/k", {"x-amz-copy-source": "from/s"}, own={"s3w:envelope": "true"})
    assert found[0].context["s3w:envelope"] == "true"
    assert "s3w:envelope" not in found[1].context


# --- headers ---

SAMPLES = {
    "if-match": '"etag"',
    "if-none-match": "*",
    KMS_ID: ARN,
    SSE_C: "AES256",
    SSE: "aws:kms",
}
NOT_ON_PUT = {"x-amz-bucket-namespace", "x-amz-object-ownership", "x-amz-metadata-directive"}


@pytest.mark.parametrize("name", sorted(set(HEADER_KEYS) - NOT_ON_PUT))
def test_a_header_is_the_value_of_its_key(ask: Ask, name: str) -> None:
    value = SAMPLES.get(name, "some value")
    assert put(ask, {name: value})[HEADER_KEYS[name]] == value
    assert HEADER_KEYS[name] not in put(ask, {})


def test_headers_of_buckets_and_copies(ask: Ask) -> None:
    created = ask("PUT", "/bkt", {"x-amz-object-ownership": "ObjectWriter", "x-amz-bucket-namespace": "n"})[0].context
    assert (created["s3:x-amz-object-ownership"], created["s3:x-amz-bucket-namespace"]) == ("ObjectWriter", "n")
    copied = put(ask, {"x-amz-copy-source": "/from/a%20b?versionId=1", "x-amz-metadata-directive": "REPLACE"})
    assert copied["s3:x-amz-metadata-directive"] == "REPLACE"
    assert copied["s3:x-amz-copy-source"] == "from/a b"
    assert "s3:x-amz-metadata-directive" not in put(ask, {"x-amz-copy-source": "from/a"})


def test_a_header_that_is_not_ascii_is_read_as_utf8(ask: Ask) -> None:
    utf8 = "größe".encode().decode("latin-1")
    assert put(ask, {"x-amz-website-redirect-location": utf8})["s3:x-amz-website-redirect-location"] == "größe"


def test_a_key_id_becomes_an_arn_and_an_alias_is_refused(ask: Ask) -> None:
    assert put(ask, {SSE: "aws:kms", KMS_ID: "abc"})[f"s3:{KMS_ID}"] == ARN
    with pytest.raises(S3Error, match="aliases"):
        put(ask, {KMS_ID: "alias/hr"})


@pytest.mark.parametrize("name", [SSE, KMS_ID, SSE_C])
def test_an_empty_encryption_header_is_refused(ask: Ask, name: str) -> None:
    with pytest.raises(S3Error) as caught:
        put(ask, {name: ""})
    assert caught.value.code == "InvalidArgument"


def test_a_read_does_not_carry_conditions_of_writes(ask: Ask) -> None:
    context = ask("GET", "/bkt/k", {"If-None-Match": "*", SSE_C: "AES256"})[0].context
    assert not {"s3:if-none-match", f"s3:{SSE_C}"} & context.keys()


def test_a_delete_carries_if_match(ask: Ask) -> None:
    assert ask("DELETE", "/bkt/k", {"If-Match": '"e"'})[0].context["s3:if-match"] == '"e"'
    # The version variant does not, at AWS either.
    assert "s3:if-match" not in ask("DELETE", "/bkt/k?versionId=1", {"If-Match": '"e"'})[0].context


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PUT /bkt/k", "true"),
        ("POST /bkt/k?uploadId=u", "true"),
        ("POST /bkt/k?uploads", "false"),
        ("PUT /bkt/k?partNumber=1&uploadId=u", "false"),
    ],
)
def test_whether_an_object_comes_into_being(ask: Ask, line: str, value: str) -> None:
    assert ask(*line.split(" "))[0].context["s3:objectcreationoperation"] == value


# --- tags ---


def test_tags_of_a_new_object(ask: Ask) -> None:
    context = put(ask, {"x-amz-tagging": "Class=a+b&x=%26"})
    assert context["s3:requestobjecttagkeys"] == ("Class", "x")
    assert (context["s3:requestobjecttag/class"], context["s3:requestobjecttag/x"]) == ("a b", "&")
    assert not any(key.startswith("s3:requestobjecttag") for key in put(ask, {}))


def test_an_empty_tagging_header_is_an_empty_set(ask: Ask) -> None:
    assert put(ask, {"x-amz-tagging": ""})["s3:requestobjecttagkeys"] == ()


def test_tags_in_a_body_and_in_a_form(ask: Ask) -> None:
    body = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    assert ask("PUT", "/bkt/k?tagging", {}, body.encode())[0].context["s3:requestobjecttag/a"] == "1"
    content = {"Content-Type": "multipart/form-data; boundary=x"}
    form = ask("POST", "/bkt", content, form={"key": "k", "tagging": body})
    assert form[0].context["s3:requestobjecttag/a"] == "1"
    assert form[1].action == "s3:PutObjectTagging"


def test_tags_that_only_differ_in_case_are_refused(ask: Ask) -> None:
    with pytest.raises(S3Error, match="differ only in letter case"):
        put(ask, {"x-amz-tagging": "Class=secret&class=public"})


def test_tags_of_a_new_bucket(ask: Ask) -> None:
    tags = "<Tags><Tag><Key>Cost</Key><Value>1</Value></Tag></Tags>"
    body = f"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint>{tags}</CreateBucketConfiguration>"
    created, tagged = ask("PUT", "/bkt", {}, body.encode())
    assert created.context["s3:locationconstraint"] == "eu"
    assert created.context["aws:tagkeys"] == tagged.context["aws:tagkeys"] == ("Cost",)
    assert created.context["aws:requesttag/cost"] == "1"
    assert "s3:locationconstraint" not in ask("PUT", "/bkt")[0].context


def test_tags_of_stored_objects_are_looked_up_only_when_a_policy_reads_them(ask: Ask) -> None:
    read, write = ask("GET", "/bkt/k")[0], ask("PUT", "/bkt/k")[0]
    keys = {"s3:existingobjecttag/class", "aws:sourceip"}
    assert needs_existing_tags(keys, read)
    assert not needs_existing_tags(keys, write)
    assert not needs_existing_tags({"aws:sourceip"}, read)
    assert not needs_existing_tags(keys, ask("GET", "/bkt")[0])
    assert not reads_existing_tags(())
    found = with_existing_tags(read, (("Class", "secret"),))
    assert found.context["s3:existingobjecttag/class"] == "secret"
    assert "s3:existingobjecttag/class" not in read.context
    assert with_existing_tags(read, ()).context == read.context


# --- locks ---


def test_locks_of_a_new_object(ask: Ask) -> None:
    headers = {
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2026-12-03T12:00:00.000Z",
        "x-amz-object-lock-legal-hold": "ON",
    }
    context = put(ask, headers)
    assert context["s3:object-lock-mode"] == "GOVERNANCE"
    assert context["s3:object-lock-legal-hold"] == "ON"
    assert context["s3:object-lock-retain-until-date"] == "2026-12-03T12:00:00Z"
    assert context["s3:object-lock-remaining-retention-days"] == "10"
    assert not any(key.startswith("s3:object-lock") for key in put(ask, {}))


@pytest.mark.parametrize(
    ("until", "days"),
    [
        ("2026-11-24T12:00:00Z", "1"),
        ("2026-11-24T12:00:01Z", "2"),
        ("2026-11-24T11:00:00Z", "1"),
        ("2026-11-24T14:00:00+02:00", "1"),
        ("20261124T120000Z", "1"),
        ("2026-11-24", "1"),
        ("2026-11-23T12:00:00", "0"),
        ("2026-11-20T12:00:00Z", "-3"),
    ],
)
def test_a_day_begun_is_a_day_that_remains(ask: Ask, until: str, days: str) -> None:
    body = f"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
    context = ask("PUT", "/bkt/k?retention", {}, body.encode())[0].context
    assert context["s3:object-lock-remaining-retention-days"] == days


@pytest.mark.parametrize("until", ["", "soon", "2026-13-01", "99999-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"])
def test_a_date_that_is_none_is_refused(ask: Ask, until: str) -> None:
    with pytest.raises(S3Error, match="ISO 8601"):
        put(ask, {"x-amz-object-lock-retain-until-date": until})


def test_a_legal_hold_in_a_body(ask: Ask) -> None:
    context = ask("PUT", "/bkt/k?legal-hold", {}, b"<LegalHold><Status>OFF</Status></LegalHold>")[0].context
    assert context["s3:object-lock-legal-hold"] == "OFF"


def test_the_encryption_an_object_is_changed_to(ask: Ask) -> None:
    body = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{ARN}</KMSKeyArn></SSE-KMS></ObjectEncryption>"
    context = ask("PUT", "/bkt/k?encryption", {}, body.encode())[0].context
    assert (context[f"s3:{SSE}"], context[f"s3:{KMS_ID}"]) == ("aws:kms", ARN)
    plain = ask("PUT", "/bkt/k?encryption", {}, b"<ObjectEncryption><SSE-S3/></ObjectEncryption>")[0].context
    assert plain[f"s3:{SSE}"] == "AES256"
    assert f"s3:{KMS_ID}" not in plain


# --- listings ---


@pytest.mark.parametrize("line", ["GET /bkt?", "GET /bkt?list-type=2&", "GET /bkt?versions&"])
def test_listings(ask: Ask, line: str) -> None:
    method, target = line.split(" ")
    context = ask(method, target + "prefix=a%2Fb&delimiter=/&max-keys=5")[0].context
    assert (context["s3:prefix"], context["s3:delimiter"], context["s3:max-keys"]) == ("a/b", "/", "5")
    empty = ask(method, target + "prefix=")[0].context
    assert (empty["s3:prefix"], empty["s3:max-keys"]) == ("", "1000")
    assert "s3:delimiter" not in empty
    assert "s3:prefix" not in ask(method, target.rstrip("?&"))[0].context


def test_other_calls_on_buckets_have_no_listing_keys(ask: Ask) -> None:
    for line in ("HEAD /bkt", "GET /bkt?uploads&prefix=a", "GET /bkt?location"):
        assert not {"s3:prefix", "s3:max-keys"} & ask(*line.split(" "))[0].context.keys()


@pytest.mark.parametrize("count", ["-1", "+5", "1e3", " 5", "5 ", "abc", "٣", "99999999999", "0x10"])
def test_a_count_that_is_no_number_is_refused(ask: Ask, count: str) -> None:
    with pytest.raises(S3Error, match="max-keys"):
        ask("GET", "/bkt?max-keys=" + "".join(f"%{byte:02X}" for byte in count.encode()))


def test_buckets_to_show_are_asked_for_like_listings(ask: Ask) -> None:
    request = recognise(parse_head("GET", "/", Headers()), Domains.of(()))
    about = (request, ask.signed, ask.alice, ask.connection, ask.settings, ask.now)
    mine, theirs = bucket_questions("s3:ListBucket", ("mine", "theirs"), *about)
    assert (mine.action, mine.resource, mine.bucket) == ("s3:ListBucket", "arn:aws:s3:::mine", "mine")
    assert mine.context["s3:max-keys"] == "1000"
    assert theirs.resource_account == theirs.context["s3:resourceaccount"] == "999999999999"


# --- uploads ---


@pytest.mark.parametrize("line", ["PUT /bkt/k?partNumber=1&uploadId=u", "POST /bkt/k?uploadId=u"])
def test_parts_and_completion_inherit_the_encryption_of_their_upload(ask: Ask, line: str) -> None:
    upload = UploadContext({f"s3:{SSE}": "aws:kms", f"s3:{KMS_ID}": ARN})
    context = ask(*line.split(" "), upload=upload)[0].context
    assert (context[f"s3:{SSE}"], context[f"s3:{KMS_ID}"]) == ("aws:kms", ARN)
    assert f"s3:{SSE}" not in ask(*line.split(" "))[0].context


def test_a_part_carries_its_own_customer_key(ask: Ask) -> None:
    line = ("PUT", "/bkt/k?partNumber=1&uploadId=u")
    assert ask(*line, {SSE_C: "AES256"})[0].context[f"s3:{SSE_C}"] == "AES256"
    upload = UploadContext({f"s3:{SSE_C}": "AES256"})
    assert ask(*line, {SSE_C: "other"}, upload=upload)[0].context[f"s3:{SSE_C}"] == "other"
    assert ask(*line, upload=upload)[0].context[f"s3:{SSE_C}"] == "AES256"


def test_a_part_cannot_claim_an_encryption_it_does_not_get(ask: Ask) -> None:
    with pytest.raises(S3Error, match="not supported for this operation"):
        ask("PUT", "/bkt/k?partNumber=1&uploadId=u", {SSE: "aws:kms"})


def test_a_creation_has_what_its_parts_inherit(ask: Ask) -> None:
    sent = {SSE: "aws:kms", KMS_ID: "abc", SSE_C: "AES256", "x-amz-acl": "private"}
    context = ask("POST", "/bkt/k?uploads", sent)[0].context
    assert {key: context[key] for key in INHERITED} == {
        f"s3:{SSE}": "aws:kms",
        f"s3:{KMS_ID}": ARN,
        f"s3:{SSE_C}": "AES256",
    }


# --- every action ---


def test_every_key_that_is_given_is_one_that_policies_can_name(ask: Ask) -> None:
    headers = {name: SAMPLES.get(name, "v") for name in set(HEADER_KEYS) - NOT_ON_PUT}
    context = put(ask, {**headers, "x-amz-tagging": "a=1", "User-Agent": "u", "Referer": "r"})
    assert [key for key in context if find_key(key) is None] == []


def test_no_question_carries_a_key_that_its_action_does_not(ask: Ask) -> None:
    headers = {name: SAMPLES.get(name, "v") for name in set(HEADER_KEYS) - NOT_ON_PUT}
    found = ask("PUT", "/bkt/k", {**headers, "x-amz-tagging": "a=1", "x-amz-object-lock-legal-hold": "ON"})
    assert len(found) == 4
    for question in found:
        for key in question.context:
            name = find_key(key)
            assert name is not None
            if name.name.startswith("s3:") and name.name != "s3:BucketTag/":
                assert name.name.lower() in CARRIED[question.action]


def test_a_common_key_is_absent_where_the_reference_leaves_it_out(ask: Ask) -> None:
    assert "s3:x-amz-content-sha256" not in ask("GET", "/bkt?object-lock")[0].context
    assert "s3:x-amz-content-sha256" in ask("GET", "/bkt?versioning")[0].context


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*HEADER_KEYS, "x-amz-tagging", "x-amz-object-lock-mode"]), st.text(max_size=9)))
def test_any_header_values_give_an_answer_or_an_s3_error(ask: Ask, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("utf-8", "replace").decode("latin-1") for name, value in headers.items()}
    try:
        context = put(ask, encoded)
    except S3Error:
        return
    assert all(isinstance(value, (str, tuple)) for value in context.values())
