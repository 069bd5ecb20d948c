"""Lint: what is wrong with a policy, what is surely not meant, and what could be said more clearly.

Nouns: a `Rule` has a stable id; a `Subject` is one document as the checks see it; a check yields
`Finding`s; comments and a baseline file hide findings (`suppress`). The parser's refusals are findings as
well, so a document that the proxy refuses is an error here, at the same place.

Knows nothing about files on disk or report formats.
"""

from proxy.policy.lint.engine import Linted, errors_in, lint_document, lint_text
from proxy.policy.lint.finding import Finding
from proxy.policy.lint.rules import RULES, Rule, find_rule

__all__ = ["RULES", "Finding", "Linted", "Rule", "errors_in", "find_rule", "lint_document", "lint_text"]
