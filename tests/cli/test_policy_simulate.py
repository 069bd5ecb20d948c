"""`policy simulate`: a matrix becomes a table of verdicts."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import yamldoc
from proxy.cli.main import main
from proxy.errors import ConfigError
from proxy.policy.simulate import KEYS, parse_matrix

POLICY = """\
Version: "2012-10-17"
Statement:
  - {Sid: Open, Effect: Allow, Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::b/*"}
  - Sid: Tls
    Effect: Deny
    Principal: "*"
    Action: "s3:*"
    Resource: "arn:aws:s3:::b/*"
    Condition: {Bool: {aws:SecureTransport: "false"}}
"""
MATRIX = """\
policies: [p.yaml]
principals: anonymous
actions: ["s3:GetObject", "s3:PutObject"]
resources: ["arn:aws:s3:::b/k"]
contexts:
  tls: {aws:SecureTransport: "true"}
  plain: {aws:SecureTransport: "false"}
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "m.yaml").write_text(MATRIX)
    return tmp_path


def test_every_combination_is_a_row(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "simulate", "m.yaml"]) == 1
    assert capsys.readouterr().out == (
        "PRINCIPAL  ACTION        RESOURCE          CONTEXT  VERDICT        BY\n"
        "anonymous  s3:GetObject  arn:aws:s3:::b/k  tls      allow          Open\n"
        "anonymous  s3:GetObject  arn:aws:s3:::b/k  plain    explicit_deny  Tls\n"
        "anonymous  s3:PutObject  arn:aws:s3:::b/k  tls      implicit_deny\n"
        "anonymous  s3:PutObject  arn:aws:s3:::b/k  plain    explicit_deny  Tls\n"
        "checked 1 policy, 2 statements, 4 requests: 1 allowed, 3 denied\n"
    )


def test_json_and_markdown_have_the_same_rows(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "simulate", "m.yaml", "--output", "json", "--output", "markdown=m.md"]) == 1
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert cells[1] == {
        "principal": "anonymous",
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::b/k",
        "context": "plain",
        "verdict": "explicit_deny",
        "by": ["Tls"],
    }
    assert "| anonymous | s3:GetObject | arn:aws:s3:::b/k | plain | explicit_deny | Tls |" in Path("m.md").read_text()


def test_an_expectation_makes_each_row_a_case(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "simulate", "m.yaml", "--expect", "deny"]) == 1
    out = capsys.readouterr().out
    assert "failed: s3:GetObject on arn:aws:s3:::b/k by anonymous (tls)\n    expected deny\n" in out
    (files / "m.yaml").write_text(MATRIX.replace('"s3:GetObject", ', ""))
    assert main(["policy", "simulate", "m.yaml", "--expect", "deny"]) == 0
    assert main(["policy", "simulate", "m.yaml", "--expect", "allow"]) == 1


def test_patterns_stand_for_all_their_actions_and_contexts_may_be_left_out(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "m.yaml").write_text(MATRIX.partition("contexts")[0].replace('"s3:PutObject"', '"s3:PutObjectT*"'))
    main(["policy", "simulate", "m.yaml"])
    out = capsys.readouterr().out
    assert "CONTEXT" not in out
    assert "s3:PutObjectTagging" in out


def test_other_policies_can_be_asked_instead(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "open.yaml").write_text(POLICY.partition("  - Sid: Tls")[0])
    assert main(["policy", "simulate", "m.yaml", "--policies", "open.yaml", "--output", "json"]) == 1
    assert [cell["verdict"] for cell in json.loads(capsys.readouterr().out)["cells"]][:2] == ["allow", "allow"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a matrix is a mapping"),
        (MATRIX.replace("principals", "principal"), "did you mean `principals`?"),
        (MATRIX.replace("policies: [p.yaml]", ""), "no policies are named"),
        (MATRIX.replace("p.yaml", "gone.yaml"), "cannot read `gone.yaml`"),
        (MATRIX.replace("GetObject", "GetObjct"), "did you mean `s3:GetObject`?"),
        (MATRIX.replace("arn:aws:s3:::b/k", "b/k"), "`b/k` is not an ARN"),
        (MATRIX.replace("SecureTransport", "SecureTransprt"), "did you mean `aws:SecureTransport`?"),
        (MATRIX.replace("principals: anonymous", "principals: []"), "there are no `principals`"),
        (MATRIX.replace("principals: anonymous", "principals: [[a]]"), "`principals` takes texts"),
        (MATRIX.replace('tls: {aws:SecureTransport: "true"}', "tls: x"), "a context is a mapping"),
        (MATRIX + "x: [", "invalid-yaml"),
    ],
)
def test_a_broken_matrix_is_exit_code_2_with_its_place(
    files: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "m.yaml").write_text(text)
    assert main(["policy", "simulate", "m.yaml"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("m.yaml:")


def test_a_matrix_of_more_cells_than_anybody_reads_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = "\n".join(f"  - arn:{number}" for number in range(400))
    text = MATRIX.replace("principals: anonymous", f"principals:\n{many}")
    (files / "m.yaml").write_text(text.replace('resources: ["arn:aws:s3:::b/k"]', f"resources:\n{many}"))
    assert main(["policy", "simulate", "m.yaml"]) == 2
    assert "the matrix has 640,000 cells" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["m.yaml", "--batch", "-"], ["gone.yaml"], ["m.yaml", "--policies", "gone"]])
def test_usage_errors_are_exit_code_2(files: Path, arguments: list[str]) -> None:
    assert main(["policy", "simulate", *arguments]) == 2


def test_no_policies_are_exit_code_3(files: Path) -> None:
    (files / "empty").mkdir()
    assert main(["policy", "simulate", "m.yaml", "--policies", "empty"]) == 3


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "x"]),
        st.recursive(
            # No slash and no dot: a fuzzer must not find its way to all the files of the machine.
            st.one_of(
                st.text(st.characters(exclude_characters="/."), max_size=5),
                st.sampled_from(["s3:*", "arn:aws:s3:::b", "aws:SourceIp"]),
            ),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_whatever_a_matrix_says_it_is_read_or_refused(data: dict[str, object]) -> None:
    with suppress(ConfigError):
        parse_matrix(yamldoc.parse(yaml.safe_dump(data, allow_unicode=True), "/nowhere/m.yaml"))
