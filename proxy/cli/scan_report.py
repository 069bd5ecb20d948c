"""What `s3warden scan` tells: counts and the worst findings in every format, all objects in JSON and CSV.

Findings are as many as there are objects, so reports that are read as a whole have the worst of them only,
and say how many were left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TextIO
from urllib.parse import quote

from proxy.cli.reports import Problem, Report, RuleText
from proxy.cli.reports.sarif import MAX_RESULTS
from proxy.diagnostics import Severity, Span
from proxy.server.scan.journal import Row
from proxy.server.scan.protection import KINDS

STREAMED = ("json", "csv")
"""The formats that have every object."""

RULES: Mapping[str, RuleText] = {
    "damaged-envelope": RuleText(
        "An object claims to be encrypted by the proxy and cannot be.", Severity.ERROR,
        "Its metadata or its length is not what the format gives. Restore it from a copy: reading it is refused.",
    ),
    "denied-by-policy": RuleText(
        "Policies deny writing an object with the protection that it has.", Severity.ERROR,
        "It was written before the policy, or past the proxy. Write it anew as the policy wants it.",
    ),
    "disabled-key": RuleText(
        "An object is under a key that is disabled.", Severity.WARNING, "Enable the key, or rewrap the object before.",
    ),
    "envelope-in-forward-bucket": RuleText(
        "An object encrypted by the proxy lies in a bucket that the proxy does not encrypt.", Severity.ERROR,
        "Set the bucket to `mode: envelope`, or write the object anew.",
    ),
    "not-allowed-by-policy": RuleText(
        "No policy allows writing an object with the protection that it has.", Severity.WARNING,
        "Write it anew as the policies want it.",
    ),
    "not-as-header-rules": RuleText(
        "An object is not encrypted as the header rules of its bucket ask.", Severity.WARNING,
        "It was written before the rule, or past the proxy. Copy it onto itself through the proxy.",
    ),
    "not-encrypted": RuleText(
        "Nothing shows that an object is encrypted.", Severity.SUGGESTION, "Encrypt the bucket with `mode: envelope`.",
    ),
    "not-enveloped": RuleText(
        "An object in an encrypted bucket was not encrypted by the proxy.", Severity.ERROR,
        "Write it anew through the proxy. With `read_plaintext` it is served, and this is a suggestion.",
    ),
    "not-writable": RuleText(
        "Nobody in question may write an object, however it is encrypted.", Severity.SUGGESTION,
        "Policies say nothing about its protection. Say who writes it with `--principal` and `--context`.",
    ),
    "odd-client-encryption": RuleText(
        "The metadata of a client-side encrypted object is not as its format wants it.", Severity.WARNING,
        "See whether the client that wrote it can still read it.",
    ),
    "older-key-version": RuleText(
        "An object is not under the newest version of its key.", Severity.SUGGESTION, "Run `s3warden keys rewrap`.",
    ),
    "unauthenticated": RuleText(
        "An object was encrypted without authentication.", Severity.SECURITY_WARNING,
        "Write it anew with a current client, or through the proxy.",
    ),
    "unknown-key": RuleText(
        "No configured key can open an object.", Severity.ERROR, "Put the key back into the configuration.",
    ),
    "unreadable": RuleText(
        "The store does not tell about an object.", Severity.ERROR, "See what the upstream credential may do.",
    ),
}  # fmt: skip
_COLUMNS = ("key", "version_id", "latest", "size", "modified", "protection", "keys", "wrapping", "bucket_key", "sse",
            "severity", "findings")  # fmt: skip
MAX_KEYS = 1000
"""So many keys are counted one by one: those that are found first."""
_OTHERS = "under other keys"
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ScanReport:
    """The result of one scan, read from its journal as often as there are formats."""

    def __init__(self, bucket: str, rows: Callable[[], Iterator[Row]], fail_on: Severity | None) -> None:
        """Count what was found; `fail_on` None never fails."""
        self._bucket = bucket
        self._rows = rows
        self._fail_on = fail_on
        self.objects = 0
        self._kinds: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._levels: Counter[Severity] = Counter()
        self._counts: Counter[str] = Counter()
        self._kept: dict[Severity, list[Problem]] = {severity: [] for severity in Severity}
        for row in rows():
            self._count(row)

    @property
    def failed(self) -> bool:
        """Whether a finding is as severe as what makes the command fail."""
        return any(self._fails(severity) for severity in self._levels)

    def report(self) -> Report:
        """Return the counts and the worst findings."""
        kept: list[Problem] = []
        for severity in Severity:
            kept += self._kept[severity][: MAX_RESULTS - len(kept)]
        left = sum(self._levels.values()) - len(kept)
        notes = (f"{left:,} more findings, all of them in the formats json and csv",) if left else ()
        return Report(
            "scan",
            {"object": self.objects},
            self.failed,
            tuple(kept),
            body="\n".join(f"{number:>10,}  {what}" for what, number in self._table),
            markdown="\n".join(
                ["| Objects | Protected by |", "| ---: | --- |"]
                + [f"| {number:,} | {_cell(what)} |" for what, number in self._table]
            ),
            rules=RULES,
            notes=notes,
        )

    def streamed(self) -> Mapping[str, Callable[[TextIO], None]]:
        """Return the writers of the formats that have every object."""
        return {"json": self._write_json, "csv": self._write_csv}

    def _count(self, row: Row) -> None:
        self.objects += 1
        self._kinds[row.protection] += 1
        protection = f"{row.protection} ({row.wrapping})" if row.wrapping else row.protection
        for key in row.keys:
            told = f"{protection} under {key}"
            # Whoever writes objects may name a key of its own in each.
            self._keys[told if told in self._keys or len(self._keys) < MAX_KEYS else f"{row.protection} {_OTHERS}"] += 1
        for finding in row.findings:
            self._levels[finding.severity] += 1
            self._counts[finding.rule] += 1
            kept = self._kept[finding.severity]
            if len(kept) < MAX_RESULTS:
                name = hashlib.sha256(json.dumps([finding.rule, self._bucket, row.key, row.version_id]).encode())
                kept.append(
                    Problem(
                        finding.rule, "", finding.severity, finding.message, Span(self._place(row), 0, 0),
                        finding.help, fingerprint=name.hexdigest(), failing=self._fails(finding.severity),
                    )
                )  # fmt: skip

    @cached_property
    def _table(self) -> list[tuple[str, int]]:
        kinds = [(kind, self._kinds[kind]) for kind in KINDS if self._kinds[kind]]
        return [
            *kinds,
            *sorted(self._keys.items()),
            *((f"found {rule}", n) for rule, n in sorted(self._counts.items())),
        ]

    def _fails(self, severity: Severity) -> bool:
        return self._fail_on is not None and severity.rank <= self._fail_on.rank

    def _place(self, row: Row) -> str:
        version = f"?versionId={quote(row.version_id)}" if row.version_id else ""
        return f"s3://{self._bucket}/{row.key}{version}"

    def _write_json(self, stream: TextIO) -> None:
        """Write one object whose `objects` are in lines of their own."""
        head = {
            "version": 1,
            "command": "scan",
            "bucket": self._bucket,
            "checked": {"object": self.objects},
            "failed": self.failed,
            "protections": dict(self._kinds),
            "findings": dict(self._counts),
        }
        stream.write(json.dumps(head)[:-1] + ', "objects": [')
        for number, row in enumerate(self._rows()):
            stream.write((",\n" if number else "\n") + json.dumps(row.data()))
        stream.write("\n]}\n")

    def _write_csv(self, stream: TextIO) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in self._rows():
            worst = min((each.severity for each in row.findings), key=lambda each: each.rank, default=None)
            data = {
                **row.data(),
                "latest": "true" if row.latest else "false",
                "keys": " ".join(row.keys),
                "severity": worst.value if worst is not None else "",
                "findings": " ".join(each.rule for each in row.findings),
            }
            writer.writerow([_plain(str(data[name])) for name in _COLUMNS])


def _plain(text: str) -> str:
    """Keep a spreadsheet from taking what somebody called an object for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
