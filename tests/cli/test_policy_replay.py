"""`policy replay`: which logged requests would change, for whom, and what no log can tell."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cli.main import main
from proxy.policy.logs import Logged, Skipped, read_log
from proxy.policy.written import Direct, Http
from proxy.server.audit import DecidingStatement, DecisionRecord, HeaderChange, serialise

ALICE = "arn:aws:iam::123456789012:user/alice"
OWNER = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
TLS = """\
Version: "2012-10-17"
Statement:
  - Sid: Tls
    Effect: Deny
    Principal: "*"
    Action: "s3:*"
    Resource: [arn:aws:s3:::hr-data, "arn:aws:s3:::hr-data/*"]
    Condition: {Bool: {aws:SecureTransport: "false"}}
"""
OFFICE = TLS.replace('Bool: {aws:SecureTransport: "false"}', "NotIpAddress: {aws:SourceIp: 10.0.0.0/8}").replace(
    "Tls", "Office"
)
SSE = (
    TLS.replace('Bool: {aws:SecureTransport: "false"}', '"Null": {s3:x-amz-server-side-encryption: "true"}')
    .replace('"s3:*"', "s3:PutObject")
    .replace("arn:aws:s3:::hr-data, ", "")
)
PUBLIC = """\
Version: "2012-10-17"
Statement: [{Sid: Public, Effect: Allow, Principal: "*", Action: s3:GetObject, Resource: "arn:aws:s3:::hr-data/*"}]
"""


def record(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "time": 1_795_000_000.0,
        "request_id": "R",
        "client": "192.0.2.7",
        "principal": ALICE,
        "access_key_id": "AKIA",
        "operation": "PutObject",
        "actions": ("s3:PutObject",),
        "resources": ("arn:aws:s3:::hr-data/a b",),
        "decision": "allow",
        "statements": (DecidingStatement("S", "identity", "p.yaml:1"),),
        "policy_revision": "r",
        "status": 200,
        "error": None,
        "bytes_in": 0,
        "bytes_out": 0,
        "duration": 0.1,
        "first_byte": None,
    }
    return serialise(DecisionRecord(**fields | changes))


def access(
    request: str = "PUT /hr-data/a%20b HTTP/1.1",
    status: str = "200",
    error: str = "-",
    tls: str = "TLSv1.3",
    **more: str,
) -> str:
    requester, operation = more.get("requester", ALICE), more.get("operation", "REST.PUT.OBJECT")
    signed = "SigV4 TLS_AES_128_GCM_SHA256 AuthHeader" if requester != "-" else "- - -"
    return (
        f"{OWNER} hr-data [18/Nov/2026:11:06:40 +0000] 192.0.2.7 {requester} 3E57427F3EXAMPLE {operation} "
        f'a%2520b "{request}" '
        f'{status} {error} - 113 7 6 "-" "aws-cli/2 \\"x\\"" {more.get("version", "-")} hostid= {signed} '
        f"{more.get('host', 's3.eu-central-1.amazonaws.com')} {tls} - -\n"
    )


def event(name: str = "PutObject", **changes: Any) -> dict[str, Any]:
    return {
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "eventTime": "2026-11-18T11:06:40Z",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "[aws-cli/2]",
        "userIdentity": {"type": "IAMUser", "arn": ALICE, "accountId": "123456789012"},
        "requestParameters": {"bucketName": "hr-data", "key": "a b", "Host": "hr-data.s3.amazonaws.com"},
        "additionalEventData": {"SignatureVersion": "SigV4", "AuthenticationMethod": "AuthHeader"},
        "tlsDetails": {"tlsVersion": "TLSv1.3"},
        **changes,
    }


LOGS = {"decisions": record(), "access": access(), "cloudtrail": json.dumps(event())}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def replay(log: str, policy: str, *arguments: str) -> int:
    Path("log").write_text(log)
    Path("new.yaml").write_text(policy)
    return main(["policy", "replay", "log", "--policies", "new.yaml", *arguments])


def verdicts(log: str, policy: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, int]:
    replay(log, policy, *arguments, "--output", "json")
    counts = json.loads(capsys.readouterr().out)["verdicts"]
    return {name: number for name, number in counts.items() if number}


@pytest.mark.parametrize("log", LOGS)
def test_every_kind_of_log_tells_who_would_lose_access(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(LOGS[log], OFFICE) == 1
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("1 "))
    assert row.split() == [
        "1",
        "would",
        "be",
        "denied",
        ALICE,
        "s3:PutObject",
        "Office",
        "arn:aws:s3:::hr-data/a",
        "b",
        "log:1",
    ]
    assert "checked 1 policy, 1 statement, 1 request: 0 unchanged, 1 would be denied" in out
    assert replay(LOGS[log], OFFICE, "--allow-less") == 0
    assert replay(LOGS[log], OFFICE.replace("10.0.0.0/8", "192.0.2.0/24")) == 0


@pytest.mark.parametrize("log", LOGS)
def test_nothing_is_claimed_where_the_verdict_hangs_on_a_key_that_is_not_in_the_log(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(LOGS[log], SSE) == 0
    out = capsys.readouterr().out
    assert "1 cannot be told" in out
    assert "  1  s3:x-amz-server-side-encryption" in out


def test_a_key_that_one_log_has_and_another_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdicts(LOGS["decisions"], TLS, capsys) == {"unknown": 1}
    assert verdicts(access(tls="-"), TLS, capsys) == {"loses": 1}
    assert verdicts(LOGS["access"], TLS, capsys) == {"same": 1}
    assert verdicts(LOGS["cloudtrail"], TLS, capsys) == {"same": 1}
    assert verdicts(json.dumps(event(tlsDetails={})), TLS, capsys) == {"unknown": 1}
    default = event(additionalEventData={"SSEApplied": "Default_SSE_S3"})
    assert verdicts(json.dumps(default), SSE, capsys) == {"loses": 1}
    named = event(requestParameters={"bucketName": "hr-data", "key": "k", "x-amz-server-side-encryption": "AES256"})
    assert verdicts(json.dumps(named), SSE, capsys) == {"same": 1}
    changed = record(header_changes=(HeaderChange("x-amz-server-side-encryption", None, "AES256"),))
    assert verdicts(changed, SSE, capsys) == {"same": 1}


def test_keys_that_an_action_never_carries_are_known_to_be_absent(capsys: pytest.CaptureFixture[str]) -> None:
    read = record(operation="GetObject", actions=("s3:GetObject",))
    assert verdicts(read, SSE.replace("s3:PutObject", "s3:*"), capsys) == {"loses": 1}


def test_who_was_denied_may_gain_and_identity_policies_make_it_certain(capsys: pytest.CaptureFixture[str]) -> None:
    nobody = record(
        principal=None, operation="GetObject", actions=("s3:GetObject",), decision="implicit_deny", status=403
    )
    assert verdicts(nobody, PUBLIC, capsys) == {"gains": 1}
    assert replay(nobody, PUBLIC, "--allow-more") == 0
    capsys.readouterr()
    denied = record(decision="implicit_deny", status=403)
    assert verdicts(denied, PUBLIC, capsys) == {"unknown": 1}
    Path("alice.yaml").write_text('Statement: {Effect: Allow, Action: "s3:Get*", Resource: "*"}')
    assert verdicts(denied, PUBLIC, capsys, "--identity", "alice.yaml") == {"same": 1}
    assert verdicts(record(), PUBLIC, capsys, "--identity", f"{ALICE}=alice.yaml") == {"loses": 1}
    assert verdicts(record(), PUBLIC, capsys, "--identity", "arn:aws:iam::*:user/bob=alice.yaml") == {"same": 1}


def test_lines_that_hold_no_decision_are_counted_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        record(decision="none", actions=(), resources=()),
        access(status="403", error="SignatureDoesNotMatch"),
        access(status="503", error="SlowDown"),
        access(requester=OWNER),
        access(operation="S3.EXPIRE.OBJECT"),
        access(request="POST /hr-data?delete HTTP/1.1", operation="REST.POST.MULTI_OBJECT_DELETE"),
        json.dumps(event("DeleteObjects")) + "\n",
        json.dumps(event("Frobnicate")) + "\n",
        json.dumps(event(errorCode="InvalidAccessKeyId")) + "\n",
        json.dumps(event(eventSource="ec2.amazonaws.com")) + "\n",
        "nonsense\n",
        "{}\n",
        "{\n",
    ]
    assert replay("".join(lines), TLS) == 3
    out = capsys.readouterr().out
    assert "nothing was checked" in out or "0 requests" in out
    for reason in ("no policy was asked", "by canonical id only", "not a request of a client", "not an event of S3"):
        assert reason in out
    assert "skipped 3: not a line of a log that is known here" in out


def test_cloudtrail_files_are_read_packed_and_laid_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "trail"
    folder.mkdir()
    data = json.dumps({"Records": [event(), event("GetObject")]})
    (folder / "a.json.gz").write_bytes(gzip.compress(data.encode()))
    (folder / "b.json").write_text(json.dumps({"Records": [event()]}, indent=2))
    Path("new.yaml").write_text(OFFICE)
    assert main(["policy", "replay", "trail", "--policies", "new.yaml", "--output", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdicts"]["loses"] == 3


def only(line: str) -> Logged:
    (found,) = read_log([line], "log")
    assert isinstance(found, Logged), found
    return found


def test_access_logs_of_virtual_hosts_and_batch_deletes_name_the_same_objects() -> None:
    virtual = only(access("GET /a%20b?versionId=1 HTTP/1.1", host="hr-data.s3.eu-central-1.amazonaws.com"))
    what = virtual.requests[0].what
    assert isinstance(what, Http)
    assert (what.method, what.target) == ("GET", "/hr-data/a%20b?versionId=1")
    batch = only(access("-", operation="BATCH.DELETE.OBJECT", version="v1"))
    assert batch.requests[0].what == Direct("s3:DeleteObjectVersion", "arn:aws:s3:::hr-data/a b")
    assert only(access(requester="-")).requests[0].principal is None


def test_a_copy_asks_for_its_source_as_well() -> None:
    parameters = {"bucketName": "hr-data", "key": "k", "x-amz-copy-source": "/other/o", "x-amz-acl": "private"}
    copied = only(json.dumps(event("CopyObject", requestParameters=parameters)))
    assert [written.what for written in copied.requests] == [
        Direct("s3:PutObject", "arn:aws:s3:::hr-data/k"),
        Direct("s3:PutObjectAcl", "arn:aws:s3:::hr-data/k"),
        Direct("s3:GetObject", "arn:aws:s3:::other/o"),
    ]
    logged = only(
        record(
            operation="CopyObject",
            actions=("s3:PutObject", "s3:GetObject"),
            resources=("arn:aws:s3:::hr-data/k", "arn:aws:s3:::other/o"),
        )
    )
    assert [written.what for written in logged.requests] == [
        Direct("s3:PutObject", "arn:aws:s3:::hr-data/k"),
        Direct("s3:GetObject", "arn:aws:s3:::other/o"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["gone", "--policies", "new.yaml"],
        ["log", "--policies", "gone"],
        ["log", "--policies", "new.yaml", "--identity", "gone"],
    ],
)
def test_what_cannot_be_read_is_exit_code_2(arguments: list[str]) -> None:
    Path("log").write_text(record())
    Path("new.yaml").write_text(TLS)
    assert main(["policy", "replay", *arguments]) == 2


def test_a_log_that_cannot_be_unpacked_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    Path("log").write_bytes(b"\x1f\x8bnonsense")
    Path("new.yaml").write_text(TLS)
    assert main(["policy", "replay", "log", "--policies", "new.yaml"]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["PutObject", "allow", "hr-data"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["key", "arn", "bucketName", "Records"]), inner)
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted({*event(), *json.loads(record()), "Records", "errorCode"})), VALUES),
    st.sampled_from([event(), json.loads(record()), {}]),
    st.text(max_size=30),
)
def test_whatever_a_log_holds_it_is_read_or_skipped(changes: dict[str, Any], base: dict[str, Any], text: str) -> None:
    whole = json.dumps({**base, **changes})
    line = access()
    lines = [whole, whole[: len(whole) // 2], text, line[: len(text) * 10] + text + line[len(text) * 10 :]]
    assert all(isinstance(entry, Logged | Skipped) for entry in read_log(lines, "log"))
