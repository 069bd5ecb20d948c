"""Who may do what, from configuration to log: accounts, tags, header rules, reports, and what stays hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import ACCOUNT, OTHER_ACCOUNT, Store
from tests.journeys.front import Front, Seen
from tests.journeys.signing import Key, form_fields_v2, form_fields_v4, multipart, presign_v4, sign_v4
from tests.journeys.walking import (
    ALICE,
    BOB,
    MALLORY,
    Document,
    Walk,
    allow,
    bucket_policy,
    everybody,
    identity,
    make_bucket,
    store_client,
    walking,
)
from tests.journeys.wire import Answer, Wire

READER = Key("AKIAREADER", "reader-secret")
"""May list buckets, and some of them; may read objects, and not find out which there are."""
OWN_KEY = Key("AKIAOWNKEY", "own-key-secret")
"""Has credentials of her own towards the store."""
BUCKETS = ("plain", "remedied", "labelled", "reported", "foreign", "shared", "seen-one", "seen-two")


def deny(sid: str, action: str, bucket: str, operator: str, key: str, value: object, **more: object) -> Document:
    condition = {operator: {key: value}}
    resource = f"arn:aws:s3:::{bucket}/*"
    return {"Sid": sid, "Effect": "Deny", "Action": action, "Resource": resource, "Condition": condition, **more}


def grant(sid: str, principal: str, bucket: str) -> Document:
    resource = f"arn:aws:s3:::{bucket}/*"
    return {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:*", "Resource": resource}


ENCRYPTED = ("StringNotEquals", "s3:x-amz-server-side-encryption", "AES256")
POLICIES: dict[str, Document] = {
    "remedied": bucket_policy(
        deny("Encrypted", "s3:PutObject", "remedied", *ENCRYPTED),
        deny("NotPublic", "s3:PutObject", "remedied", "StringLike", "s3:x-amz-acl", "public*"),
    ),
    "labelled": bucket_policy(
        deny("OnlyPublic", "s3:GetObject", "labelled", "StringNotEquals", "s3:ExistingObjectTag/class", "public"),
    ),
    "reported": {
        "mode": "report",
        "policy": bucket_policy(
            deny("WouldDeny", "s3:PutObject", "reported", *ENCRYPTED),
            grant("WouldAllow", f"arn:aws:iam::{ACCOUNT}:user/bob", "reported"),
        ),
    },
    "shared": bucket_policy(
        grant("ToMallory", f"arn:aws:iam::{OTHER_ACCOUNT}:user/mallory", "shared"),
        grant("ToBob", f"arn:aws:iam::{ACCOUNT}:user/bob", "shared"),
    ),
    "foreign": bucket_policy(grant("ToTheAccount", f"arn:aws:iam::{ACCOUNT}:root", "foreign")),
}
RULES = {
    "remedied": {
        "add_headers": {"x-amz-server-side-encryption": "AES256", "Cache-Control": "no-store"},
        "remove_headers": ["x-amz-acl"],
    },
    "foreign": {"owner": OTHER_ACCOUNT},
}


@pytest.fixture(scope="module")
def house(store: Store, front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    direct = store_client(store)
    for bucket in BUCKETS:
        make_bucket(direct, bucket, "object")
    own = {"access_key_id": store.access_key_id, "secret_access_key": store.secret_access_key}
    people = [
        *everybody(),
        identity("user/reader", READER, "reader.yaml"),
        identity("user/own-key", OWN_KEY, "full.yaml", upstream={**own, "access_key_id": "AKIAOWNUPSTREAM"}),
    ]
    reader: Document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:ListAllMyBuckets", "s3:GetObject*"], "Resource": "*"},
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::seen-*"},
        ],
    }
    with walking(
        tmp_path_factory.mktemp(f"house-{front.name}"),
        store,
        endpoint=front.endpoint,
        policies={"reader": reader},
        buckets=POLICIES,
        identities=people,
        listen={"domains": ["s3.example.test"]},
        rules=RULES,
    ) as running:
        yield running


def ask(walk: Walk, key: Key, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Send a signed request; headers are named with underscores."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return walk.send(sign_v4(Wire(method, path, (), pairs, body), key, walk.host))


def test_header_rules_remedy_what_would_be_rejected_and_the_log_keeps_both(house: Walk, front: Front) -> None:
    with front.watched() as seen:
        answer = ask(house, ALICE, "PUT", "/remedied/upload", b"x", x_amz_acl="public-read")
    assert answer.status == 200
    [sent] = seen
    assert sent.headers["x-amz-server-side-encryption"] == "AES256"
    assert sent.headers["cache-control"] == "no-store"
    assert "x-amz-acl" not in sent.headers
    decision = house.decision(answer)
    assert decision["decision"] == "allow"
    assert decision["actions"] == ["s3:PutObject"]
    changes = {each["name"]: (each["received"], each["sent"]) for each in decision["header_changes"]}
    assert changes == {
        "x-amz-acl": ("public-read", None),
        "x-amz-server-side-encryption": (None, "AES256"),
        "cache-control": (None, "no-store"),
    }


def test_header_rules_do_not_overrule_what_a_client_says(house: Walk, front: Front) -> None:
    with front.watched() as seen:
        answer = ask(house, ALICE, "PUT", "/remedied/upload", b"x", x_amz_server_side_encryption="aws:kms")
    assert (answer.status, seen) == (403, [])
    assert [each["sid"] for each in house.decision(answer)["statements"]] == ["Encrypted"]
    with front.watched() as seen:
        assert ask(house, ALICE, "PUT", "/remedied/upload", b"x", Cache_Control="max-age=1").status == 200
    assert seen[0].headers["cache-control"] == "max-age=1"


def test_everybody_sees_the_buckets_they_may_list(house: Walk) -> None:
    answer = ask(house, READER, "GET", "/")
    assert answer.texts("Name") == ["seen-one", "seen-two"]
    assert set(BUCKETS) - {"foreign"} <= set(ask(house, ALICE, "GET", "/").texts("Name"))
    # Her own account's policy is enough for her buckets, not for somebody else's.
    assert "foreign" not in ask(house, ALICE, "GET", "/").texts("Name")
    assert ask(house, MALLORY, "GET", "/").texts("Name") == ["foreign"]
    assert ask(house, BOB, "GET", "/").status == 403


def test_policies_may_ask_for_the_tags_an_object_has(house: Walk, front: Front, direct: Any) -> None:
    if front.name != "moto":
        answer = ask(house, ALICE, "GET", "/labelled/object")
        # It cannot say, so nobody knows whether the policy denies.
        assert (answer.status, answer.code) == (503, "ServiceUnavailable")
        assert "tags" in house.decision(answer)["detail"]
        return
    with front.watched() as seen:
        answer = ask(house, ALICE, "GET", "/labelled/object")
    assert (answer.status, [each.target for each in seen]) == (403, ["/labelled/object?tagging="])
    assert [each["sid"] for each in house.decision(answer)["statements"]] == ["OnlyPublic"]
    direct.put_object(Bucket="labelled", Key="public", Body=b"for all", Tagging="class=public")
    assert ask(house, ALICE, "GET", "/labelled/public").body == b"for all"
    direct.put_object_tagging(Bucket="labelled", Key="public", Tagging={"TagSet": [{"Key": "class", "Value": "no"}]})
    assert ask(house, ALICE, "GET", "/labelled/public").status == 403
    with front.watched() as seen:
        assert ask(house, ALICE, "PUT", "/labelled/public", b"y").status == 200
    assert len(seen) == 1  # nobody asks about tags of what is written


def test_a_policy_in_report_mode_decides_nothing_and_is_written_down(house: Walk) -> None:
    answer = ask(house, ALICE, "PUT", "/reported/upload", b"x")
    assert answer.status == 200
    decision = house.decision(answer)
    assert decision["decision"] == "allow"
    [reported] = decision["reported"]
    assert (reported["decision"], [each["sid"] for each in reported["statements"]]) == ("explicit_deny", ["WouldDeny"])
    answer = ask(house, BOB, "GET", "/reported/object")
    assert answer.status == 403
    decision = house.decision(answer)
    assert decision["decision"] == "implicit_deny"
    assert [each["decision"] for each in decision["reported"]] == ["allow"]


def test_in_an_account_either_policy_is_enough_and_across_accounts_both_are_needed(house: Walk) -> None:
    # Same account: the bucket's policy alone lets bob, the identity's alone lets alice.
    assert ask(house, BOB, "GET", "/shared/object").status == 200
    assert ask(house, ALICE, "GET", "/shared/object").status == 200
    assert ask(house, BOB, "GET", "/plain/object").status == 403
    # Another account: mallory's own policy allows everything, only one bucket agrees.
    assert ask(house, MALLORY, "GET", "/shared/object").status == 200
    answer = ask(house, MALLORY, "GET", "/plain/object")
    assert (answer.status, answer.element("Message")) == (403, "Access Denied")
    assert house.decision(answer)["decision"] == "implicit_deny"
    # A grant to the account leaves it to the account whom to let.
    assert ask(house, ALICE, "GET", "/foreign/object").status == 200
    assert ask(house, BOB, "GET", "/foreign/object").status == 403
    # The owner of the bucket needs no grant.
    assert ask(house, MALLORY, "GET", "/foreign/object").status == 200


def test_who_may_not_list_does_not_learn_what_is_missing(house: Walk, front: Front) -> None:
    for method in ("GET", "HEAD"):
        hidden = ask(house, READER, method, "/plain/missing")
        assert hidden.status == 403
        assert house.decision(hidden)["error"] == "AccessDenied"
        assert ask(house, READER, method, "/seen-one/missing").status == 404
        assert ask(house, ALICE, method, "/plain/missing").status == 404
    assert ask(house, READER, "GET", "/plain/missing").code == "AccessDenied"
    assert ask(house, READER, "GET", "/seen-one/missing").code == "NoSuchKey"
    assert ask(house, READER, "GET", "/plain/object").status == 200


def test_nobody_relabels_what_is_public(walk: Walk, front: Front) -> None:
    wire = Wire("GET", "/public/an%20object", (("response-content-type", "text/html"),))
    with front.watched() as seen:
        answer = walk.send(wire)
    assert (answer.status, answer.code, seen) == (400, "InvalidRequest", [])
    assert walk.send(sign_v4(wire, ALICE, walk.host)).status == 200
    assert walk.send(presign_v4(wire, ALICE, walk.host)).status == 200


def test_the_keys_of_the_proxy_itself_are_nobodys(house: Walk, front: Front) -> None:
    with front.watched() as seen:
        for method, path in (
            ("GET", "/plain/.s3w/mpu/x/ctx"),
            ("PUT", "/plain/.s3w/x"),
            ("DELETE", "/plain/.s3w/mpu/x/ctx"),
            ("POST", "/plain/.s3w/x?uploads"),
        ):
            wire = Wire(method, path.partition("?")[0], (("uploads", ""),) if "?" in path else ())
            answer = house.send(sign_v4(wire, ALICE, house.host))
            assert (answer.status, answer.code) == (403, "AccessDenied"), path
        copy = ask(house, ALICE, "PUT", "/plain/copy", x_amz_copy_source="/plain/.s3w/mpu/x/ctx")
        assert copy.status == 403
        copy = ask(house, ALICE, "PUT", "/plain/.s3w/copy", x_amz_copy_source="/plain/object")
        assert copy.status == 403
    assert seen == []


def test_a_batch_delete_cannot_reach_the_keys_of_the_proxy(house: Walk, front: Front) -> None:
    body = b"<Delete><Object><Key>.s3w/mpu/x/ctx</Key></Object><Object><Key>object</Key></Object></Delete>"
    with front.watched() as seen:
        answer = house.send(sign_v4(Wire("POST", "/plain", (("delete", ""),), (), body), ALICE, house.host))
    assert b".s3w" not in b"".join(bytes(each.body) for each in seen)
    assert answer.code == "AccessDenied" or "AccessDenied" in answer.texts("Code")


def test_bucket_policies_are_kept_here_and_not_on_the_store(house: Walk, front: Front) -> None:
    for method in ("GET", "PUT", "DELETE"):
        body = b"{}" if method == "PUT" else b""
        with front.watched() as seen:
            answer = house.send(sign_v4(Wire(method, "/plain", (("policy", ""),), (), body), ALICE, house.host))
        assert (answer.status, answer.code, seen) == (403, "AccessDenied", [])
        assert "files on this proxy" in answer.element("Message")


def test_a_bucket_may_be_the_name_of_the_host(house: Walk, front: Front) -> None:
    port = house.host.rpartition(":")[2]
    host = f"plain.s3.example.test:{port}"
    with front.watched() as seen:
        answer = house.send(sign_v4(Wire("GET", "/object"), ALICE, host))
    assert (answer.body, seen[0].target) == (b"stored before", "/plain/object")
    assert house.decision(answer)["resources"] == ["arn:aws:s3:::plain/object"]
    listing = house.send(sign_v4(Wire("GET", "/", (("list-type", "2"),)), ALICE, host))
    assert "object" in listing.texts("Key")
    assert house.send(sign_v4(Wire("GET", "/"), ALICE, f"s3.example.test:{port}")).texts("Name")
    denied = house.send(sign_v4(Wire("GET", "/object"), BOB, host))
    assert denied.status == 403


def test_an_identity_may_have_credentials_of_its_own_on_the_store(house: Walk, front: Front) -> None:
    with front.watched() as seen:
        ask(house, OWN_KEY, "GET", "/plain/object")
        ask(house, ALICE, "GET", "/plain/object")
    own, shared = (each.headers["authorization"] for each in seen)
    assert "Credential=AKIAOWNUPSTREAM/" in own
    assert "AKIAOWNUPSTREAM" not in shared


def test_nothing_of_the_clients_signature_goes_on(house: Walk, front: Front) -> None:
    wire = Wire("GET", "/plain/object")
    with front.watched() as seen:
        house.send(presign_v4(wire, ALICE, house.host))
        ask(house, ALICE, "GET", "/plain/object", Cookie="a=b", X_Forwarded_For="1.2.3.4", Amz_Sdk_Request="attempt=1")
    for each in seen:
        assert each.target == "/plain/object"
        assert "AKIAALICE" not in str(each.headers)
        assert not {"cookie", "x-forwarded-for", "amz-sdk-request"} & set(each.headers)


def test_a_store_that_does_not_know_us_is_no_matter_for_clients(
    rclone_store: Store, rclone_front: Front, tmp_path: Path
) -> None:
    wrong = {"upstream": {"credentials": {"access_key_id": rclone_store.access_key_id, "secret_access_key": "wrong"}}}
    with walking(tmp_path, rclone_store, endpoint=rclone_front.endpoint, **wrong) as running:
        for wire in (Wire("GET", "/plain/object"), Wire("PUT", "/plain/upload", body=b"x"), Wire("GET", "/")):
            answer = running.send(sign_v4(wire, ALICE, running.host))
            assert (answer.status, answer.code) == (503, "ServiceUnavailable")
            assert rclone_store.access_key_id.encode() not in answer.body
            assert b"wrong" not in answer.body
            decision = running.decision(answer)
            assert "SignatureDoesNotMatch" in decision["detail"]
            assert decision["decision"] == "allow"
        # The answer to a HEAD has no body that could say why.
        answer = running.send(sign_v4(Wire("HEAD", "/plain/object"), ALICE, running.host))
        assert answer.status == 403
        assert "check credentials" in running.decision(answer)["detail"]
        with pytest.raises(ClientError) as caught:
            running.client().get_object(Bucket="plain", Key="object")
        assert rclone_store.access_key_id not in str(caught.value.response)


def test_a_store_that_is_not_there_is_a_service_unavailable(moto_store: Store, tmp_path: Path) -> None:
    with walking(tmp_path, moto_store, endpoint="http://127.0.0.1:1") as running:
        answer = ask(running, ALICE, "GET", "/plain/object")
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "ServiceUnavailable", "1")
    assert b"127.0.0.1" not in answer.body


def test_policies_of_the_store_can_be_left_to_clients(moto_store: Store, moto_front: Front, tmp_path: Path) -> None:
    make_bucket(store_client(moto_store), "with-policy")
    with walking(tmp_path, moto_store, endpoint=moto_front.endpoint, bucket_policy_api="forward") as running:
        s3 = running.client()
        document = '{"Version": "2012-10-17", "Statement": []}'
        s3.put_bucket_policy(Bucket="with-policy", Policy=document)
        assert s3.get_bucket_policy(Bucket="with-policy")["Policy"] == document
        s3.delete_bucket_policy(Bucket="with-policy")


def test_somebody_may_upload_without_reading(moto_store: Store, moto_front: Front, tmp_path: Path) -> None:
    make_bucket(store_client(moto_store), "inbox")
    people = [identity("user/alice", ALICE, "write.yaml")]
    policies = {"write": allow("s3:PutObject", resource="arn:aws:s3:::inbox/${aws:username}/*")}
    options: dict[str, Any] = {"identities": people, "policies": policies}
    with walking(tmp_path, moto_store, endpoint=moto_front.endpoint, **options) as running:
        assert ask(running, ALICE, "PUT", "/inbox/alice/x", b"x").status == 200
        assert ask(running, ALICE, "PUT", "/inbox/bob/x", b"x").status == 403
        assert ask(running, ALICE, "GET", "/inbox/alice/x").status == 403


def test_headers_in_the_query_of_a_link_are_judged_and_sent_as_headers(house: Walk, front: Front) -> None:
    query = (("x-amz-server-side-encryption", "AES256"), ("x-amz-meta-a", "1"), ("Content-Type", "text/x"))
    with front.watched() as seen:
        found = house.send(presign_v4(Wire("PUT", "/remedied/linked", query), ALICE, house.host).with_(body=b"x"))
    assert found.status == 200
    [sent] = seen
    assert sent.target == "/remedied/linked"
    assert sent.headers["x-amz-server-side-encryption"] == "AES256"
    assert (sent.headers["x-amz-meta-a"], sent.headers["content-type"]) == ("1", "text/x")
    query = (("x-amz-server-side-encryption", "aws:kms"),)
    with front.watched() as seen:
        found = house.send(presign_v4(Wire("PUT", "/remedied/linked", query), ALICE, house.host).with_(body=b"x"))
    assert (found.status, seen) == (403, [])
    query = (("x-amz-acl", "private"),)
    with front.watched() as seen:
        found = house.send(presign_v4(Wire("PUT", "/plain/linked", query), READER, house.host).with_(body=b"x"))
    assert (found.status, seen) == (403, [])
    assert house.decision(found)["actions"] == ["s3:PutObject", "s3:PutObjectAcl"]


@pytest.mark.parametrize("fields_of", [form_fields_v4, form_fields_v2])
def test_fields_of_a_form_are_judged_and_sent_as_headers(
    house: Walk, front: Front, direct: Any, fields_of: Callable[..., list[tuple[str, str]]]
) -> None:
    def upload(*fields: tuple[str, str], bucket: str = "remedied") -> tuple[Answer, list[Seen]]:
        body, kind = multipart(fields_of(bucket, "forms/file.txt", ALICE, *fields), b"from a form")
        with front.watched() as seen:
            found = house.send(Wire("POST", f"/{bucket}", (), (("Content-Type", kind),), body))
        return found, seen

    found, seen = upload(
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-meta-who", "grüße"),
        ("Content-Type", "text/x"),
        ("success_action_redirect", "https://app.example/done?a=b"),
    )
    assert found.status == 303
    location = found.headers["Location"]
    assert location.startswith("https://app.example/done?a=b&bucket=remedied&key=forms%2Ffile.txt&etag=")
    [sent] = seen
    assert (sent.method, sent.path, bytes(sent.body)) == ("PUT", "/remedied/forms/file.txt", b"from a form")
    assert sent.headers["x-amz-server-side-encryption"] == "AES256"
    assert sent.headers["x-amz-meta-who"].encode("latin-1").decode() == "grüße"
    assert not {"policy", "x-amz-signature", "awsaccesskeyid", "key"} & set(sent.headers)
    assert direct.get_object(Bucket="remedied", Key="forms/file.txt")["ContentType"] == "text/x"
    denied, seen = upload(("x-amz-server-side-encryption", "aws:kms"))
    assert (denied.status, denied.code, seen) == (403, "AccessDenied", [])
    assert [each["sid"] for each in house.decision(denied)["statements"]] == ["Encrypted"]
    # The bucket's rules complete forms, too.
    remedied, seen = upload(("acl", "public-read"))
    assert remedied.status == 204
    assert seen[0].headers["x-amz-server-side-encryption"] == "AES256"
    assert "x-amz-acl" not in seen[0].headers
    kept, seen = upload(("acl", "private"), bucket="plain")
    assert (kept.status, seen[0].headers["x-amz-acl"]) == (204, "private")
    assert house.decision(kept)["actions"] == ["s3:PutObject", "s3:PutObjectAcl"]


def test_a_policy_written_for_one_way_to_spell_a_name_holds_for_all(house: Walk, front: Front) -> None:
    for path in ("/plain/%6Fbject", "/plain/obj%65ct", "/plain/object?x-id=GetObject"):
        bare, _, query = path.partition("?")
        wire = Wire("GET", bare, (("x-id", "GetObject"),) if query else ())
        with front.watched() as seen:
            found = house.send(sign_v4(wire, ALICE, house.host))
        assert (found.body, seen[0].target) == (b"stored before", "/plain/object")
        assert house.decision(found)["resources"] == ["arn:aws:s3:::plain/object"]


@pytest.mark.parametrize(
    "query",
    [
        (("acl", ""), ("tagging", "")),
        (("versionId", "1"), ("versionId", "2")),
        (("unheard-of", ""),),
        (("uploadId", ""),),
        (("acl", "x"),),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(
    house: Walk, front: Front, query: tuple[tuple[str, str], ...]
) -> None:
    with front.watched() as seen:
        found = house.send(sign_v4(Wire("GET", "/plain/object", query), ALICE, house.host))
    assert found.status in (400, 501)
    assert seen == []


def test_a_header_that_has_one_value_must_not_be_sent_twice(house: Walk, front: Front) -> None:
    wire = Wire("PUT", "/plain/object", (), (("x-amz-acl", "private,public-read"),), b"x")
    signed = sign_v4(wire, ALICE, house.host)
    pairs = [(n, v) for n, v in signed.headers if n != "x-amz-acl"]
    doubled = signed.with_(headers=(*pairs, ("x-amz-acl", "private"), ("x-amz-acl", "public-read")))
    with front.watched() as seen:
        found = house.send(doubled)
    assert (found.status, seen) == (400, [])
