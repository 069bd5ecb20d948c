"""Reading the elements of a statement: Principal, Action, Resource, Condition.

Each reader reports every mistake it sees, with its position and what to write instead, and returns the
compiled element. An element with a mistake is compiled without its bad parts only so that the rest can
be checked; the document as a whole is refused.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from proxy.diagnostics import Diagnostic
from proxy.policy import names, principals
from proxy.policy.arns import ARN_PARTS
from proxy.policy.conditions import (
    Condition,
    ConditionValueError,
    Operator,
    Quantifier,
    compile_condition,
    find_operator,
    operator_names,
)
from proxy.policy.document import (
    VARIABLES_VERSION,
    Actions,
    Kind,
    Resource,
    Resources,
    compile_actions,
    compile_resource,
)
from proxy.policy.patterns import Token, overlap, tokenize
from proxy.policy.principals import Principals, compile_principals
from proxy.policy.variables import Template, TemplateError, parse_template
from proxy.yamldoc import DocPath, Document, Value

_ACTION = re.compile(r"([A-Za-z0-9-]+):([A-Za-z0-9*?]+)")
_SERVICE_OF: dict[Kind, str] = {"bucket": "s3", "key": "kms"}
_OWN_SERVICES = ("s3", "kms")
_BUCKET_PART = re.compile(r"[A-Za-z0-9._*?-]+")


@dataclass(slots=True)
class Reading:
    """A document while it is read: what it is, what may be used in it, and what was found wrong."""

    document: Document
    kind: Kind
    mapped_keys: frozenset[str]
    version: str = ""
    bucket: tuple[Token, ...] | None = None
    """The wrapper's bucket pattern."""
    foreign: bool = False
    """Whether the statement being read names other services' actions only: then so may its keys."""
    findings: list[Diagnostic] = field(default_factory=list)

    def refuse(self, path: DocPath, rule: str, message: str, help: str = "", *, at_key: bool = False) -> None:
        """Note one mistake about the value (or key) at `path`."""
        self.findings.append(self.document.diagnostic(path, message, rule=rule, help=help, at_key=at_key))

    @property
    def variables(self) -> bool:
        """Whether `${...}` means anything in this document."""
        return self.version == VARIABLES_VERSION

    def texts(self, value: Value, path: DocPath, what: str) -> Iterator[tuple[str, DocPath]]:
        """Yield one text or the texts of a non-empty list, each with its path."""
        items = value if isinstance(value, list) else [value]
        if not items:
            self.refuse(path, "empty-element", f"`{what}` is an empty list", "give at least one value, or leave it out")
        for index, item in enumerate(items):
            place = (*path, index) if isinstance(value, list) else path
            if not isinstance(item, str):
                self.refuse(place, "wrong-type", f"`{what}` takes texts", "write one text or a list of texts")
            elif self.document.is_plain(place) and item in ("", "~", "null"):
                self.refuse(place, "wrong-type", f"`{what}` has no value here", "quote it if a text is meant")
            else:
                yield item, place


def read_principals(reading: Reading, value: Value, path: DocPath, *, negated: bool) -> Principals:
    """Read `Principal` or `NotPrincipal`: `"*"`, or a mapping of types."""
    element = "NotPrincipal" if negated else "Principal"
    written: list[tuple[str, str]] = []
    if value == "*":
        written.append(("AWS", "*"))
    elif not isinstance(value, dict):
        reading.refuse(path, "bad-principal", f'`{element}` is neither "*" nor a mapping', 'write {AWS: "arn:..."}')
    elif not value:
        reading.refuse(path, "empty-element", f"`{element}` names nobody", 'write {AWS: "arn:..."} or "*"')
    else:
        for kind, named in value.items():
            if kind not in principals.TYPES:
                hint = names.did_you_mean(kind, principals.TYPES)
                reading.refuse((*path, kind), "bad-principal", f"unknown type of principal `{kind}`", hint, at_key=True)
                continue
            for text, place in reading.texts(named, (*path, kind), kind):
                try:
                    principals.check_principal(kind, text)
                except principals.PrincipalError as error:
                    reading.refuse(place, "bad-principal", str(error), error.help)
                else:
                    written.append((kind, text))
    return compile_principals(written, negated=negated)


def read_actions(reading: Reading, value: Value, path: DocPath, *, negated: bool) -> Actions:
    """Read `Action` or `NotAction`; a pattern that covers no action is refused."""
    good = []
    for text, place in reading.texts(value, path, "NotAction" if negated else "Action"):
        problem = _action_problem(text, reading.kind)
        if problem:
            reading.refuse(place, problem[0], problem[1], problem[2])
        else:
            good.append(text)
    return compile_actions(good, negated=negated)


def _action_problem(text: str, kind: Kind) -> tuple[str, str, str] | None:
    if text == "*":
        return None
    match = _ACTION.fullmatch(text)
    if match is None:
        return (
            "bad-action",
            f"`{text}` is not an action",
            "write the service, a colon and a name: `s3:GetObject`, `s3:Get*`",
        )
    service = match[1].lower()
    wanted = _SERVICE_OF.get(kind)
    if wanted and service != wanted:
        return (
            "foreign-action",
            f"`{text}` is not an action of `{wanted}`",
            f"a {kind} policy names `{wanted}:` actions only",
        )
    if service not in _OWN_SERVICES or names.expand_action(text):
        return None
    if "*" in match[2] or "?" in match[2]:
        return "unknown-action", f"the pattern `{text}` fits no action", names.suggest_action(text, service)
    return "unknown-action", f"unknown action `{text}`", names.suggest_action(text, service)


def only_foreign(actions: Actions) -> bool:
    """Tell whether a statement names only other services' actions, and so can never match here."""
    return not actions.negated and not actions.names


def read_resources(reading: Reading, value: Value, path: DocPath, *, negated: bool) -> Resources:
    """Read `Resource` or `NotResource`."""
    items = []
    for text, place in reading.texts(value, path, "NotResource" if negated else "Resource"):
        problem = _resource_problem(reading, text)
        if problem:
            reading.refuse(place, "bad-resource", *problem)
            continue
        template = _read_template(reading, text, place, wildcards=True, variables=True)
        if template is None:
            continue
        item = compile_resource(template)
        items.append(item)
        _check_bucket(reading, item, place)
    return Resources(tuple(items), negated)


def _resource_problem(reading: Reading, text: str) -> tuple[str, str] | None:
    if text == "*":
        if reading.kind != "bucket":
            return None
        return "a bucket policy names its bucket", "write `arn:aws:s3:::BUCKET` and `arn:aws:s3:::BUCKET/*`"
    parts = text.split(":", ARN_PARTS - 1)
    if len(parts) < ARN_PARTS or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        return f"`{text}` is not an ARN", "write `arn:aws:s3:::BUCKET` or `arn:aws:s3:::BUCKET/*`"
    if reading.variables and any("${" in part for part in parts[:5]):
        return "a variable before the fifth colon of an ARN", "use variables only in the last part"
    if "*" in parts[2] or "?" in parts[2]:
        return f"`{text}` has a wildcard for its service", "name the service: `s3`"
    if reading.kind == "key" and parts[2] != "kms":
        return (
            f"`{text}` is not the ARN of a key",
            'write "*", which means this key, or `arn:aws:kms:REGION:ACCOUNT:key/NAME`',
        )
    if reading.kind == "bucket":
        return _bucket_arn_problem(text, parts)
    return None


def _bucket_arn_problem(text: str, parts: list[str]) -> tuple[str, str] | None:
    if parts[2] != "s3" or parts[3] or parts[4]:
        return (
            f"`{text}` is not the ARN of a bucket or object",
            "write `arn:aws:s3:::BUCKET` or `arn:aws:s3:::BUCKET/*`",
        )
    if not re.fullmatch(r"aws[a-z-]*", parts[1]):
        return f"`{parts[1]}` is not a partition", "write `arn:aws:s3:::...`"
    bucket = parts[5].partition("/")[0]
    if "${" not in bucket and not _BUCKET_PART.fullmatch(bucket):
        return f"`{bucket}` cannot be a bucket's name", "write `arn:aws:s3:::BUCKET/KEY`, without a leading slash"
    return None


def _check_bucket(reading: Reading, item: Resource, path: DocPath) -> None:
    """Refuse an ARN outside the wrapper's bucket: it could never match, as S3 itself would refuse it."""
    if reading.bucket is None:
        return
    head = ":".join(item.template.source.split(":")[:5]) + ":"
    inside = (head, *reading.bucket)
    if not any(overlap(item.template.widest, target) for target in (inside, (*inside, "/", *tokenize("*")))):
        message = f"`{item.template.source}` is outside the bucket that this file is for"
        reading.refuse(path, "foreign-resource", message, "name the bucket given under `bucket`")


def _read_template(reading: Reading, text: str, path: DocPath, *, wildcards: bool, variables: bool) -> Template | None:
    try:
        template = parse_template(text, wildcards=wildcards, variables=variables and reading.variables)
    except TemplateError as error:
        reading.refuse(path, "bad-variable", str(error), error.help)
        return None
    for variable in template.variables:
        key = _check_key(reading, variable.key, path, at_key=False)
        if key is not None and key.multivalued:
            reading.refuse(path, "bad-variable", f"`{key.name}` has several values", "use a key with a single value")
    return template


def _check_key(reading: Reading, text: str, path: DocPath, *, at_key: bool) -> names.Key | None:
    key = names.find_key(text)
    if reading.foreign:
        return key
    if key is None:
        reading.refuse(path, "unknown-key", f"unknown condition key `{text}`", names.suggest_key(text), at_key=at_key)
        return None
    if key.source == "mapped" and text.lower() not in reading.mapped_keys:
        remedy = "give its value under `condition_values` in the configuration, or leave it out"
        reading.refuse(path, "unknowable-key", f"a proxy cannot know `{key.name}`", remedy, at_key=at_key)
    return key


def read_conditions(reading: Reading, value: Value, path: DocPath) -> tuple[Condition, ...]:
    """Read `Condition`."""
    if not isinstance(value, dict):
        reading.refuse(path, "wrong-type", "`Condition` is not a mapping", "write {StringEquals: {KEY: VALUE}}")
        return ()
    found: list[Condition] = []
    seen: set[tuple[str, str]] = set()
    for written, block in value.items():
        place = (*path, written)
        operator = find_operator(written)
        if operator is None:
            reading.refuse(
                place, "unknown-operator", f"unknown operator `{written}`", _operator_help(written), at_key=True
            )
            continue
        if not isinstance(block, dict):
            reading.refuse(place, "wrong-type", f"`{written}` is not a mapping", "write {KEY: VALUE} below it")
            continue
        for key, values in block.items():
            # Names differ in case only: which of the two wins is anybody's guess, so neither does.
            if (written.lower(), key.lower()) in seen:
                reading.refuse((*place, key), "duplicate-key", f"`{key}` is given twice for `{written}`", at_key=True)
            seen.add((written.lower(), key.lower()))
            _check_key(reading, key, (*place, key), at_key=True)
            condition = _read_condition(reading, operator, written, key, values, (*place, key))
            if condition is not None:
                found.append(condition)
    return tuple(found)


def _operator_help(written: str) -> str:
    if written.lower().endswith("nullifexists"):
        return "`Null` already asks whether the key exists: write `Null`"
    return names.did_you_mean(written, operator_names())


def _read_condition(
    reading: Reading,
    found: tuple[Operator, Quantifier, bool],
    written: str,
    key: str,
    values: Value,
    path: DocPath,
) -> Condition | None:
    operator, quantifier, if_exists = found
    templates: list[Template] = []
    places: list[DocPath] = []
    for text, place in reading.texts(values, path, key):
        template = _read_template(reading, text, place, wildcards=operator.wildcards, variables=operator.variables)
        if template is not None:
            # Checked one by one, so that a mistake is shown where it stands.
            try:
                operator.reader(template)
            except ConditionValueError as error:
                reading.refuse(place, "bad-value", str(error), error.help)
            else:
                templates.append(template)
                places.append(place)
    if not templates:
        return None
    if len(templates) > 1 and not operator.many:
        reading.refuse(
            places[1], "bad-value", f"`{written}` takes one value", "keep one; `true` or `false` is always met"
        )
    span = reading.document.key_span(path)
    return compile_condition(operator, quantifier, if_exists, key.lower(), templates, written=written, span=span)
