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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy import yamldoc
from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.cases import EXPECTATIONS, Case, CaseFile
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.index import PolicyGroup
from proxy.policy.names import ACTIONS, MAPPED_KEYS, did_you_mean, find_key, suggest_action, suggest_key
from proxy.policy.parse import parse_policy
from proxy.policy.store import PolicySet, policy_files
from proxy.policy.variables import ContextValue
from proxy.policy.written import ANONYMOUS_NAMES, Direct, Http, Policies, Written, load_one
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
HTTP_KEYS = ("method", "path", "headers", "body", "form", "tls", "source_ip", "source_tagged")
TLS_VERSIONS = ("1.0", "1.1", "1.2", "1.3", "none")
_NULLS = ("null", "~", "")


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


@dataclass(slots=True)
class Shelf:
    """Policies that were loaded already: many test files share some."""

    _loaded: dict[tuple[Path, Kind | None], PolicyFile] = field(default_factory=dict)

    def take(self, path: Path, kind: Kind | None = None) -> PolicyFile:
        """Load a policy, once; raises `ConfigError`."""
        place = (path.resolve(), kind)
        if place not in self._loaded:
            self._loaded[place] = load_one(path, kind)
        return self._loaded[place]


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
    reader = _Reader(document, shelf)
    result = reader.read()
    if reader.findings:
        raise ConfigError(reader.findings)
    return result


@dataclass(slots=True)
class _Reader:
    document: Document
    shelf: Shelf
    findings: list[Diagnostic] = field(default_factory=list)

    def read(self) -> CaseFile:
        file, data = self.document.file, self.document.data
        if not isinstance(data, dict):
            self.refuse((), "a test file is a mapping", "start with `tests:`")
            return CaseFile(file, (), ())
        self.known(data, (), FILE_KEYS)
        policies = self._policies(data)
        tested = policies.files
        defaults = self.mapping(data, "defaults", ())
        self.known(defaults, ("defaults",), DEFAULT_KEYS)
        identity = PolicyGroup(self._identity(data, ()) or (), "identity")
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

    def refuse(self, path: DocPath, message: str, help: str = "", *, at_key: bool = False) -> None:
        self.findings.append(self.document.diagnostic(path, message, rule="bad-test", help=help, at_key=at_key))

    def known(self, data: Mapping[str, Value], path: DocPath, names: tuple[str, ...]) -> None:
        for name in data:
            if name not in names:
                remedy = did_you_mean(name, names) or f"known here: {', '.join(names)}"
                self.refuse((*path, name), f"unknown key `{name}`", remedy, at_key=True)

    def text(self, data: Mapping[str, Value], key: str, path: DocPath) -> str | None:
        value = data.get(key)
        if value is None or isinstance(value, str):
            return value
        self.refuse((*path, key), f"`{key}` is not a text", "write one text")
        return None

    def mapping(self, data: Mapping[str, Value], key: str, path: DocPath) -> dict[str, Value]:
        value = data.get(key, {})
        if isinstance(value, dict):
            return value
        self.refuse((*path, key), f"`{key}` is not a mapping", "write {NAME: VALUE}")
        return {}

    def context(self, data: Mapping[str, Value], path: DocPath) -> dict[str, ContextValue | None]:
        """Read condition keys; None is a key that a default has and this request has not."""
        found: dict[str, ContextValue | None] = {}
        for name, value in self.mapping(data, "context", path).items():
            place, key = (*path, "context", name), name.lower()
            if find_key(name) is None:
                self.refuse(place, f"unknown condition key `{name}`", suggest_key(name), at_key=True)
            if key in found:
                self.refuse(place, f"`{name}` is given twice", "keep one spelling", at_key=True)
            if isinstance(value, str):
                found[key] = None if value in _NULLS and self.document.is_plain(place) else value
            elif isinstance(value, list) and all(isinstance(item, str) for item in value):
                found[key] = tuple(item for item in value if isinstance(item, str))
            else:
                self.refuse(place, f"`{name}` is neither a text nor a list of texts", "write a text or a list")
        return found

    def _policies(self, data: Mapping[str, Value]) -> Policies:
        named = data.get("policies")
        if named is None:
            beside = self._beside()
            return self._group([] if beside is None else [(beside, ())])
        items = named if isinstance(named, list) else [named]
        places = []
        for number, item in enumerate(items):
            place: DocPath = ("policies", number) if isinstance(named, list) else ("policies",)
            if isinstance(item, str):
                places += [(file, place) for file in policy_files(self._near(item))]
            else:
                self.refuse(place, "a policy is named by its path", "write a path relative to this file")
        return self._group(places)

    def _beside(self) -> Path | None:
        path = Path(self.document.file)
        stem = next((path.name.removesuffix(end) for end in ENDINGS if path.name.endswith(end)), path.stem)
        candidates = [path.with_name(stem + end) for end in _POLICY_ENDINGS]
        found = next((each for each in candidates if each.is_file()), None)
        if found is None:
            self.refuse((), f"there is no policy `{candidates[0].name}` beside this file", "name it under `policies:`")
        return found

    def _near(self, name: str) -> Path:
        return Path(self.document.file).parent / name

    def _group(self, places: list[tuple[Path, DocPath]]) -> Policies:
        found: dict[Kind, list[PolicyFile]] = {"bucket": [], "identity": [], "key": []}
        for path, place in places:
            policy = self._take(path, None, place)
            if policy is not None:
                found[policy.kind].append(policy)
        return Policies(
            PolicySet(found["bucket"]), PolicyGroup(found["identity"], "identity"), PolicyGroup(found["key"], "key")
        )

    def _take(self, path: Path, kind: Kind | None, place: DocPath) -> PolicyFile | None:
        if not path.is_file():
            self.refuse(place, f"cannot read `{path}`", "paths are relative to this file")
            return None
        try:
            return self.shelf.take(path, kind)
        except ConfigError as error:
            self.findings.extend(error.diagnostics)
            return None

    def _identity(self, data: Mapping[str, Value], path: DocPath) -> tuple[PolicyFile, ...] | None:
        value = data.get("identity_policies")
        if value is None:
            return None
        found = []
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items):
            place: DocPath = (*path, "identity_policies")
            place = (*place, number) if isinstance(value, list) else place
            if isinstance(item, str):
                found += [self._take(file, "identity", place) for file in policy_files(self._near(item))]
            elif isinstance(item, dict):
                found.append(self._written_out(place))
            else:
                self.refuse(place, "neither a path nor a policy", "write a path relative to this file, or a document")
        return tuple(policy for policy in found if policy is not None)

    def _written_out(self, place: DocPath) -> PolicyFile | None:
        try:
            return parse_policy(self.document.part(place), "identity", MAPPED_KEYS)
        except ConfigError as error:
            self.findings.extend(error.diagnostics)
            return None

    def _case(self, item: Value, path: DocPath, base: _Defaults) -> Case | None:
        if not isinstance(item, dict):
            self.refuse(path, "a test is a mapping", "write {action: ..., resource: ..., expect: ...}")
            return None
        self.known(item, path, CASE_KEYS)
        before = len(self.findings)
        what = self._what(item, path)
        context = {**base.context, **self.context(item, path)}
        principal = self.text(item, "principal", path) or base.principal
        if principal is None:
            self.refuse(path, "the test has no `principal`", "give an ARN, or `anonymous`, here or under `defaults`")
        expect = self.text(item, "expect", path)
        if expect not in EXPECTATIONS:
            remedy = f"write one of {', '.join(EXPECTATIONS)}"
            place = (*path, "expect") if "expect" in item else path
            self.refuse(place, f"`{expect}` is no expectation" if expect else "the test has no `expect`", remedy)
        own = self._identity(item, path)
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

    def _what(self, item: Mapping[str, Value], path: DocPath) -> Direct | Http | None:
        if "http" in item:
            for name in ("action", "resource"):
                if name in item:
                    self.refuse(
                        (*path, name), f"`{name}` beside `http`", "leave it out: the request says it", at_key=True
                    )
            return self._http(self.mapping(item, "http", path), (*path, "http"))
        action, resource = self.text(item, "action", path), self.text(item, "resource", path)
        if action is None or resource is None:
            self.refuse(path, "the test asks for nothing", "give `action` and `resource`, or `http`")
            return None
        if action.lower() not in ACTIONS and action.lower().startswith(("s3:", "kms:")):
            service = action.partition(":")[0].lower()
            self.refuse((*path, "action"), f"unknown action `{action}`", suggest_action(action, service))
        if not resource.startswith("arn:") and resource != "*":
            self.refuse((*path, "resource"), f"`{resource}` is not an ARN", "write `arn:aws:s3:::BUCKET/KEY`")
        return Direct(action, resource)

    def _http(self, data: Mapping[str, Value], path: DocPath) -> Http | None:
        self.known(data, path, HTTP_KEYS)
        method, target = self.text(data, "method", path), self.text(data, "path", path)
        if not method or not target or not target.startswith("/"):
            self.refuse(path, "`http` needs a `method` and a `path`", "write {method: GET, path: /BUCKET/KEY}")
            return None
        tls = self.text(data, "tls", path) or "1.3"
        if tls not in TLS_VERSIONS:
            self.refuse((*path, "tls"), f"`{tls}` is no version of TLS", f"write one of {', '.join(TLS_VERSIONS)}")
        return Http(
            method,
            target,
            tuple(self._texts(data, "headers", path).items()),
            self.text(data, "body", path) or "",
            {name.lower(): value for name, value in self._texts(data, "form", path).items()},
            None if tls == "none" else tls,
            self.text(data, "source_ip", path) or "192.0.2.1",
            self.text(data, "source_tagged", path) == "true",
        )

    def _texts(self, data: Mapping[str, Value], key: str, path: DocPath) -> dict[str, str]:
        found = self.mapping(data, key, path)
        for name, value in found.items():
            if not isinstance(value, str):
                self.refuse((*path, key, name), f"`{name}` is not a text", "write one text")
        return {name: value for name, value in found.items() if isinstance(value, str)}


@dataclass(frozen=True, slots=True)
class _Defaults:
    policies: Policies
    tested: tuple[PolicyFile, ...]
    principal: str | None
    account: str | None
    context: dict[str, ContextValue | None]
