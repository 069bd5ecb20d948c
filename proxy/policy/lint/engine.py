"""Lint one document: read it as the proxy does, ask every check, hide what its comments suppress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

from proxy import yamldoc
from proxy.diagnostics import Diagnostic, Severity
from proxy.errors import ConfigError
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.lint import actions, conditions, document, guards, operators, shadow, statements, text
from proxy.policy.lint.finding import Finding
from proxy.policy.lint.rules import BY_NAME, find_rule
from proxy.policy.lint.subject import Check, Subject, view
from proxy.policy.lint.suppress import apply_comments
from proxy.policy.parse import guess_kind, read_policy
from proxy.yamldoc import Document

CHECKS: tuple[Check, ...] = (
    *text.CHECKS,
    *document.CHECKS,
    *actions.CHECKS,
    *statements.CHECKS,
    *shadow.CHECKS,
    *operators.CHECKS,
    *conditions.CHECKS,
    *guards.CHECKS,
)

_FOLDERS: dict[str, Kind] = {"buckets": "bucket", "identity": "identity", "identities": "identity", "keys": "key"}


@dataclass(frozen=True, slots=True)
class Linted:
    """What lint has to say about one document."""

    file: str
    kind: Kind | None
    """None when the document cannot be read at all."""
    statements: int
    findings: tuple[Finding, ...]
    """In the order of the file."""
    suppressed: tuple[Finding, ...] = ()
    """Hidden by comments in the file."""
    is_goal: bool = False
    """It is a goal to prove, which lies among policies and is none: nothing was checked."""


def lint_text(
    source: str | bytes, file: str = "<text>", kind: Kind | None = None, mapped_keys: Collection[str] = ()
) -> Linted:
    """Lint the text of a policy; what is no YAML at all is a finding like others."""
    try:
        read = yamldoc.parse(source, file)
    except ConfigError as error:
        return Linted(file, None, 0, tuple(_findings(error.diagnostics, None)))
    return lint_document(read, kind, mapped_keys)


def lint_document(read: Document, kind: Kind | None = None, mapped_keys: Collection[str] = ()) -> Linted:
    """Lint a document of `kind`, by default as its folder and content suggest.

    `mapped_keys` are the condition keys whose values the configuration gives.
    """
    if isinstance(read.data, dict) and "goal" in read.data and "never" in read.data:
        return Linted(read.file, None, 0, (), is_goal=True)
    kind = kind or kind_of(read)
    policy, refusals = read_policy(read, kind, mapped_keys)
    if policy is None:
        return Linted(read.file, kind, 0, tuple(_findings(refusals, None)))
    subject = view(policy, refusals)
    found = [finding for check in CHECKS for finding in check(subject)]
    findings = _findings((*refusals, *found), subject)
    kept, hidden = apply_comments(read, findings)
    return Linted(read.file, kind, len(policy.statements), tuple(kept), tuple(hidden))


def errors_in(policy: PolicyFile, mapped_keys: Collection[str] = ()) -> list[Diagnostic]:
    """Return the errors in a policy that the parser accepts, for those who take no policy with errors.

    The size limits are left out: they are those of S3 and IAM, not of the proxy.
    """
    found = lint_document(policy.document, policy.kind, mapped_keys).findings
    return [
        finding.diagnostic
        for finding in found
        if finding.severity is Severity.ERROR and finding.rule.name != "policy-too-large"
    ]


def kind_of(read: Document) -> Kind:
    """Tell whose policy a document is: by `bucket` in its wrapper, by its folder, by its content."""
    if isinstance(read.data, dict) and "bucket" in read.data:
        return "bucket"
    for folder in reversed(PurePath(read.file).parts[:-1]):
        if folder in _FOLDERS:
            return _FOLDERS[folder]
    kind = guess_kind(read)
    # An action of another service does not make a key's policy of one whose resources are buckets. Its conditions
    # may name objects all the same: those that a key is for.
    return "bucket" if kind == "key" and _names_buckets(read) else kind


def _names_buckets(read: Document) -> bool:
    data = read.data
    if isinstance(data, dict) and isinstance(data.get("policy"), dict):
        data = data["policy"]
    statements = data.get("Statement") if isinstance(data, dict) else None
    for each in statements if isinstance(statements, list) else [statements]:
        resources = (each.get("Resource"), each.get("NotResource")) if isinstance(each, dict) else ()
        for value in resources:
            if any(
                isinstance(text, str) and ":s3:::" in text for text in (value if isinstance(value, list) else [value])
            ):
                return True
    return False


def _findings(diagnostics: Iterable[Diagnostic], subject: Subject | None) -> list[Finding]:
    sids: dict[str, str] = {}
    if subject is not None:
        count = Counter(part.statement.sid for part in subject.parts)
        sids = {
            yamldoc.pointer(part.path): part.statement.sid
            for part in subject.parts
            if part.statement.sid and count[part.statement.sid] == 1
        }
    findings = [_finding(diagnostic, sids) for diagnostic in dict.fromkeys(diagnostics)]
    return sorted(findings, key=lambda f: (f.span.line, f.span.column, f.rule.id, f.diagnostic.message))


def _finding(diagnostic: Diagnostic, sids: Mapping[str, str]) -> Finding:
    rule = find_rule(diagnostic.rule) or BY_NAME["wrong-type"]
    diagnostic = replace(diagnostic, rule=rule.id)
    steps = diagnostic.pointer.split("/")
    for end in range(2, 5):  # `/Statement`, `/Statement/0`, `/policy/Statement/0`
        place = "/".join(steps[:end])
        if place in sids:
            return Finding(rule, diagnostic, sids[place], diagnostic.pointer[len(place) :])
    return Finding(rule, diagnostic, "", diagnostic.pointer)
