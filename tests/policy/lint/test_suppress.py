"""Findings are hidden where a comment or the baseline says so, with a reason, and nowhere else."""

from __future__ import annotations

import json

import pytest

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.lint import Linted, lint_text
from proxy.policy.lint.suppress import load_baseline, read_baseline, write_baseline

POLICY = """\
Version: "2012-10-17"{version}
Statement:
  {above}
  - Sid: Reads
    Effect: Allow
    Principal: "*"{line}
    Action: s3:GetObject
    Resource: [arn:aws:s3:::b/*, arn:aws:s3:::b/a/*]{end}
"""


def lint(version: str = "", above: str = "# -", line: str = "", end: str = "") -> Linted:
    return lint_text(POLICY.format(version=version, above=above, line=line, end=end), "p.yaml", "bucket")


def names(linted: Linted) -> list[str]:
    return [finding.rule.name for finding in linted.findings]


def hidden(linted: Linted) -> list[str]:
    return [finding.rule.name for finding in linted.suppressed]


def test_without_a_comment_both_are_found() -> None:
    assert names(lint()) == ["public-access", "redundant-resource"]


@pytest.mark.parametrize("rule", ["S3W060", "s3w060", "public-access"])
@pytest.mark.parametrize("separator", [" ", ": ", " - "])
def test_a_comment_at_the_end_of_the_line_hides_a_rule_by_id_or_name(rule: str, separator: str) -> None:
    linted = lint(line=f" # s3warden: ignore[{rule}]{separator}our website")
    assert (names(linted), hidden(linted)) == (["redundant-resource"], ["public-access"])


def test_a_comment_above_a_statement_is_about_the_whole_statement() -> None:
    linted = lint(above="# s3warden: ignore[S3W060, redundant-resource] our website")
    assert (names(linted), hidden(linted)) == ([], ["public-access", "redundant-resource"])


def test_several_comments_can_stand_above_one_line() -> None:
    comments = "# s3warden: ignore[S3W060] our website\n  # s3warden: ignore[S3W053] for the readers"
    assert names(lint(above=comments)) == []


def test_a_comment_for_the_file_is_about_all_of_it() -> None:
    linted = lint(version=" # s3warden: ignore-file[S3W060] our website")
    assert names(linted) == ["redundant-resource"]


def test_a_comment_is_not_about_what_stands_elsewhere() -> None:
    linted = lint(end=" # s3warden: ignore[S3W060] our website")
    assert names(linted) == ["public-access", "redundant-resource", "unused-suppression"]
    assert linted.suppressed == ()


def test_a_comment_above_the_first_line_is_not_about_the_whole_file() -> None:
    linted = lint_text("# s3warden: ignore[S3W060] x\n" + POLICY.format(version="", above="# -", line="", end=""), "p")
    assert names(linted)[0] == "unused-suppression"


@pytest.mark.parametrize(
    ("comment", "message", "remedy"),
    [
        ("ignore[S3W060]", "the comment gives no reason", "why this is right"),
        ("ignore[S3W060]:", "the comment gives no reason", "why this is right"),
        ("ignore[S3W060] --", "the comment gives no reason", "why this is right"),
        ("ignore our website", "the comment names no rule", "why this is right"),
        ("ignore[] our website", "the comment names no rule", "why this is right"),
        ("ignore[S3W999] our website", "there is no rule `S3W999`", "did you mean `S3W"),
        ("ignore[public-acces] our website", "there is no rule `public-acces`", "did you mean `public-access`?"),
        ("ignored[S3W060] our website", "unknown comment `ignored`", "did you mean `ignore`?"),
        ("ignore[S3W014] x", "S3W014 [unknown-action] cannot be ignored", "correct the policy"),
    ],
)
def test_a_comment_that_hides_nothing_by_mistake_says_so(comment: str, message: str, remedy: str) -> None:
    linted = lint(line=f" # s3warden: {comment}")
    complaint = next(finding for finding in linted.findings if finding.rule.name == "bad-suppression")
    assert complaint.diagnostic.message.startswith(message)
    assert remedy in complaint.diagnostic.help
    assert (complaint.span.line, complaint.span.column) == (6, 20)
    assert "public-access" in names(linted)


def test_what_the_proxy_refuses_is_never_hidden() -> None:
    text = POLICY.format(version="", above="# s3warden: ignore-file[wrong-type, S3W008] x", line="", end="")
    linted = lint_text(text.replace("Effect: Allow", "Effect: allow"), "p.yaml")
    assert "bad-effect" in names(linted)


def test_json_has_no_comments() -> None:
    text = '{"Version": "2012-10-17", "Id": "# s3warden: ignore-file[S3W060] x", "Statement": []}'
    assert names(lint_text(text, "p.json")) == ["missing-element"]


def test_a_baseline_hides_what_was_there_and_reports_what_has_gone() -> None:
    findings = lint().findings
    text = write_baseline(("p.yaml", finding) for finding in findings)
    baseline = read_baseline(yamldoc.parse(text, "baseline.json"))
    prints = [finding.fingerprint("p.yaml") for finding in findings]
    assert set(prints) == set(baseline.entries)
    assert baseline.unused(prints, ["p.yaml"]) == []
    stale = baseline.unused(prints[:1], ["p.yaml"])
    assert [str(finding.diagnostic) for finding in stale] == [
        "baseline.json:10:5: warning S3W102 there is no S3W053 [redundant-resource] in `p.yaml` any more"
    ]
    assert baseline.unused([], ["other.yaml"]) == [], "a policy that was not looked at says nothing"


def test_a_baseline_leaves_out_what_the_proxy_refuses() -> None:
    findings = lint_text("Version: x", "p.yaml").findings
    assert findings
    assert json.loads(write_baseline(("p.yaml", finding) for finding in findings)) == {"findings": []}


@pytest.mark.parametrize("text", ["[]", "findings: x", "findings: [x]", "findings: [{rule: S3W060}]", "a: b"])
def test_what_is_no_baseline_is_refused_with_a_place(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_baseline(yamldoc.parse(text, "b.yaml"))
    assert caught.value.diagnostics[0].span.file == "b.yaml"


def test_a_baseline_that_is_not_there_is_an_error(tmp_path: object) -> None:
    with pytest.raises(ConfigError):
        load_baseline(f"{tmp_path}/none.json")
