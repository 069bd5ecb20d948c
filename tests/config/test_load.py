"""The configuration loads as written, and every mistake is named with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, Secret, load_config
from proxy.errors import ConfigError

MINIMAL = """\
upstream:
  endpoint: http://127.0.0.1:5000
  credentials: {access_key_id: AKIAUP, secret_access_key: "${env:UP_SECRET}"}
owner: "123456789012"
"""
ENVIRON = {"UP_SECRET": "up-secret-value", "ALICE": "alice-secret-value"}


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load_config(path, ENVIRON if environ is None else environ)


def refusal(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environ)
    return str(caught.value).replace(f"{folder}/", "")


def with_identity(lines: str) -> str:
    return MINIMAL + "identities:\n  - arn: arn:aws:iam::123456789012:user/alice\n" + lines


def test_the_smallest_configuration_takes_every_default(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert (config.listen.host, config.listen.port, config.listen.tls) == ("127.0.0.1", 9000, None)
    assert config.admin is not None
    assert config.admin.port == 9001
    assert config.limits.in_flight == 512
    assert config.auth.sigv2 is True
    assert config.upstream.credentials is not None
    assert config.upstream.credentials.secret.reveal() == "up-secret-value"
    assert (config.upstream.payload, config.bucket_policy_api) == ("checksums", "refuse")
    assert config.bucket("any").owner == "123456789012"
    assert config.decision_log is not None
    assert config.decision_log.path is None
    assert config.warnings == ()


def test_every_section_arrives_typed(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem", "ca.pem", "p.yaml"):
        (tmp_path / name).write_text("x")
    config = load(
        tmp_path,
        """\
listen: {host: 0.0.0.0, port: 9443, domains: [S3.Example.test], workers: 2, tls: {cert: cert.pem, key: key.pem}}
admin: {host: 0.0.0.0, port: 9444, token: "${env:ALICE}"}
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
limits: {in_flight: 7, header_bytes: 9000, xml_bytes: 70000, idle_seconds: 1.5}
auth: {sigv2: false, strict_region: yes-is-not-a-boolean}
""".replace("yes-is-not-a-boolean", "true")
        + """\
upstream:
  endpoint: https://s3.example/
  region: eu-central-1
  addressing: virtual
  credentials: {access_key_id: AKIAUP, secret_access_key: "${env:UP_SECRET}", session_token: tok}
  tls: {ca: ca.pem, verify: true}
  payload: unsigned
identities:
  - arn: arn:aws:iam::123456789012:user/alice
    access_keys:
      - {id: AKIAALICE, secret: "${env:ALICE}"}
      - {id: ASIAALICE, secret: "${env:ALICE}", session_token: "${env:ALICE}", expires: 2030-01-31T12:00:00Z}
    policies: [p.yaml]
    tags: {department: hr, level: 7}
    upstream: {access_key_id: AKIAOWN, secret_access_key: "${env:UP_SECRET}"}
policies: [.]
condition_values: {"aws:PrincipalOrgID": o-example, "aws:PrincipalOrgPaths": [o-a/r/1, o-a/r/2]}
kms_aliases: {alias/hr: "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"}
bucket_policy_api: forward
owner: 000012345678
buckets:
  "hr-*": {owner: "210987654321", add_headers: {X-Amz-Acl: private}, remove_headers: [X-Amz-Tagging], tags: {a: 1}}
decision_log: {path: decisions.jsonl}
log: {level: debug, format: json}
""",
    )
    assert config.listen.domains == ("s3.example.test",)
    assert config.listen.tls is not None
    assert config.listen.tls.cert == tmp_path / "cert.pem"
    assert config.listen.tls.min_version == "1.2"
    assert [str(network) for network in config.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert (config.limits.in_flight, config.limits.idle_seconds) == (7, 1.5)
    assert (config.auth.sigv2, config.auth.strict_region) == (False, True)
    assert config.upstream.endpoint == "https://s3.example"
    assert config.upstream.tls.ca == tmp_path / "ca.pem"
    alice = config.identities[0]
    assert alice.principal.user_name == "alice"
    assert alice.access_keys[1].expires == 1896091200.0
    assert alice.tags == {"department": "hr", "level": "7"}
    assert alice.policies == (tmp_path / "p.yaml",)
    assert alice.upstream is not None
    assert alice.upstream.secret == Secret("up-secret-value")
    assert config.condition_values["aws:principalorgid"] == "o-example"
    assert config.condition_values["aws:principalorgpaths"] == ("o-a/r/1", "o-a/r/2")
    assert config.kms_aliases == {"alias/hr": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"}
    hr = config.bucket("hr-data")
    assert (hr.owner, dict(hr.add_headers), hr.remove_headers) == (
        "210987654321",
        {"x-amz-acl": "private"},
        {"x-amz-tagging"},
    )
    assert hr.tags == {"a": "1"}
    assert config.owner == "000012345678", "an unquoted account id keeps its zeros"
    assert config.decision_log is not None
    assert config.decision_log.path == tmp_path / "decisions.jsonl"
    assert (config.log.level, config.log.format) == ("debug", "json")


def test_null_switches_admin_and_decision_log_off(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "admin: null\ndecision_log: ~\n")
    assert config.admin is None
    assert config.decision_log is None


def test_an_unquoted_account_id_works_with_a_warning(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL.replace('"123456789012"', "012345670123"))
    assert config.owner == "012345670123"
    assert [str(w.span.line) + " " + w.help for w in config.warnings] == ['4 put it in quotes: `owner: "012345670123"`']


def test_an_unverified_upstream_works_with_a_warning(tmp_path: Path) -> None:
    text = MINIMAL.replace("http://127.0.0.1:5000", "https://store\n  tls: {verify: false}")
    assert "whoever answers" in load(tmp_path, text).warnings[0].message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lisen: {port: 1}\n", "config.yaml:5:1: error invalid-config unknown key `lisen`"),
        ("lisen: {port: 1}\n", "help: did you mean `listen`?"),
        ("frob: 1\n", "help: known here: admin, audit, auth"),
        ("listen: {port: nine}\n", "config.yaml:5:16: error invalid-config expected a whole number, not `nine`"),
        ("listen: {port: nine}\n", "help: write for example `port: 9000`"),
        ("listen: {port: 9_000}\n", "expected a whole number, not `9_000`"),
        ('listen: {port: "9000"}\n', "expected a whole number, not `9000`"),
        ("listen: {port: 70000}\n", "`70000` is too large: at most 65535"),
        ("listen: {port: 1}\nlimits: {in_flight: 0}\n", "`0` is too small: at least 1"),
        ("listen: 9000\n", "expected a mapping, not `9000`"),
        ("listen: {host: [a]}\n", "expected text, not a list"),
        ("auth: {sigv2: yes}\n", "expected `true` or `false`, not `yes`"),
        ("admin: {host: 0.0.0.0}\n", "config.yaml:5:15: error invalid-config `token` is missing"),
        ("trusted_proxies: [10.0.0.1/8]\n", "`10.0.0.1/8` is not a network in CIDR form"),
        ("trusted_proxies: [10.0.0.0/33]\n", "help: write for example 10.0.0.0/8"),
        ("listen: {tls: {cert: a.pem}}\n", "`key` is missing"),
        ("listen: {tls: {cert: a.pem, key: b.pem}}\n", "cannot read `a.pem`: No such file or directory"),
        ("listen: {tls: {cert: a.pem, key: b.pem, min_version: 1.1}}\n", "`1.1` is not one of `1.2`, `1.3`"),
        ("listen: {domains: [a.test, a.test]}\n", "the same entry is given twice"),
        ("listen: {domains: ['https://a.test']}\n", "`https://a.test` is not a domain name without scheme and port"),
        ("policies: [nowhere]\n", "config.yaml:5:12: error invalid-config there is no file or folder `nowhere`"),
        ("bucket_policy_api: maybe\n", "`maybe` is not one of `refuse`, `forward`"),
        (
            "condition_values: {aws:a: x, AWS:A: y}\n",
            "config.yaml:5:30: error invalid-config the condition key `AWS:A`",
        ),
        ("kms_aliases: {hr: 'arn:aws:kms:r:123456789012:key/a'}\n", "`hr` is not an alias: `alias/` and a name"),
        ("kms_aliases: {alias/hr: 1234abcd}\n", "`1234abcd` is not the ARN of a KMS key"),
        ("buckets: {b: {owner: '12'}}\n", "`12` is not an account id of 12 digits"),
        ("buckets: {b: {owner: '12'}}\n", 'help: write for example `owner: "123456789012"`'),
        ("buckets: {b: {add_headers: {'a b': c}}}\n", "`a b` is not the name of a header field"),
        ("buckets: {b: {add_headers: {Host: c}}}\n", "`Host` is written by the proxy itself"),
        ("buckets: {b: {remove_headers: [Authorization]}}\n", "`Authorization` is written by the proxy itself"),
        ("decision_log: {path: none/log}\n", "there is no folder"),
        ("owner: a\n", "duplicate key `owner`"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(tmp_path: Path, text: str, wanted: str) -> None:
    assert wanted in refusal(tmp_path, MINIMAL + text)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('owner: "123456789012"\n', "", 'write for example `owner: "123456789012"`'),
        ("  endpoint: http://127.0.0.1:5000\n", "", "`endpoint` is missing"),
        ("http://127.0.0.1:5000", "store:9000", "`store:9000` is not an http or https URL"),
        ("http://127.0.0.1:5000", "http://store/path", "is not an http or https URL"),
        ("http://127.0.0.1:5000", "http://store:x", "the endpoint is not the address of a server"),
        ("http://127.0.0.1:5000", "http://u:p@store", "the endpoint must not carry a user name"),
        (', secret_access_key: "${env:UP_SECRET}"', "", "`access_key_id` needs `secret_access_key` beside it"),
        ('access_key_id: AKIAUP, secret_access_key: "${env:UP_SECRET}"', "", "upstream's credentials are missing"),
        ("access_key_id: AKIAUP", "access_key_id: AKIAUP, source: aws", "exclude each other"),
        ("access_key_id: AKIAUP", "access_key_id: a/b", "is not an access key id"),
    ],
)
def test_an_unusable_upstream_is_refused(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    assert wanted in refusal(tmp_path, MINIMAL.replace(old, new))


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("    access_keys: []\n", "must not be empty"),
        (
            "    access_keys: [{id: AKIA, secret: s, expires: 2030-01-01T00:00:00Z}]\n",
            "`expires` needs `session_token`",
        ),
        (
            "    access_keys: [{id: AKIA, secret: s, session_token: t, expires: soon}]\n",
            "`soon` is not a point in time",
        ),
        ("    access_keys: [{id: AKIA, secret: s, session_token: t, expires: 2030-01-01}]\n", "not a point in time"),
        ("    access_keys: [{id: AKIA, secret: s}, {id: AKIA, secret: t}]\n", "access key id `AKIA` is given twice"),
        ("    access_keys: [{id: AKIA, secret: s}, {id: AKIA, secret: t}]\n", "it is already given on line 7"),
        ("    session: x\n    access_keys: [{id: AKIA, secret: s}]\n", "only a role has sessions to name"),
        (
            "    upstream: {access_key_id: AKIA}\n    access_keys: [{id: AKIA, secret: s}]\n",
            "`secret_access_key` is missing",
        ),
        (
            "    access_keys: [{id: AKIA, secret: s}]\n"
            "  - {arn: 'arn:aws:iam::123456789012:user/alice', access_keys: [{id: AKIB, secret: s}]}\n",
            "the principal `arn:aws:iam::123456789012:user/alice` is given twice",
        ),
        (
            "    access_keys: [{id: AKIA, secret: s}]\n"
            "  - {arn: 'arn:aws:iam::12:user/bob', access_keys: [{id: AKIB, secret: s}]}\n",
            "`arn:aws:iam::12:user/bob`: not the ARN of a user",
        ),
    ],
)
def test_an_unusable_identity_is_refused(tmp_path: Path, lines: str, wanted: str) -> None:
    assert wanted in refusal(tmp_path, with_identity(lines))


def test_all_mistakes_are_shown_at_once_in_file_order(tmp_path: Path) -> None:
    found = refusal(tmp_path, "policies: [gone]\n" + MINIMAL.replace("http:", "ftp:") + "frob: 1\nlisten: {port: x}\n")
    places = [line for line in found.splitlines() if line.startswith("config.yaml")]
    assert [place.split(":")[1] for place in places] == ["3", "6", "7"]


def test_an_unset_secret_refuses_to_start_and_says_how_to_set_it(tmp_path: Path) -> None:
    found = refusal(tmp_path, MINIMAL, {})
    assert "config.yaml:3:59: error invalid-config the environment variable `UP_SECRET` is not set" in found
    assert "help: set it: export UP_SECRET=..." in found
    assert "is empty" in refusal(tmp_path, MINIMAL, {"UP_SECRET": ""})


def test_a_secret_can_be_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("from-file\n")
    config = load(tmp_path, MINIMAL.replace("${env:UP_SECRET}", "${file:secret.txt}"))
    assert config.upstream.credentials is not None
    assert config.upstream.credentials.secret.reveal() == "from-file"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [(None, "cannot read `secret.txt`"), (b"\n", "`secret.txt` is empty"), (b"\xff", "`secret.txt` is not UTF-8 text")],
)
def test_an_unusable_secret_file_refuses_to_start(tmp_path: Path, content: bytes | None, wanted: str) -> None:
    if content is not None:
        (tmp_path / "secret.txt").write_bytes(content)
    assert wanted in refusal(tmp_path, MINIMAL.replace("${env:UP_SECRET}", "${file:secret.txt}"))


def test_numbers_can_come_from_the_environment_too(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + 'listen: {port: "${env:PORT}"}\n', {**ENVIRON, "PORT": "8080"})
    assert config.listen.port == 8080


def test_a_reference_that_leads_to_a_reference_is_refused(tmp_path: Path) -> None:
    assert "leads to another reference" in refusal(tmp_path, MINIMAL, {"UP_SECRET": "${env:HOME}"})


def test_a_reference_inside_a_longer_text_is_refused(tmp_path: Path) -> None:
    assert "a reference must be the whole value" in refusal(tmp_path, MINIMAL.replace("${env:", "x${env:"))


@pytest.mark.parametrize(
    "written", ["${UP_SECRET}", "${ENV:UP_SECRET}", "${environ:UP_SECRET}", "${}", " ${UP_SECRET} "]
)
def test_a_misspelt_reference_is_not_taken_for_the_secret(tmp_path: Path, written: str) -> None:
    said = refusal(tmp_path, MINIMAL.replace("${env:UP_SECRET}", written))
    assert "`${...}` without `env:` or `file:`" in said
    assert 'write "${env:NAME}"' in said


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL.replace('"${env:UP_SECRET}"', "hunter2, sesion_token: hunter2"),
        MINIMAL.replace('"${env:UP_SECRET}"', "hunter2, session_token: {a: hunter2}"),
        MINIMAL.replace('"${env:UP_SECRET}"', "hunter2, secret: hunter2"),
        MINIMAL.replace('"${env:UP_SECRET}"', "%hunter2"),
        MINIMAL.replace('"${env:UP_SECRET}"', "*hunter2"),
        MINIMAL.replace('"${env:UP_SECRET}"', "!hunter2 x"),
        MINIMAL.replace('"${env:UP_SECRET}"', '"hunter2'),
        MINIMAL.replace('"${env:UP_SECRET}"', "\n    @hunter2"),
        MINIMAL.replace("AKIAUP", "[x]").replace('"${env:UP_SECRET}"', "hunter2"),
        MINIMAL + 'admin: {token: hunter2, port: x, tocken: "hunter2"}\n',
        MINIMAL + 'listen: {port: "${env:LEAK}"}\n',
        MINIMAL + 'bucket_policy_api: "${env:LEAK}"\n',
        with_identity('    access_keys: [{id: "a b", secret: hunter2, secert: hunter2}]\n'),
        with_identity('    access_keys: [{id: "${env:LEAK}", secret: ""}]\n    tags: [a]\n'),
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, text: str) -> None:
    found = refusal(tmp_path, text, {**ENVIRON, "LEAK": "hunter2 leaked"})
    assert "hunter2" not in found
    assert "config.yaml:" in found


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    config = load(tmp_path, with_identity("    access_keys: [{id: AKIA, secret: hunter2}]\n"))
    shown = repr(config) + str(config) + repr(config.source) + repr(config.identities[0].access_keys[0].secret)
    assert "hunter2" not in shown
    assert "up-secret-value" not in shown


def test_a_missing_file_is_an_error_about_that_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml:1:1: .*cannot read the file"):
        load_config(tmp_path / "gone.yaml", {})


def test_the_aws_chain_needs_boto3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL.replace('access_key_id: AKIAUP, secret_access_key: "${env:UP_SECRET}"', "source: aws")
    assert load(tmp_path, text).upstream.credentials is None
    monkeypatch.setattr("proxy.config.read.find_spec", lambda name: None)
    assert 'pip install "s3warden[aws]"' in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["aws:Nonsense", "aws:nonsense"])
def test_the_source_points_to_what_others_find_wrong_later(tmp_path: Path, name: str) -> None:
    config = load(tmp_path, MINIMAL + 'condition_values: {"aws:Nonsense": x}\n')
    found = config.source.diagnostic(("condition_values", name), "unknown key", at_key=True)
    assert (found.span.line, found.span.column) == (5, 20)
