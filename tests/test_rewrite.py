"""Header rules of a bucket: what is remedied, what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.kms import KmsNames
from proxy.auth.claim import ANONYMOUS, Claim
from proxy.config.buckets import BucketEncryption, BucketSettings
from proxy.errors import S3Error
from proxy.rewrite import Completed, complete
from proxy.s3.address import Domains
from proxy.s3.head import parse_head
from proxy.s3.headers import Headers
from proxy.s3.request import recognise

SSE = "x-amz-server-side-encryption"
KMS_ID = "x-amz-server-side-encryption-aws-kms-key-id"
SSE_C = "x-amz-server-side-encryption-customer-algorithm"
DOMAINS = Domains.of(())
ARN = "arn:aws:kms:eu-central-1:123456789012:key/abc"
KMS = KmsNames("eu-central-1", "123456789012", aliases={"alias/hr": ARN})


def completed(
    method: str,
    target: str,
    sent: dict[str, str],
    *,
    add: dict[str, str] | None = None,
    remove: tuple[str, ...] = (),
    claim: Claim = ANONYMOUS,
) -> Completed:
    request = recognise(parse_head(method, target, Headers.of(sent.items())), DOMAINS)
    return complete(request, claim, BucketSettings("123456789012", add or {}, frozenset(remove)), KMS)


@pytest.mark.parametrize(
    ("method", "target", "sent"),
    [
        ("PUT", "/bkt/k", {}),
        ("PUT", "/bkt/k", {"x-amz-copy-source": "/bkt/other"}),
        ("POST", "/bkt/k?uploads", {}),
        ("POST", "/bkt", {"Content-Type": "multipart/form-data; boundary=x"}),
    ],
)
def test_a_header_is_added_where_an_object_is_made(method: str, target: str, sent: dict[str, str]) -> None:
    done = completed(method, target, sent, add={SSE: "aws:kms"})
    assert done.added == {SSE: "aws:kms"}
    assert done.request.headers.get(SSE) == "aws:kms"
    assert done.request.head.headers.get(SSE) is None


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/bkt/k"),
        ("HEAD", "/bkt/k"),
        ("PUT", "/bkt/k?partNumber=1&uploadId=u"),
        ("POST", "/bkt/k?uploadId=u"),
        ("PUT", "/bkt/k?tagging"),
        ("PUT", "/bkt/k?retention"),
        ("DELETE", "/bkt/k"),
        ("PUT", "/bkt"),
        ("GET", "/bkt"),
    ],
)
def test_an_encryption_header_is_added_nowhere_else(method: str, target: str) -> None:
    done = completed(method, target, {}, add={SSE: "aws:kms", KMS_ID: "k", "x-amz-storage-class": "STANDARD"})
    assert done.added == {}
    assert done.request.headers is done.request.head.headers


def test_what_the_client_sent_stays() -> None:
    done = completed("PUT", "/bkt/k", {SSE: "AES256"}, add={SSE: "aws:kms"})
    assert done.added == {}
    assert done.request.headers.get(SSE) == "AES256"


def test_a_key_id_is_not_added_to_another_kind_of_encryption() -> None:
    rules = {SSE: "aws:kms", KMS_ID: "k"}
    assert completed("PUT", "/bkt/k", {SSE: "AES256"}, add=rules).added == {}
    assert completed("PUT", "/bkt/k", {SSE: "aws:kms"}, add=rules).added == {KMS_ID: "k"}
    assert completed("PUT", "/bkt/k", {SSE: "aws:kms:dsse"}, add=rules).added == {KMS_ID: "k"}
    assert completed("PUT", "/bkt/k", {}, add=rules).added == rules
    assert completed("PUT", "/bkt/k", {}, add={KMS_ID: "k"}).added == {}


def test_a_client_with_its_own_key_is_left_to_the_policies() -> None:
    assert completed("PUT", "/bkt/k", {SSE_C: "AES256"}, add={SSE: "aws:kms", KMS_ID: "k"}).added == {}


def test_an_acl_is_not_added_to_grants_nor_grants_to_an_acl() -> None:
    assert completed("PUT", "/bkt/k", {"x-amz-grant-read": "id=1"}, add={"x-amz-acl": "private"}).added == {}
    assert completed("PUT", "/bkt/k", {"x-amz-acl": "private"}, add={"x-amz-grant-read": "id=1"}).added == {}


def test_a_header_is_removed_and_kept_for_the_log() -> None:
    done = completed("PUT", "/bkt/k", {"X-Amz-Acl": "public-read", "Host": "h"}, remove=("x-amz-acl",))
    assert done.removed == {"x-amz-acl": "public-read"}
    assert "x-amz-acl" not in done.request.headers
    assert done.request.headers.get("host") == "h"
    assert done.request.head.headers.get("x-amz-acl") == "public-read"


def test_removed_and_added_means_forced() -> None:
    done = completed("PUT", "/bkt/k", {SSE: "AES256"}, add={SSE: "aws:kms"}, remove=(SSE,))
    assert done.request.headers.get_all(SSE) == ("aws:kms",)


def test_a_call_that_only_sets_an_acl_keeps_it() -> None:
    for target in ("/bkt?acl", "/bkt/k?acl"):
        done = completed("PUT", target, {"x-amz-acl": "public-read"}, remove=("x-amz-acl",))
        assert done.removed == {}


def test_a_rule_never_makes_another_operation_of_a_request() -> None:
    done = completed("PUT", "/bkt/k", {"x-amz-copy-source": "/bkt/o"}, remove=("x-amz-copy-source",))
    assert done.removed == {}
    added = completed("PUT", "/bkt/k", {}, add={"x-amz-copy-source": "/bkt/o"})
    assert added.added == {}


def test_a_removed_customer_key_is_not_shown() -> None:
    key = "x-amz-server-side-encryption-customer-key"
    assert completed("PUT", "/bkt/k", {key: "c2VjcmV0"}, remove=(key,)).removed == {key: "(not shown)"}


def test_governance_can_be_made_impossible_to_bypass() -> None:
    name = "x-amz-bypass-governance-retention"
    assert completed("DELETE", "/bkt/k", {name: "true"}, remove=(name,)).removed == {name: "true"}


def test_metadata_and_stored_headers_can_be_added() -> None:
    rules = {"x-amz-meta-via": "prüxy", "cache-control": "no-store"}
    done = completed("PUT", "/bkt/k", {}, add=rules)
    assert done.added == rules
    assert (b"x-amz-meta-via", "prüxy".encode()) in done.request.headers.raw


def test_a_header_from_a_presigned_query_counts_as_sent() -> None:
    target = f"/bkt/k?X-Amz-Signature=s&{SSE}=AES256"
    done = completed("PUT", target, {}, add={SSE: "aws:kms"})
    assert done.added == {}
    assert done.request.headers.get(SSE) == "AES256"


def test_a_plus_is_read_as_the_client_signed_it() -> None:
    done = completed("GET", "/bkt?prefix=a+b%2Bc", {}, claim=Claim(plus_is_space=True))
    assert done.request.parameters == {"prefix": "a b+c"}
    assert done.request.head.query_string == "prefix=a%20b%2Bc"
    assert completed("GET", "/bkt?prefix=a+b", {}).request.parameters == {"prefix": "a+b"}


def test_without_rules_the_request_is_the_same_object() -> None:
    request = recognise(parse_head("PUT", "/bkt/k", Headers()), DOMAINS)
    assert complete(request, ANONYMOUS, None, KMS).request is request
    assert complete(request, ANONYMOUS, BucketSettings("1"), KMS).request is request


def test_an_alias_gives_way_to_the_key_that_is_judged() -> None:
    done = completed("PUT", "/bkt/k", {SSE: "aws:kms", KMS_ID: "alias/hr"})
    assert done.request.headers.get_all(KMS_ID) == (ARN,)
    assert (done.removed, done.added) == ({KMS_ID: "alias/hr"}, {KMS_ID: ARN})
    by_rule = completed("PUT", "/bkt/k", {}, add={SSE: "aws:kms", KMS_ID: "alias/hr"})
    assert by_rule.request.headers.get_all(KMS_ID) == (ARN,)
    assert (by_rule.removed, by_rule.added) == ({}, {SSE: "aws:kms", KMS_ID: ARN})
    forced = completed("PUT", "/bkt/k", {SSE: "aws:kms", KMS_ID: "x"}, add={KMS_ID: "alias/hr"}, remove=(KMS_ID,))
    assert (forced.removed, forced.added) == ({KMS_ID: "x"}, {KMS_ID: ARN})


def test_an_alias_that_nobody_resolves_is_refused_and_an_id_stays_an_id() -> None:
    with pytest.raises(S3Error, match="aliases are not resolved"):
        completed("PUT", "/bkt/k", {KMS_ID: "alias/other"})
    assert completed("PUT", "/bkt/k", {KMS_ID: "my-key"}).added == {}


def test_where_the_proxy_encrypts_an_alias_that_nobody_resolves_is_a_key_that_is_not_there() -> None:
    sealed = BucketSettings("123456789012", encryption=BucketEncryption("envelope", "hr"))
    request = recognise(parse_head("PUT", "/bkt/k", Headers.of([(KMS_ID, "alias/other")])), DOMAINS)
    with pytest.raises(S3Error, match=r"KMS\.NotFoundException: Alias alias/other is not found"):
        complete(request, ANONYMOUS, sealed, KMS)


def test_where_the_proxy_encrypts_a_key_has_one_name_for_policies() -> None:
    there = "arn:aws:kms:us-east-1:999999999999:key/1234abcd"
    names = KmsNames("eu-central-1", "123456789012", elsewhere={there: ARN})
    request = recognise(parse_head("PUT", "/bkt/k", Headers.of([(KMS_ID, there)])), DOMAINS)
    sealed = BucketSettings("123456789012", encryption=BucketEncryption("envelope", "hr"))
    done = complete(request, ANONYMOUS, sealed, names)
    assert (done.request.headers.get(KMS_ID), done.removed) == (ARN, {KMS_ID: there})
    assert complete(request, ANONYMOUS, BucketSettings("123456789012"), names).request is request, "the store knows it"


def test_without_names_of_keys_every_alias_is_refused() -> None:
    request = recognise(parse_head("PUT", "/bkt/k", Headers.of([(KMS_ID, "alias/hr")])), DOMAINS)
    with pytest.raises(S3Error, match="aliases are not resolved"):
        complete(request, ANONYMOUS, None)


NAMES = st.sampled_from([SSE, KMS_ID, "x-amz-acl", "x-amz-tagging", "x-amz-storage-class", "cache-control"])


@given(
    sent=st.dictionaries(NAMES, st.sampled_from(["a", "AES256", "aws:kms"])),
    add=st.dictionaries(NAMES, st.sampled_from(["b", "aws:kms"])),
    remove=st.sets(NAMES),
)
def test_completing_twice_changes_nothing_more(sent: dict[str, str], add: dict[str, str], remove: set[str]) -> None:
    once = completed("PUT", "/bkt/k", sent, add=add, remove=tuple(remove)).request.headers
    again = completed("PUT", "/bkt/k", dict(once), add=add, remove=tuple(remove)).request.headers
    assert sorted(once) == sorted(again)
    assert len(once.raw) == len(set(once.names()))
