"""The parts that files of written requests have in common: policies, callers' policies, context, requests.

Every mistake is noted with its position, and reading goes on, so that all of them are told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.index import PolicyGroup
from proxy.policy.names import ACTIONS, MAPPED_KEYS, did_you_mean, find_key, suggest_action, suggest_key
from proxy.policy.parse import parse_policy
from proxy.policy.store import PolicySet, policy_files
from proxy.policy.variables import ContextValue
from proxy.policy.written import Direct, Http, Policies, load_one
from proxy.yamldoc import DocPath, Document, Value

HTTP_KEYS = ("method", "path", "headers", "body", "form", "tls", "source_ip", "source_tagged")
TLS_VERSIONS = ("1.0", "1.1", "1.2", "1.3", "none")
_NULLS = ("null", "~", "")


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


@dataclass(slots=True)
class WrittenFile:
    """A file while it is read. Paths in it are relative to where it is."""

    document: Document
    shelf: Shelf
    rule: str
    """What its mistakes are called."""
    findings: list[Diagnostic] = field(default_factory=list)

    def refuse(self, path: DocPath, message: str, help: str = "", *, at_key: bool = False) -> None:
        """Note a mistake about the value (or key) at `path`."""
        self.findings.append(self.document.diagnostic(path, message, rule=self.rule, help=help, at_key=at_key))

    def known(self, data: Mapping[str, Value], path: DocPath, names: tuple[str, ...]) -> None:
        """Refuse keys that are not among `names`."""
        for name in data:
            if name not in names:
                remedy = did_you_mean(name, names) or f"known here: {', '.join(names)}"
                self.refuse((*path, name), f"unknown key `{name}`", remedy, at_key=True)

    def text(self, data: Mapping[str, Value], key: str, path: DocPath) -> str | None:
        """Return a text, None if it is not there."""
        value = data.get(key)
        if value is None or isinstance(value, str):
            return value
        self.refuse((*path, key), f"`{key}` is not a text", "write one text")
        return None

    def mapping(self, data: Mapping[str, Value], key: str, path: DocPath) -> dict[str, Value]:
        """Return a mapping, empty if it is not there."""
        value = data.get(key, {})
        if isinstance(value, dict):
            return value
        self.refuse((*path, key), f"`{key}` is not a mapping", "write {NAME: VALUE}")
        return {}

    def context(self, data: Mapping[str, Value], path: DocPath) -> dict[str, ContextValue | None]:
        """Read `context`; None is a key that a default has and this request has not."""
        return self.context_at(self.mapping(data, "context", path), (*path, "context"))

    def context_at(self, data: Mapping[str, Value], path: DocPath) -> dict[str, ContextValue | None]:
        """Read condition keys and their values."""
        found: dict[str, ContextValue | None] = {}
        for name, value in data.items():
            place, key = (*path, name), name.lower()
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

    def policies(self, data: Mapping[str, Value], otherwise: Path | None) -> Policies:
        """Load what `policies` names, or `otherwise`."""
        named = data.get("policies")
        if named is None:
            return self.group([] if otherwise is None else [(otherwise, ())])
        items = named if isinstance(named, list) else [named]
        places = []
        for number, item in enumerate(items):
            place: DocPath = ("policies", number) if isinstance(named, list) else ("policies",)
            if isinstance(item, str):
                places += [(file, place) for file in policy_files(self._near(item))]
            else:
                self.refuse(place, "a policy is named by its path", "write a path relative to this file")
        return self.group(places)

    def _near(self, name: str) -> Path:
        return Path(self.document.file).parent / name

    def group(self, places: list[tuple[Path, DocPath]]) -> Policies:
        """Load policies, of the kinds that they look like."""
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

    def identity(self, data: Mapping[str, Value], path: DocPath) -> tuple[PolicyFile, ...] | None:
        """Load the caller's policies; None when the file does not speak of them."""
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

    def what(self, item: Mapping[str, Value], path: DocPath) -> Direct | Http | None:
        """Read a question or HTTP."""
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
