"""How lint tests say things: statements in, rule names with places out."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from proxy.policy.document import Kind
from proxy.policy.lint import Linted, lint_text

DEFAULTS: dict[str, dict[str, object]] = {
    "bucket": {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
    },
    "identity": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    "key": {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"},
}


def lint_statements(
    *statements: Mapping[str, object],
    kind: Kind = "bucket",
    version: str | None = "2012-10-17",
    mapped: Collection[str] = (),
) -> Linted:
    """Lint statements; what is left out is a Deny for everybody on the whole bucket `b`."""
    completed = []
    for statement in statements:
        missing = {k: v for k, v in DEFAULTS[kind].items() if f"Not{k}" not in statement}
        completed.append({**missing, **statement})
    document: dict[str, Any] = {"Version": version, "Statement": completed}
    if version is None:
        del document["Version"]
    return lint_text(json.dumps(document, indent=1, ensure_ascii=False), f"{kind}.json", kind, mapped)


def names_in(linted: Linted) -> list[str]:
    return [finding.rule.name for finding in linted.findings]


@pytest.fixture(scope="session")
def lint() -> Callable[..., Linted]:
    return lint_statements


@pytest.fixture(scope="session")
def found() -> Callable[..., list[str]]:
    """Return the names of the rules that the statements break, in the order of the file."""

    def find(*statements: Mapping[str, object], **options: Any) -> list[str]:
        return names_in(lint_statements(*statements, **options))

    return find
