"""Every rule has a page, and the page's examples are run: the wrong one breaks the rule, the right one none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.policy.lint import RULES, Rule, find_rule, lint_text
from proxy.policy.lint.engine import CHECKS
from proxy.policy.lint.suppress import read_baseline, write_baseline
from proxy.yamldoc import parse

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "rules"


def page(rule: Rule) -> str:
    return (PAGES / f"{rule.id}.md").read_text(encoding="utf-8")


def examples(rule: Rule) -> tuple[str, str]:
    wrong, right = re.findall(r"^## (?:Wrong|Right)\n\n```yaml\n(.*?)^```", page(rule), re.MULTILINE | re.DOTALL)
    if rule.id == "S3W030":
        head, statement = wrong.split("Statement:\n")
        copies = (statement.replace("eader1", f"eader{number}").replace("/1/", f"/{number}/") for number in range(200))
        wrong = f"{head}Statement:\n" + "".join(copies)
    if rule.id == "S3W031":
        wrong += " " * 21_000 + "\n"
    return wrong, right


def rules_broken(text: str) -> set[str]:
    return {finding.rule.id for finding in lint_text(text, "example.yaml").findings}


def test_ids_and_names_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(re.fullmatch(r"S3W[0-9]{3}", name) for name in ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name) for rule in RULES)


def test_the_rule_that_everybody_knows_keeps_its_number() -> None:
    rule = find_rule("s3w014")
    assert rule is not None
    assert (rule.id, rule.name) == ("S3W014", "unknown-action")
    assert find_rule("unknown-action") is rule
    assert find_rule("S3W999") is None


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_wrong_example_breaks_the_rule_and_the_right_one_breaks_none(rule: Rule) -> None:
    wrong, right = examples(rule)
    assert rules_broken(right) == set()
    if rule.id == "S3W102":
        before = lint_text(wrong, "example.yaml").findings
        baseline = read_baseline(parse(write_baseline(("example.yaml", finding) for finding in before), "b.json"))
        assert [finding.rule for finding in baseline.unused([], ["example.yaml"])] == [rule]
    else:
        assert rule.id in rules_broken(wrong)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_page_begins_with_what_the_table_says(rule: Rule) -> None:
    refused = " The proxy refuses a policy with it; it cannot be suppressed." if rule.refused else ""
    head = f"# {rule.id}: {rule.name}\n\n{rule.title}\n\nSeverity: {rule.severity.value}.{refused}\n\n"
    assert page(rule).startswith(head)
    assert len(page(rule)) > len(head) + 200


def test_there_is_no_page_without_a_rule() -> None:
    assert {path.stem for path in PAGES.iterdir()} == {rule.id for rule in RULES}


def test_the_reference_lists_every_rule() -> None:
    listed = re.findall(r"^\| \[(S3W.*)$", (ROOT / "docs/reference/rules.md").read_text(), re.MULTILINE)
    assert listed == [
        f"{rule.id}](../rules/{rule.id}.md) | `{rule.name}` | {rule.severity.value} | {rule.title} |" for rule in RULES
    ]


def test_every_check_names_its_rules() -> None:
    told = {name for check in CHECKS for name in re.findall(r"S3W[0-9]{3}", check.__doc__ or "")}
    by_engine = {rule.id for rule in RULES if not rule.refused and rule.id < "S3W100"}
    assert told == by_engine
