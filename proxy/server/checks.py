"""What new policies must pass before they come into force: no errors of lint, and all their tests.

They have been read and compiled already. Tests are those in the configured folders, and those beside
configured files, of keys too.
"""

from __future__ import annotations

import time
from pathlib import Path

from proxy.access.asking import ask
from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.case_files import load_cases
from proxy.policy.cases import run_cases
from proxy.policy.lint.engine import errors_in
from proxy.server.rules import Rules


def check_policies(rules: Rules) -> int:
    """Return how many tests passed; one `ConfigError` has all errors of lint, and all tests that failed."""
    mapped = tuple(rules.config.condition_values)
    findings: list[Diagnostic] = [finding for policy in rules.policies for finding in errors_in(policy, mapped)]
    now = time.time()
    passed = 0
    for file in load_cases(_paths(rules)):
        for outcome in run_cases(file.cases, lambda written: ask(written, now)):
            if outcome.passed:
                passed += 1
            else:
                findings.append(outcome.diagnostic)
    if findings:
        raise ConfigError(dict.fromkeys(findings))
    return passed


def _paths(rules: Rules) -> tuple[Path, ...]:
    config = rules.config
    named = [*config.policies, *(path for identity in config.identities for path in identity.policies)]
    named += [key.policy for key in config.keys.values() if key.policy is not None]
    return tuple(dict.fromkeys(named))
