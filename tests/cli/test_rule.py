"""`rule` prints the page of a rule, by id or name."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.main import main
from proxy.policy.lint import RULES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["S3W014", "s3w014", "unknown-action"])
def test_a_rule_is_explained_by_its_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", name]) == 0
    assert capsys.readouterr().out == (ROOT / "docs/rules/S3W014.md").read_text()


def test_without_a_name_all_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rule"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [rule.id for rule in RULES]


def test_an_unknown_rule_is_a_usage_error_with_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["rule", "unknown-acton"])
    assert caught.value.code == 2
    assert "did you mean `unknown-action`?" in capsys.readouterr().err
