"""Checks of Action and Resource: what belongs together, what is said twice, what never happens.

Source: Service Authorization Reference, columns "Actions" and "Resource types".
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.diagnostics import Diagnostic, Severity
from proxy.policy.document import Resource
from proxy.policy.lint.cover import covers_arn, covers_tokens, redundant
from proxy.policy.lint.subject import Check, Part, Subject
from proxy.policy.names import ACTIONS, expand_action
from proxy.policy.patterns import tokenize
from proxy.s3.operations import OPERATIONS

_ALL = frozenset({"*", "bucket", "object", "other"})


def _asked() -> frozenset[str]:
    names: set[str] = set()
    for operation in OPERATIONS.values():
        names.update(operation.actions, operation.versioned_actions)
        names.update(operation.source_actions, operation.versioned_source_actions)
        names.update(extra.action for extra in operation.extra_actions)
    return frozenset(name.lower() for name in names)


ASKED = _asked()
"""Lower-case names of the actions that some request through a proxy asks for."""


def resource_kinds(item: Resource) -> frozenset[str]:
    """Tell what an ARN can name: a bucket, an object, something else of S3, or anything (`*`)."""
    source = item.template.source
    if source == "*":
        return _ALL
    parts = source.split(":", 5)
    if len(parts) < 6 or (parts[2], parts[3], parts[4]) != ("s3", "", ""):
        return frozenset({"other"})
    bucket, slash, _ = parts[5].partition("/")
    if slash:
        return frozenset({"object"})
    return frozenset({"bucket", "object"}) if set("*?$") & set(bucket) else frozenset({"bucket"})


def action_kinds(name: str) -> frozenset[str]:
    """Tell what an action, in lower case, applies to."""
    types = ACTIONS[name].resources
    if not types:
        return frozenset({"*"})
    # Access points and the like stand beside buckets and objects in AWS's table; they say nothing new.
    return types & {"bucket", "object"} or frozenset({"other"})


def mismatches(subject: Subject) -> Iterator[Diagnostic]:
    """S3W050, S3W051: actions and resources of a statement that do not meet."""
    if subject.policy.kind == "key":
        return
    for part in subject.sound_parts():
        resources, actions = part.statement.resources, part.statement.actions
        if resources.negated or actions.negated or not actions.names:
            continue
        offered = frozenset().union(*(resource_kinds(item) for item in resources.items))
        wanted = frozenset().union(*(action_kinds(name) for name in actions.names))
        yield from _idle_actions(subject, part, offered)
        if len(resources.items) > 1 and offered & wanted:
            for (text, path), item in zip(part.texts("Resource"), resources.items, strict=True):
                if not resource_kinds(item) & wanted:
                    message = f"none of the actions applies to `{text}`"
                    yield subject.found("resource-without-action", path, message, "leave it out")


def _idle_actions(subject: Subject, part: Part, offered: frozenset[str]) -> Iterator[Diagnostic]:
    # IAM takes such an identity policy; S3 refuses such a bucket policy.
    severity = None if subject.policy.kind == "bucket" else Severity.WARNING
    for text, path in part.texts("Action"):
        covered = expand_action(text)
        wanted = frozenset().union(*(action_kinds(name) for name in covered))
        if covered and not wanted & offered:
            message = f"`{text}` applies to none of the resources"
            yield subject.found("action-without-resource", path, message, _wanted_help(wanted), severity=severity)


def _wanted_help(wanted: frozenset[str]) -> str:
    if wanted == {"object"}:
        return "it is an action on objects: add `arn:aws:s3:::BUCKET/*`"
    if wanted == {"bucket"}:
        return "it is an action on the bucket itself: add `arn:aws:s3:::BUCKET`"
    if wanted == {"*"}:
        return 'it is about no bucket: in an identity policy, write Resource: "*"'
    return "it is about something else than buckets and objects"


def redundancies(subject: Subject) -> Iterator[Diagnostic]:
    """S3W052, S3W053: entries that others of the same list cover."""
    for part in subject.sound_parts():
        actions = part.texts("Action")
        for place, other in redundant([text.lower() for text, _ in actions], _covers_action, str):
            text, path = actions[place]
            message = f"`{actions[other][0]}` covers `{text}`"
            yield subject.found("redundant-action", path, message, "leave it out")
        resources = part.texts("Resource")
        arns = [item.template for item in part.statement.resources.items]
        for place, other in redundant(arns, covers_arn, lambda arn: arn.source):
            text, path = resources[place]
            message = f"`{resources[other][0]}` covers `{text}`"
            yield subject.found("redundant-resource", path, message, "leave it out")


def _covers_action(wide: str, narrow: str) -> bool:
    return covers_tokens(tokenize(wide), tokenize(narrow))


def unasked(subject: Subject) -> Iterator[Diagnostic]:
    """S3W064, S3W065: actions that never come up here."""
    for part in subject.sound_parts():
        actions = part.statement.actions
        if not actions.negated and not actions.names:
            remedy = "it has no effect here; it may have one where it is also used"
            message = "the statement names actions of other services only"
            yield subject.found("other-service", part.element("Action"), message, remedy, at_key=True)
            continue
        for text, path in part.texts("Action"):
            name = text.lower()
            if name in ACTIONS and name.startswith("s3:") and name not in ASKED:
                message = f"no request through a proxy asks for `{text}`"
                yield subject.found("never-asked-action", path, message, "leave it out, unless S3 itself reads this")


CHECKS: tuple[Check, ...] = (mismatches, redundancies, unasked)
