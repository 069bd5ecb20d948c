"""Checks of the document as a whole: size, version, Sids.

Sources: S3 User Guide "Bucket policies are limited to 20 KB in size"; IAM quotas (6,144 characters for a
managed policy, blanks not counted); KMS quota of 32 KB for a key policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.diagnostics import Diagnostic, Severity
from proxy.policy.document import Kind
from proxy.policy.lint.subject import Check, Part, Subject
from proxy.policy.parse import minified_size

LIMITS: dict[Kind, int] = {"bucket": 20_480, "identity": 6_144, "key": 32_768}
_SID = re.compile(r"[A-Za-z0-9]*")


def size(subject: Subject) -> Iterator[Diagnostic]:
    """S3W030, S3W031: as JSON without blanks, and as written."""
    kind = subject.policy.kind
    limit = LIMITS[kind]
    raw = len(subject.document.text.encode("utf-8", "surrogatepass"))
    if raw <= limit // 4:
        return  # minifying can only take away, but for escapes
    small = minified_size(subject.policy)
    if small > limit:
        # IAM lets an identity have several policies, inline ones included: not certainly too large.
        severity = Severity.WARNING if kind == "identity" else None
        message = f"the policy has {small:,} bytes as JSON without blanks; the limit of AWS is {limit:,}"
        yield subject.found("policy-too-large", (), message, "split it into several files", severity=severity)
    elif raw > limit and kind == "bucket":
        message = f"the file has {raw:,} bytes; S3's limit is {limit:,}, and it is open whether blanks count"
        yield subject.found("policy-nearly-too-large", (), message, "remove blanks before you upload it to S3")


def version(subject: Subject) -> Iterator[Diagnostic]:
    """S3W032, S3W033, S3W034."""
    policy = subject.policy
    if policy.version != "2008-10-17":
        return
    literal = list(_literal_variables(subject))
    yield from literal
    raw = subject.document.data
    body = raw.get("policy") if policy.root and isinstance(raw, dict) else raw
    remedy = 'write Version: "2012-10-17"'
    if isinstance(body, dict) and "Version" not in body:
        yield subject.found("missing-version", policy.root, "the policy has no `Version`", remedy)
    elif not literal:
        message = "version `2008-10-17` has no policy variables"
        yield subject.found("old-version", (*policy.root, "Version"), message, remedy)


def _literal_variables(subject: Subject) -> Iterator[Diagnostic]:
    remedy = 'write Version: "2012-10-17"'
    for part in subject.parts:
        for text, path in part.texts("Resource"):
            if "${" in text:
                yield subject.found("literal-variable", path, f"`{text}` is literal text under this version", remedy)
    for _, clause in subject.sound_clauses():
        for place, text in enumerate(clause.condition.values):
            if "${" in text:
                message = f"`{text}` is literal text under this version"
                yield subject.found("literal-variable", clause.value_path(place), message, remedy)


def sids(subject: Subject) -> Iterator[Diagnostic]:
    """S3W035, S3W036, S3W037."""
    first: dict[str, Part] = {}
    for part in subject.parts:
        sid = part.raw.get("Sid")
        if not isinstance(sid, str):
            continue
        path = (*part.path, "Sid")
        if not sid:
            yield subject.found("empty-sid", path, "the Sid is empty", "give it a name, or leave it out")
            continue
        if sid in first:
            line = subject.document.span(first[sid].path).line
            message = f"the Sid `{sid}` is already that of the statement on line {line}"
            yield subject.found("duplicate-sid", path, message, "give each statement a name of its own")
        first.setdefault(sid, part)
        if not _SID.fullmatch(sid):
            message = f"the Sid `{sid}` has characters other than letters and digits"
            yield subject.found("bad-sid", path, message, "S3 takes blanks, IAM does not: use A-Z, a-z and 0-9")


CHECKS: tuple[Check, ...] = (size, version, sids)
