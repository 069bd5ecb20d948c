"""Hiding findings on purpose: comments with a reason in the file, and a baseline beside it.

    # s3warden: ignore[S3W060] a public website
    # s3warden: ignore[public-access, S3W094]: a public website
    # s3warden: ignore-file[S3W036] the Sids are those of the template

A comment is about the element that begins on its line or, when it stands alone, on the next line: a
statement, a condition, a value. It needs a reason, and what hides nothing is a finding itself. What the
proxy refuses cannot be hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy import yamldoc
from proxy.diagnostics import Diagnostic, Span
from proxy.errors import ConfigError
from proxy.policy.lint.finding import Finding
from proxy.policy.lint.rules import BY_NAME, Rule, find_rule
from proxy.policy.lint.text import is_json
from proxy.policy.names import did_you_mean
from proxy.yamldoc import DocPath, Document, Value, pointer

_COMMENT = re.compile(
    r"(?:^|\s)#\s*s3warden:\s*(?P<what>[A-Za-z-]*)\s*(?:\[(?P<rules>[^\]]*)\])?\s*:?\s*(?P<reason>.*)"
)
_FORM = "write `# s3warden: ignore[S3W060] why this is right here`"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One rule hidden in one place by one comment."""

    rule: Rule
    span: Span
    snippet: str
    line: int
    """The line that it is about; 0 for the whole file."""
    places: tuple[str, ...]
    """JSON pointers of the elements that begin on that line."""

    def hides(self, finding: Finding) -> bool:
        """Tell whether the finding is of its rule and in its place."""
        if finding.rule is not self.rule or finding.rule.refused:
            return False
        at = finding.diagnostic.pointer
        inside = any(at == place or at.startswith(place + "/") for place in self.places)
        return self.line in (0, finding.span.line) or inside


def apply_comments(document: Document, findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Return what stays visible, complaints about the comments themselves included, and what is hidden."""
    if "s3warden:" not in document.text or is_json(document):
        return list(findings), []
    suppressions: list[Suppression] = []
    complaints: list[Finding] = []
    for item in _read_comments(document):
        if isinstance(item, Suppression):
            suppressions.append(item)
        else:
            complaints.append(item)
    kept: list[Finding] = []
    hidden: list[Finding] = []
    used: set[int] = set()
    for finding in findings:
        hiding = [place for place, suppression in enumerate(suppressions) if suppression.hides(finding)]
        used.update(hiding)
        (hidden if hiding else kept).append(finding)
    for place, suppression in enumerate(suppressions):
        if place not in used:
            message = f"there is no {suppression.rule} here to ignore"
            complaints.append(
                _complaint("unused-suppression", suppression.span, suppression.snippet, message, "delete the comment")
            )
    kept.extend(complaints)
    kept.sort(key=lambda finding: (finding.span.line, finding.span.column, finding.rule.id))
    return kept, hidden


def _read_comments(document: Document) -> Iterator[Suppression | Finding]:
    lines = document.text.splitlines()
    for number, line in enumerate(lines, 1):
        match = _COMMENT.search(line) if "s3warden:" in line else None
        if match is None:
            continue
        start = line.index("#", match.start())
        span = Span(document.file, number, start + 1, len(line.rstrip()) - start)
        if match["what"] not in ("ignore", "ignore-file"):
            remedy = did_you_mean(match["what"], ("ignore", "ignore-file")) or _FORM
            yield _complaint("bad-suppression", span, line, f"unknown comment `{match['what']}`", remedy)
        elif not (match["rules"] or "").strip():
            yield _complaint("bad-suppression", span, line, "the comment names no rule", _FORM)
        elif not re.search(r"\w", match["reason"]):
            yield _complaint("bad-suppression", span, line, "the comment gives no reason", _FORM)
        else:
            about = 0 if match["what"] == "ignore-file" else _target(lines, number, alone=not line[:start].strip())
            yield from _named_rules(document, match["rules"], span, line, about)


def _named_rules(document: Document, names: str, span: Span, line: str, about: int) -> Iterator[Suppression | Finding]:
    places = tuple(pointer(path) for path in _beginning_on(document, about)) if about else ()
    for name in names.split(","):
        rule = find_rule(name.strip())
        if rule is None:
            near = did_you_mean(name.strip(), (*BY_NAME, *(known.id for known in BY_NAME.values())))
            yield _complaint("bad-suppression", span, line, f"there is no rule `{name.strip()}`", near)
        elif rule.refused:
            message = f"{rule} cannot be ignored: the proxy refuses such a policy"
            yield _complaint("bad-suppression", span, line, message, "correct the policy")
        else:
            yield Suppression(rule, span, line, about, places)


def _target(lines: Sequence[str], number: int, *, alone: bool) -> int:
    """Return the line a comment is about; several comments may stand above one line."""
    if not alone:
        return number
    for later, line in enumerate(lines[number:], number + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            return later
    return number


def _beginning_on(document: Document, line: int) -> Iterator[DocPath]:
    """Yield the outermost elements that begin on a line; the document itself does not count."""

    def walk(value: Value, path: DocPath) -> Iterator[DocPath]:
        children: Iterable[tuple[str | int, Value]]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, child in children:
            if document.key_span((*path, step)).line == line:
                yield (*path, step)
            else:
                yield from walk(child, (*path, step))

    yield from walk(document.data, ())


def _complaint(rule: str, span: Span, snippet: str, message: str, remedy: str) -> Finding:
    known = BY_NAME[rule]
    return Finding(known, Diagnostic(known.severity, known.id, message, span, remedy, snippet))


@dataclass(frozen=True, slots=True)
class Baseline:
    """Findings that were there when lint was introduced, by fingerprint, and where each entry stands."""

    file: str
    entries: Mapping[str, tuple[str, Diagnostic]]
    """Fingerprint -> (policy, finding for the case that it hides nothing)."""

    def unused(self, used: Iterable[str], checked: Iterable[str]) -> list[Finding]:
        """Return a finding for each entry about a policy that was checked, and that hid nothing."""
        seen, policies = set(used), set(checked)
        rule = BY_NAME["unused-baseline-entry"]
        return [
            Finding(rule, diagnostic, "", diagnostic.pointer)
            for fingerprint, (policy, diagnostic) in self.entries.items()
            if fingerprint not in seen and policy in policies
        ]


def read_baseline(document: Document) -> Baseline:
    """Read a baseline file; raises `ConfigError` with a position when it is none."""
    data = document.data
    listed = data.get("findings") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ConfigError([document.diagnostic((), "not a baseline: there is no list `findings`")])
    rule = BY_NAME["unused-baseline-entry"]
    entries: dict[str, tuple[str, Diagnostic]] = {}
    for place, entry in enumerate(listed):
        path: DocPath = ("findings", place)
        values = [entry.get(name) for name in ("fingerprint", "policy", "rule")] if isinstance(entry, dict) else []
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) != 3:
            raise ConfigError([document.diagnostic(path, "an entry needs `fingerprint`, `policy` and `rule`")])
        fingerprint, policy, name = texts
        message = f"there is no {find_rule(name) or name} in `{policy}` any more"
        diagnostic = document.diagnostic(path, message, rule=rule.id, help="delete the entry", severity=rule.severity)
        entries[fingerprint] = (policy, diagnostic)
    return Baseline(document.file, entries)


def load_baseline(path: str) -> Baseline:
    """Read the baseline file at `path`; raises `ConfigError`."""
    return read_baseline(yamldoc.load(path))


def write_baseline(findings: Iterable[tuple[str, Finding]]) -> str:
    """Return a baseline file that hides these (policy, finding); what the proxy refuses is left out."""
    entries = [
        {
            "rule": finding.rule.id,
            "policy": policy,
            "sid": finding.sid,
            "place": finding.place,
            "fingerprint": finding.fingerprint(policy),
        }
        for policy, finding in findings
        if not finding.rule.refused
    ]
    unique = {entry["fingerprint"]: entry for entry in entries}
    return json.dumps({"findings": list(unique.values())}, indent=2, ensure_ascii=False) + "\n"
