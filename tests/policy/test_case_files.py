"""Test files are read whole or refused with every mistake at its place, and say what editors' schema says."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.case_files import ENDINGS, load_cases, parse_cases, test_files
from proxy.policy.cases import EXPECTATIONS
from proxy.policy.written import Direct, Http
from proxy.policy.written_file import Shelf
from proxy.schemas import load_schema

ROOT = Path(__file__).parents[2]
POLICY = """\
Version: "2012-10-17"
Statement: [{Sid: A, Effect: Allow, Principal: "*", Action: "s3:*", Resource: ["arn:aws:s3:::b/*"]}]
"""
ONE = "{action: s3:GetObject, resource: 'arn:aws:s3:::b/k', principal: anonymous, expect: allow}"

test_files.__test__ = False  # type: ignore[attr-defined]  # a function of the product, not a test


def place(folder: Path, tests: str, name: str = "b.test.yaml") -> Path:
    (folder / "b.yaml").write_text(POLICY)
    (folder / name).write_text(tests)
    return folder / name


def mistakes(folder: Path, tests: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_cases([place(folder, tests)])
    return str(caught.value)


def test_a_question_and_http_are_read_with_the_defaults(tmp_path: Path) -> None:
    text = f"""\
defaults:
  principal: arn:aws:iam::123456789012:user/alice
  resource_account: "210987654321"
  context: {{aws:SecureTransport: true, aws:SourceIp: 10.0.0.1}}
tests:
  - action: s3:GetObject
    resource: arn:aws:s3:::b/k
    context: {{aws:SourceIp: null, aws:TagKeys: [a, b]}}
    expect: deny
  - name: raw
    principal: anonymous
    http: {{method: PUT, path: /b/k?tagging, headers: {{X-Amz-ACL: private}}, tls: none, source_ip: 10.9.9.9}}
    expect: refused
    sid: A
  - {ONE}
"""
    first, second, third = load_cases([place(tmp_path, text)])[0].cases
    assert first.written.what == Direct("s3:GetObject", "arn:aws:s3:::b/k")
    assert first.written.principal == "arn:aws:iam::123456789012:user/alice"
    assert first.written.resource_account == "210987654321"
    assert first.written.context == {"aws:securetransport": "true", "aws:tagkeys": ("a", "b")}
    assert first.name == "s3:GetObject on arn:aws:s3:::b/k by arn:aws:iam::123456789012:user/alice"
    http = Http("PUT", "/b/k?tagging", (("X-Amz-ACL", "private"),), tls=None, source_ip="10.9.9.9")
    assert (second.name, second.written.what, second.expect, second.sid) == ("raw", http, "refused", "A")
    assert second.span.line == 10
    assert third.written.principal is None


def test_the_policy_of_the_same_name_is_tested_unless_others_are_named(tmp_path: Path) -> None:
    beside = load_cases([place(tmp_path, f"tests: [{ONE}]")])[0]
    assert [Path(policy.file).name for policy in beside.tested] == ["b.yaml"]
    (tmp_path / "c.json").write_text('{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}')
    named = load_cases([place(tmp_path, f"policies: [b.yaml, c.json]\ntests: [{ONE}]", "x.test.yaml")])[0]
    assert [(Path(policy.file).name, policy.kind) for policy in named.tested] == [
        ("b.yaml", "bucket"),
        ("c.json", "identity"),
    ]


def test_identity_policies_are_paths_or_written_out_and_a_test_can_have_its_own(tmp_path: Path) -> None:
    (tmp_path / "i.yaml").write_text("Statement: [{Effect: Allow, Action: 's3:*', Resource: '*'}]")
    text = """\
identity_policies: [i.yaml, {Statement: [{Effect: Deny, Action: "s3:Put*", Resource: "*"}]}]
tests:
  - {action: s3:GetObject, resource: "arn:aws:s3:::b/k", principal: x, expect: allow}
  - {action: s3:GetObject, resource: "arn:aws:s3:::b/k", principal: x, expect: allow, identity_policies: []}
"""
    first, second = load_cases([place(tmp_path, text)])[0].cases
    assert [len(policy.statements) for policy in first.policies.identity.files] == [1, 1]
    assert second.policies.identity.files == ()


def test_test_files_are_found_in_folders_and_beside_policies(tmp_path: Path) -> None:
    for name in ("a.test.yaml", "sub/b.test.json", ".hidden/c.test.yaml", "d.yaml", "a.yaml", "e.test.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [f.relative_to(tmp_path).as_posix() for f in test_files(tmp_path)] == ["a.test.yaml", "sub/b.test.json"]
    assert test_files(tmp_path / "a.yaml") == [tmp_path / "a.test.yaml"]
    assert test_files(tmp_path / "d.yaml") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", "b.test.yaml:1:1: error bad-test a test file is a mapping"),
        ("test: []", "1:1: error bad-test unknown key `test`"),
        ("{}", "there is no list of `tests`"),
        ("tests: {}", "1:8: error bad-test there is no list of `tests`"),
        ("tests: [x]", "1:9: error bad-test a test is a mapping"),
        ("tests: [{}]", "the test asks for nothing"),
        (f"tests: [{ONE.replace('allow', 'yes')}]", "`yes` is no expectation"),
        (f"tests: [{ONE.replace('expect: allow', 'sid: A')}]", "the test has no `expect`"),
        (f"tests: [{ONE.replace('principal: anonymous, ', '')}]", "the test has no `principal`"),
        (f"tests: [{ONE.replace('GetObject', 'GetObjct')}]", "did you mean `s3:GetObject`?"),
        (f"tests: [{ONE.replace('arn:aws:s3:::b/k', 'b/k')}]", "`b/k` is not an ARN"),
        (f"tests: [{ONE.replace('expect', 'http: {}, expect')}]", "`action` beside `http`"),
        ("tests: [{http: {method: GET}, principal: x, expect: allow}]", "`http` needs a `method` and a `path`"),
        ("tests: [{http: {method: GET, path: /, tls: 2}, principal: x, expect: allow}]", "`2` is no version of TLS"),
        ("tests: [{http: {method: GET, path: /, headers: {a: [b]}}, principal: x, expect: deny}]", "`a` is not a text"),
        ("defaults: {context: {aws:SourceIpp: x}}\ntests: []", "did you mean `aws:SourceIp`?"),
        ("defaults: {context: {aws:SourceIp: x, AWS:sourceip: y}}\ntests: []", "is given twice"),
        ("defaults: {context: {aws:SourceIp: {a: b}}}\ntests: []", "neither a text nor a list of texts"),
        ("policies: [nowhere.yaml]\ntests: []", "cannot read"),
        ("policies: [[a]]\ntests: []", "a policy is named by its path"),
        ("identity_policies: [[]]\ntests: []", "neither a path nor a policy"),
        ("identity_policies: {Statement: [{Effect: Alow}]}\ntests: []", "1:42: error bad-effect"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_remedy(tmp_path: Path, text: str, wanted: str) -> None:
    assert wanted in mistakes(tmp_path, text)


def test_a_test_file_without_a_policy_beside_says_so(tmp_path: Path) -> None:
    (tmp_path / "lonely.test.yaml").write_text(f"tests: [{ONE}]")
    with pytest.raises(ConfigError, match=r"there is no policy `lonely\.yaml` beside this file"):
        load_cases([tmp_path / "lonely.test.yaml"])


def test_all_files_mistakes_are_told_at_once(tmp_path: Path) -> None:
    place(tmp_path, "tests: [x]")
    place(tmp_path, "policies: b.yaml\ntests: [y]", "c.test.yaml")
    with pytest.raises(ConfigError) as caught:
        load_cases([tmp_path])
    assert {Path(each.span.file).name for each in caught.value.diagnostics} == {"b.test.yaml", "c.test.yaml"}


SCHEMA: Any = load_schema("test")
SHIPPED = sorted(file for end in ENDINGS for file in (ROOT / "policies").rglob(f"*{end}"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_tests_that_ship_are_right_in_an_editor_too(path: Path) -> None:
    assert list(Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(path.read_text()))) == []
    assert path.read_text().startswith("# yaml-language-server: $schema=../../proxy/schemas/test.schema.json\n")


def test_the_schema_knows_the_same_words() -> None:
    assert tuple(SCHEMA["definitions"]["test"]["properties"]["expect"]["enum"]) == EXPECTATIONS


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.one_of(
            st.text(st.characters(exclude_characters="/."), max_size=8),
            st.sampled_from(["s3:GetObject", "anonymous", "allow", "arn:aws:s3:::b/k"]),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "tests",
                        "defaults",
                        "context",
                        "http",
                        "method",
                        "path",
                        "headers",
                        "policies",
                        "expect",
                        "action",
                        "resource",
                        "principal",
                        "identity_policies",
                        "Statement",
                        "aws:SourceIp",
                        "tls",
                        "name",
                    ]
                ),
                inner,
                max_size=6,
            ),
        ),
        max_leaves=20,
    )
)
def test_whatever_a_test_file_says_it_is_read_or_refused(tmp_path: Path, data: object) -> None:
    (tmp_path / "f.yaml").write_text(POLICY)
    text = yaml.safe_dump(data, allow_unicode=True)
    with suppress(ConfigError):
        parse_cases(yamldoc.parse(text, str(tmp_path / "f.test.yaml")), Shelf())
