"""One finding: a diagnostic with the rule it breaks and a name that survives edits elsewhere in the file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from proxy.diagnostics import Diagnostic, Severity, Span
from proxy.policy.lint.rules import Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule broken at one place."""

    rule: Rule
    diagnostic: Diagnostic
    sid: str = ""
    """The Sid of the statement it is in; empty when there is none."""
    place: str = ""
    """JSON pointer of the element: within the statement if it has a Sid of its own, else within the document."""

    @property
    def severity(self) -> Severity:
        """How bad it is; some rules judge by the circumstances."""
        return self.diagnostic.severity

    @property
    def span(self) -> Span:
        """Where it is."""
        return self.diagnostic.span

    def fingerprint(self, policy: str) -> str:
        """Name the finding by rule, policy, Sid and element: what a baseline and SARIF remember it by.

        Lines are not in it, so that it survives what is written elsewhere in the file.
        """
        text = "\0".join((self.rule.id, policy, self.sid, self.place))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
