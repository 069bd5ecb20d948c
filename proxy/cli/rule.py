"""`s3warden rule S3W014`: explain a lint rule, from the page that the documentation has on it."""

from __future__ import annotations

import argparse

from proxy.cli.command import Command
from proxy.cli.exits import Exit
from proxy.cli.shipped import rules_folder
from proxy.policy.lint import RULES, Rule, find_rule
from proxy.policy.names import did_you_mean


def page(rule: Rule) -> str:
    """Return the Markdown page of a rule."""
    return (rules_folder() / f"{rule.id}.md").read_text(encoding="utf-8")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rule`."""
    parser.add_argument(
        "name", nargs="?", type=_known, help="the rule: `S3W014` or `unknown-action`; without it, a list"
    )


def _known(text: str) -> Rule:
    rule = find_rule(text)
    if rule is None:
        near = did_you_mean(text, [name for known in RULES for name in (known.id, known.name)])
        raise argparse.ArgumentTypeError(f"there is no rule `{text}`" + (f": {near}" if near else ""))
    return rule


def run(arguments: argparse.Namespace) -> int:
    """Print one page, or one line per rule."""
    if arguments.name is not None:
        print(page(arguments.name), end="")
        return Exit.CLEAN
    widths = [max(len(text) for text in column) for column in zip(*map(_cells, RULES), strict=True)]
    for rule in RULES:
        print("  ".join(text.ljust(width) for text, width in zip(_cells(rule), widths, strict=True)).rstrip())
    return Exit.CLEAN


def _cells(rule: Rule) -> tuple[str, str, str, str]:
    return rule.id, rule.name, rule.severity.value, rule.title


COMMAND = Command(
    "rule",
    "explain a lint rule",
    configure,
    run,
    "Explain a rule of `policy lint`, with a wrong and a right example; without a name, list all of them.",
)
