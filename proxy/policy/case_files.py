"""Test files: `hr.test.yaml` stands beside `hr.yaml` and says which requests get which verdict.

    policies: [hr.yaml]                # default: the policy of the same name
    identity_policies: [allow.yaml]    # paths, or documents written out
    defaults: {principal: "arn:...", resource_account: "...", context: {...}}
    tests:
      - name: plain uploads are denied
        action: s3:PutObject
        resource: arn:aws:s3:::hr/key
        expect: deny
        sid: NamesItsEncryption
      - http: {method: PUT, path: /hr/key, headers: {x-amz-server-side-encryption: AES256}}
        expect: allow

Every mistake is reported with its position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy import yamldoc
from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.cases import EXPECTATIONS, Case, CaseFile
from proxy.policy.document import PolicyFile
from proxy.policy.index import PolicyGroup
from proxy.policy.variables import ContextValue
from proxy.policy.written import ANONYMOUS_NAMES, Policies, Written
from proxy.policy.written_file import Shelf, WrittenFile
from proxy.yamldoc import DocPath, Document, Value

ENDINGS = (".test.yaml", ".test.yml", ".test.json")
_POLICY_ENDINGS = (".yaml", ".yml", ".json")

FILE_KEYS = ("policies", "identity_policies", "defaults", "tests")
DEFAULT_KEYS = ("principal", "resource_account", "context")
CASE_KEYS = (
    "name",
    "principal",
    "resource_account",
    "context",
    "identity_policies",
    "action",
    "resource",
    "http",
    "expect",
    "sid",
)


def test_files(path: Path | str) -> list[Path]:
    """Return the test files under a folder, beside a policy, or the test file itself."""
    start = Path(path)
    if start.is_dir():
        found = (file for file in start.rglob("*.test.*") if file.name.endswith(ENDINGS))
        return sorted(f for f in found if not any(part.startswith(".") for part in f.relative_to(start).parts))
    if start.name.endswith(ENDINGS):
        return [start]
    if start.suffix in _POLICY_ENDINGS:
        return [beside for end in ENDINGS if (beside := start.with_name(start.stem + end)).is_file()]
    return []


def load_cases(paths: Iterable[Path | str]) -> list[CaseFile]:
    """Load all test files; one `ConfigError` has the mistakes of all of them and of their policies."""
    shelf, loaded, seen = Shelf(), [], set()
    findings: list[Diagnostic] = []
    for path in paths:
        for file in test_files(path):
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            try:
                loaded.append(parse_cases(yamldoc.load(file), shelf))
            except ConfigError as error:
                findings.extend(error.diagnostics)
    if findings:
        raise ConfigError(dict.fromkeys(findings))
    return loaded


def parse_cases(document: Document, shelf: Shelf) -> CaseFile:
    """Read one test file and the policies it names, relative to where it is; raises `ConfigError`."""
    reader = _Reader(document, shelf, "bad-test")
    result = reader.read()
    if reader.findings:
        raise ConfigError(reader.findings)
    return result


class _Reader(WrittenFile):
    def read(self) -> CaseFile:
        file, data = self.document.file, self.document.data
        if not isinstance(data, dict):
            self.refuse((), "a test file is a mapping", "start with `tests:`")
            return CaseFile(file, (), ())
        self.known(data, (), FILE_KEYS)
        policies = self.policies(data, self._beside() if data.get("policies") is None else None)
        tested = policies.files
        defaults = self.mapping(data, "defaults", ())
        self.known(defaults, ("defaults",), DEFAULT_KEYS)
        identity = PolicyGroup(self.identity(data, ()) or (), "identity")
        policies = policies.with_identity(identity.files)
        base = _Defaults(
            policies,
            tested,
            self.text(defaults, "principal", ("defaults",)),
            self.text(defaults, "resource_account", ("defaults",)),
            self.context(defaults, ("defaults",)),
        )
        tests = data.get("tests")
        if not isinstance(tests, list):
            self.refuse(
                ("tests",) if "tests" in data else (), "there is no list of `tests`", "write `tests:` and a list"
            )
            return CaseFile(file, (), tested)
        cases = (self._case(item, ("tests", place), base) for place, item in enumerate(tests))
        return CaseFile(file, tuple(case for case in cases if case is not None), tested)

    def _beside(self) -> Path | None:
        path = Path(self.document.file)
        stem = next((path.name.removesuffix(end) for end in ENDINGS if path.name.endswith(end)), path.stem)
        candidates = [path.with_name(stem + end) for end in _POLICY_ENDINGS]
        found = next((each for each in candidates if each.is_file()), None)
        if found is None:
            self.refuse((), f"there is no policy `{candidates[0].name}` beside this file", "name it under `policies:`")
        return found

    def _case(self, item: Value, path: DocPath, base: _Defaults) -> Case | None:
        if not isinstance(item, dict):
            self.refuse(path, "a test is a mapping", "write {action: ..., resource: ..., expect: ...}")
            return None
        self.known(item, path, CASE_KEYS)
        before = len(self.findings)
        what = self.what(item, path)
        context = {**base.context, **self.context(item, path)}
        principal = self.text(item, "principal", path) or base.principal
        if principal is None:
            self.refuse(path, "the test has no `principal`", "give an ARN, or `anonymous`, here or under `defaults`")
        expect = self.text(item, "expect", path)
        if expect not in EXPECTATIONS:
            remedy = f"write one of {', '.join(EXPECTATIONS)}"
            place = (*path, "expect") if "expect" in item else path
            self.refuse(place, f"`{expect}` is no expectation" if expect else "the test has no `expect`", remedy)
        own = self.identity(item, path)
        sid = self.text(item, "sid", path)
        account = self.text(item, "resource_account", path) or base.account
        name = self.text(item, "name", path)
        if what is None or len(self.findings) > before:
            return None
        policies = base.policies
        if own is not None:
            kept = [policy for policy in base.tested if policy.kind == "identity"]
            policies = Policies(policies.buckets, PolicyGroup((*kept, *own), "identity"), policies.keys)
        given = {key: value for key, value in context.items() if value is not None}
        written = Written(None if principal in ANONYMOUS_NAMES else principal, what, given, account)
        span = self.document.span((*path, "name") if name else path)
        line = self.document.line(span.line)
        return Case(name or str(written), written, expect or "", sid, policies, base.tested, span, line)


@dataclass(frozen=True, slots=True)
class _Defaults:
    policies: Policies
    tested: tuple[PolicyFile, ...]
    principal: str | None
    account: str | None
    context: dict[str, ContextValue | None]
