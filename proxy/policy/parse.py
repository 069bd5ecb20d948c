"""From a YAML or JSON document to a compiled policy; what is not understood is refused.

Two shapes are read: a bare AWS document, and a wrapper that adds `bucket`, `mode` and `description` to
one under `policy`. An unknown element, operator, condition key or action refuses the whole document, and
one error carries every finding with its position: ignoring what one does not know is how a conditional
Allow becomes an unconditional one.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from proxy.diagnostics import Diagnostic
from proxy.errors import ConfigError
from proxy.policy.document import VARIABLES_VERSION, Actions, Kind, Mode, PolicyFile, Resources, Statement
from proxy.policy.elements import (
    Reading,
    only_foreign,
    read_actions,
    read_conditions,
    read_principals,
    read_resources,
)
from proxy.policy.names import did_you_mean
from proxy.policy.patterns import Pattern, compile_text
from proxy.policy.principals import Principals
from proxy.yamldoc import DocPath, Document, Value

WRAPPER = ("bucket", "mode", "description", "policy")
DOCUMENT = ("Version", "Id", "Statement")
STATEMENT = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
VERSIONS = (VARIABLES_VERSION, "2008-10-17")


def parse_policy(document: Document, kind: Kind, mapped_keys: Collection[str] = ()) -> PolicyFile:
    """Compile the policy in `document`; raises `ConfigError` with every mistake in it.

    `mapped_keys` are the condition keys, in any case, whose values the configuration gives because a proxy
    cannot know them.
    """
    policy, findings = read_policy(document, kind, mapped_keys)
    if findings or policy is None:
        raise ConfigError(findings)
    return policy


def read_policy(
    document: Document, kind: Kind, mapped_keys: Collection[str] = ()
) -> tuple[PolicyFile | None, list[Diagnostic]]:
    """Compile what can be compiled, and tell what is wrong: for tools that go on where the proxy stops.

    A policy with findings must not decide anything: its bad parts are left out.
    """
    reading = Reading(document, kind, frozenset(key.lower() for key in mapped_keys))
    return _read_file(reading), reading.findings


def guess_kind(document: Document) -> Kind:
    """Tell what a file without further context is: a policy without principals is an identity's."""
    data = document.data
    if isinstance(data, dict) and isinstance(data.get("policy"), dict):
        data = data["policy"]
    statements = data.get("Statement") if isinstance(data, dict) else None
    listed = statements if isinstance(statements, list) else [statements]
    named = [item for item in listed if isinstance(item, dict)]
    if not any("Principal" in item or "NotPrincipal" in item for item in named):
        return "identity"
    actions = [action for item in named for action in _flat(item.get("Action", item.get("NotAction")))]
    return "key" if any(action.lower().startswith("kms:") for action in actions) else "bucket"


def minified_size(policy: PolicyFile) -> int:
    """Return the bytes of the AWS document as JSON without blanks; S3 accepts 20,480 for a bucket policy."""
    data = policy.document.data
    if policy.root and isinstance(data, dict):
        data = data["policy"]
    return len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())


def _flat(value: Value | None) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _read_file(reading: Reading) -> PolicyFile | None:
    document = reading.document
    data = document.data
    if not isinstance(data, dict):
        reading.refuse((), "wrong-type", "a policy is a mapping", "start with `Version:` and `Statement:`")
        return None
    bucket: Pattern | None = None
    mode: Mode = "enforce"
    description, body = "", data
    root: DocPath = ()
    if "Statement" not in data and any(name in data for name in WRAPPER):
        _check_names(reading, data, (), WRAPPER)
        bucket = _read_bucket(reading, data.get("bucket"))
        mode = _read_mode(reading, data.get("mode", "enforce"))
        description = _read_text(reading, data.get("description", ""), ("description",))
        wrapped = data.get("policy")
        if not isinstance(wrapped, dict):
            reading.refuse(
                ("policy",), "missing-element", "there is no `policy`", "put the AWS document under `policy:`"
            )
            return None
        root, body = ("policy",), wrapped
    _check_names(reading, body, root, DOCUMENT)
    version = _read_version(reading, body, root)
    identifier = _read_text(reading, body.get("Id", ""), (*root, "Id"))
    statements = _read_statements(reading, body, root)
    revision = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    return PolicyFile(
        document.file,
        reading.kind,
        mode,
        bucket,
        description,
        version,
        identifier,
        statements,
        document,
        root,
        revision,
    )


def _check_names(reading: Reading, data: dict[str, Value], path: DocPath, known: tuple[str, ...]) -> None:
    for name in data:
        if name in known:
            continue
        remedy = did_you_mean(name, known)
        if known is DOCUMENT and name in WRAPPER:
            remedy = "beside it, put the AWS document under `policy:`"
        reading.refuse((*path, name), "unknown-element", f"unknown element `{name}`", remedy, at_key=True)


def _read_text(reading: Reading, value: Value, path: DocPath) -> str:
    if isinstance(value, str):
        return value
    reading.refuse(path, "wrong-type", f"`{path[-1]}` is not a text", "write one text")
    return ""


def _read_bucket(reading: Reading, value: Value | None) -> Pattern | None:
    if value is None:
        return None
    if reading.kind != "bucket":
        reading.refuse(
            ("bucket",), "unknown-element", f"a {reading.kind} policy has no `bucket`", "leave it out", at_key=True
        )
    text = _read_text(reading, value, ("bucket",))
    if not text:
        reading.refuse(("bucket",), "empty-element", "`bucket` is empty", "write a bucket's name, or a pattern: `hr-*`")
        return None
    pattern = compile_text(text)
    reading.bucket = pattern.tokens
    return pattern


def _read_mode(reading: Reading, value: Value) -> Mode:
    if value == "report":
        return "report"
    if value != "enforce":
        reading.refuse(("mode",), "bad-mode", "`mode` is neither `enforce` nor `report`", "write `mode: enforce`")
    return "enforce"


def _read_version(reading: Reading, body: dict[str, Value], root: DocPath) -> str:
    """Without `Version` a document is of 2008, and `${...}` in it is literal text."""
    version = body.get("Version", VERSIONS[1])
    if version not in VERSIONS:
        remedy = f'write Version: "{VERSIONS[0]}"'
        reading.refuse((*root, "Version"), "bad-version", f"`{version}` is no version of the policy language", remedy)
    reading.version = version if isinstance(version, str) else ""
    return reading.version


def _read_statements(reading: Reading, body: dict[str, Value], root: DocPath) -> tuple[Statement, ...]:
    path = (*root, "Statement")
    value = body.get("Statement")
    if value is None or value == []:
        reading.refuse(
            path if value == [] else root, "missing-element", "there is no `Statement`", "write at least one"
        )
        return ()
    items = value if isinstance(value, list) else [value]
    found = []
    for index, item in enumerate(items):
        place = (*path, index) if isinstance(value, list) else path
        if isinstance(item, dict):
            found.append(_read_statement(reading, item, place, index))
        else:
            reading.refuse(place, "wrong-type", "a statement is a mapping", "write {Effect: ..., Action: ..., ...}")
    return tuple(found)


def _read_statement(reading: Reading, item: dict[str, Value], path: DocPath, index: int) -> Statement:
    _check_names(reading, item, path, STATEMENT)
    effect = item.get("Effect")
    if effect is None:
        reading.refuse(
            path, "missing-element", "the statement has no `Effect`", "write `Effect: Allow` or `Effect: Deny`"
        )
    elif effect not in ("Allow", "Deny"):
        remedy = "write `Allow` or `Deny`, in this case"
        reading.refuse((*path, "Effect"), "bad-effect", f"`{effect}` is not an effect", remedy)
    principals = _read_principals(reading, item, path)
    actions = _read_actions(reading, item, path)
    reading.foreign = reading.kind == "identity" and only_foreign(actions)
    resources = _read_resources(reading, item, path)
    condition = item.get("Condition", {})
    return Statement(
        policy=reading.document.file,
        kind=reading.kind,
        index=index,
        sid=_read_text(reading, item.get("Sid", ""), (*path, "Sid")),
        # Anything but Allow is taken for Deny; with a wrong effect the document is refused anyway.
        effect="Allow" if effect == "Allow" else "Deny",
        principals=principals,
        actions=actions,
        resources=resources,
        conditions=read_conditions(reading, condition, (*path, "Condition")),
        span=reading.document.span(path),
        path=path,
    )


def _which(reading: Reading, item: dict[str, Value], path: DocPath, name: str) -> str | None:
    """Find out which of an element and its `Not` form is given; exactly one must be."""
    negated = f"Not{name}"
    if name in item and negated in item:
        message = f"the statement has both `{name}` and `{negated}`"
        reading.refuse((*path, negated), "conflicting-elements", message, "keep one of them", at_key=True)
    elif name not in item and negated not in item:
        remedy = f"add `{name}`: it would match nothing without"
        reading.refuse(path, "missing-element", f"the statement has no `{name}`", remedy)
        return None
    return name if name in item else negated


def _read_principals(reading: Reading, item: dict[str, Value], path: DocPath) -> Principals | None:
    if reading.kind == "identity":
        for name in ("Principal", "NotPrincipal"):
            if name in item:
                message = f"an identity policy has no `{name}`"
                remedy = "leave it out: the policy is for the identity that it is attached to"
                reading.refuse((*path, name), "unknown-element", message, remedy, at_key=True)
        return None
    element = _which(reading, item, path, "Principal")
    if element is None:
        return None
    negated = element == "NotPrincipal"
    if negated and item.get("Effect") == "Allow":
        message = "`NotPrincipal` with `Allow` would let in everybody else, anonymous callers included"
        reading.refuse(
            (*path, element), "allow-not-principal", message, "list who is allowed under `Principal`", at_key=True
        )
    return read_principals(reading, item[element], (*path, element), negated=negated)


def _read_actions(reading: Reading, item: dict[str, Value], path: DocPath) -> Actions:
    name = _which(reading, item, path, "Action") or "Action"
    if name not in item:
        return Actions((), False, frozenset(), ())
    return read_actions(reading, item[name], (*path, name), negated=name == "NotAction")


def _read_resources(reading: Reading, item: dict[str, Value], path: DocPath) -> Resources:
    name = _which(reading, item, path, "Resource") or "Resource"
    if name not in item:
        return Resources((), False)
    return read_resources(reading, item[name], (*path, name), negated=name == "NotResource")
