"""The table of rules. Ids are stable for ever: a rule that goes leaves its number unused.

`docs/rules/ID.md` explains each one with a wrong and a right example. Severities are those of AWS Access
Analyzer's ValidatePolicy wherever it has the check.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.diagnostics import Severity

_ERROR = Severity.ERROR
_SECURITY = Severity.SECURITY_WARNING
_WARNING = Severity.WARNING
_SUGGESTION = Severity.SUGGESTION


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding."""

    id: str
    name: str
    """Says in a few words what is wrong; may be written instead of the id."""
    severity: Severity
    title: str
    refused: bool = False
    """Whether the proxy refuses a document with it: such a finding cannot be suppressed."""

    def __str__(self) -> str:
        return f"{self.id} [{self.name}]"


def _refused(id: str, name: str, title: str) -> Rule:
    return Rule(id, name, _ERROR, title, True)


RULES: tuple[Rule, ...] = (
    # 001 to 029: what the parser refuses. The names are the parser's own words.
    _refused("S3W001", "invalid-yaml", "The file is not readable as YAML or JSON without guessing."),
    _refused("S3W002", "wrong-type", "An element has another type than it should."),
    _refused("S3W003", "missing-element", "A required element is missing."),
    _refused("S3W004", "unknown-element", "There is no element of this name."),
    _refused("S3W005", "empty-element", "An element is there but names nothing."),
    _refused("S3W006", "conflicting-elements", "An element and its `Not` form stand side by side."),
    _refused("S3W007", "bad-version", "There is no such version of the policy language."),
    _refused("S3W008", "bad-effect", "`Effect` is neither `Allow` nor `Deny`."),
    _refused("S3W009", "bad-mode", "`mode` is neither `enforce` nor `report`."),
    _refused("S3W010", "bad-principal", "A principal cannot be named like this."),
    _refused("S3W011", "allow-not-principal", "`NotPrincipal` with `Allow` lets in everybody else."),
    _refused("S3W012", "bad-action", "This is not the form of an action."),
    _refused("S3W013", "foreign-action", "A bucket's or a key's policy names another service's action."),
    _refused("S3W014", "unknown-action", "There is no such action, or a pattern fits none."),
    _refused("S3W015", "bad-resource", "A resource is no ARN that this policy can name."),
    _refused("S3W016", "foreign-resource", "A resource lies outside the bucket that the file is for."),
    _refused("S3W017", "unknown-operator", "There is no such condition operator."),
    _refused("S3W018", "unknown-key", "There is no such condition key."),
    _refused("S3W019", "unknowable-key", "A proxy cannot know the value of this condition key."),
    _refused("S3W020", "duplicate-key", "A condition key is given twice for one operator."),
    _refused("S3W021", "bad-value", "An operator cannot read this value."),
    _refused("S3W022", "bad-variable", "A policy variable is written wrongly."),
    # 030 to 049: the document and its text.
    Rule("S3W030", "policy-too-large", _ERROR, "The policy is larger than S3 or IAM accepts."),
    Rule("S3W031", "policy-nearly-too-large", _WARNING, "The policy is below the limit only without its blanks."),
    Rule("S3W032", "missing-version", _WARNING, "Without `Version` a policy is of 2008 and has no variables."),
    Rule("S3W033", "old-version", _SUGGESTION, "Version 2008-10-17 has no policy variables."),
    Rule("S3W034", "literal-variable", _ERROR, "A variable is literal text under this version."),
    Rule("S3W035", "duplicate-sid", _WARNING, "Two statements have the same Sid."),
    Rule("S3W036", "bad-sid", _WARNING, "A Sid has characters that IAM does not accept."),
    Rule("S3W037", "empty-sid", _SUGGESTION, "A Sid is empty."),
    Rule("S3W038", "mangled-scalar", _WARNING, "Other YAML readers make a number or a date of this text."),
    Rule("S3W039", "hidden-characters", _SECURITY, "Invisible or direction-changing characters hide what is written."),
    Rule("S3W040", "lookalike-characters", _SECURITY, "A word mixes letters of several scripts that look alike."),
    # 050 to 069: statements: who, what, on what.
    Rule("S3W050", "action-without-resource", _ERROR, "An action applies to none of the statement's resources."),
    Rule("S3W051", "resource-without-action", _SUGGESTION, "A resource is met by none of the statement's actions."),
    Rule("S3W052", "redundant-action", _SUGGESTION, "An action is covered by another one of the list."),
    Rule("S3W053", "redundant-resource", _SUGGESTION, "A resource is covered by another one of the list."),
    Rule("S3W054", "duplicate-statement", _WARNING, "Two statements say the same."),
    Rule("S3W055", "shadowed-allow", _WARNING, "An Allow lies wholly inside a Deny."),
    Rule("S3W056", "redundant-statement", _SUGGESTION, "A statement is covered by another one."),
    Rule("S3W057", "empty-condition", _SUGGESTION, "A `Condition` is empty."),
    Rule("S3W058", "allow-not-action", _SECURITY, "`NotAction` with `Allow` grants everything that is not listed."),
    Rule("S3W059", "allow-not-resource", _SECURITY, "`NotResource` with `Allow` grants on everything not listed."),
    Rule("S3W060", "public-access", _SECURITY, "Everybody is allowed, anonymous callers included."),
    Rule("S3W061", "deny-not-principal", _WARNING, "`NotPrincipal` with `Deny` denies more callers than meant."),
    Rule("S3W062", "deleted-principal", _WARNING, "A unique id stands for a deleted user or role."),
    Rule("S3W063", "absent-principal", _SUGGESTION, "Callers of this type do not pass a proxy."),
    Rule("S3W064", "never-asked-action", _SUGGESTION, "No request that passes a proxy asks for this action."),
    Rule("S3W065", "other-service", _SUGGESTION, "A statement names actions of other services only."),
    Rule("S3W066", "version-left-open", _SECURITY, "A Deny is walked around by naming a version."),
    Rule("S3W067", "redundant-principal", _SUGGESTION, "A principal is covered by another one of the list."),
    # 070 to 099: conditions.
    Rule("S3W070", "impossible-condition", _ERROR, "No request can meet the conditions on this key together."),
    Rule("S3W071", "null-hides-condition", _ERROR, "Beside `Null: true` another condition on the key has no effect."),
    Rule("S3W072", "redundant-null", _SUGGESTION, "`Null: false` adds nothing to the other condition on the key."),
    Rule("S3W073", "if-exists-negated", _WARNING, "IfExists changes nothing on a negated operator."),
    Rule("S3W074", "unaccepted-value", _ERROR, "S3 never accepts this value."),
    Rule("S3W075", "wildcard-without-like", _WARNING, "A wildcard is a plain character for this operator."),
    Rule("S3W076", "for-all-values-allow", _SECURITY, "An Allow with ForAllValues also holds when the key is missing."),
    Rule("S3W077", "set-operator-on-single-value", _SECURITY, "A set operator is used on a key with a single value."),
    Rule("S3W078", "missing-set-operator", _ERROR, "A key with several values needs ForAllValues or ForAnyValue."),
    Rule("S3W079", "null-with-set-operator", _SUGGESTION, "A set operator changes nothing on `Null`."),
    Rule("S3W080", "type-mismatch", _WARNING, "The operator is for another type than the key's."),
    Rule("S3W081", "type-never-fits", _ERROR, "The operator can read none of the key's values."),
    Rule("S3W082", "not-a-key-arn", _ERROR, "A KMS key is compared, and the value is no key ARN."),
    Rule("S3W083", "not-an-arn", _ERROR, "An ARN is compared, and the value is no ARN."),
    Rule("S3W084", "tls-deny-misses-bucket", _SECURITY, "A Deny of plain HTTP leaves the bucket or its objects out."),
    Rule("S3W085", "tls-version-without-tls", _SECURITY, "A minimum TLS version does not deny plain HTTP."),
    Rule("S3W086", "any-address", _WARNING, "An address range contains every address."),
    Rule("S3W087", "host-bits-set", _SUGGESTION, "An address range is written with bits that it ignores."),
    Rule("S3W088", "redundant-value", _SUGGESTION, "A value is covered by another one of the list."),
    Rule("S3W089", "key-not-carried", _ERROR, "None of the statement's actions carries this condition key."),
    Rule("S3W090", "key-carried-by-some", _WARNING, "Some of the statement's actions do not carry this condition key."),
    Rule("S3W091", "key-never-present", _WARNING, "This condition key is never present at a proxy."),
    Rule("S3W092", "encryption-guard-open", _SECURITY, "UpdateObjectEncryption walks around an encryption guard."),
    Rule("S3W093", "unsigned-payload-open", _WARNING, "Only one of the two unsigned kinds of payload is denied."),
    Rule("S3W094", "spoofable-key", _SECURITY, "An Allow depends on a header that the caller chooses freely."),
    Rule("S3W095", "several-booleans", _ERROR, "`Null` with both `true` and `false` always holds."),
    Rule("S3W096", "parts-denied", _WARNING, "A Deny meets every part of a multipart upload as well."),
    # 100 and up: suppressions.
    Rule("S3W100", "unused-suppression", _WARNING, "A suppression hides nothing."),
    Rule("S3W101", "bad-suppression", _WARNING, "A suppression lacks a reason, or names no rule."),
    Rule("S3W102", "unused-baseline-entry", _WARNING, "A baseline entry hides nothing."),
)

BY_NAME: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in RULES})
_BY_TEXT: Mapping[str, Rule] = MappingProxyType({**BY_NAME, **{rule.id.lower(): rule for rule in RULES}})


def find_rule(text: str) -> Rule | None:
    """Return the rule with this id, in any case, or this name; None when there is none."""
    return _BY_TEXT.get(text.lower())
