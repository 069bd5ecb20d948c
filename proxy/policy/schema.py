"""The JSON Schema of policy files, for editors: hover texts and completion for every action and key.

It is written from the same tables that the parser reads, so that the two cannot drift apart:

    python -m proxy.policy.schema > proxy/schemas/policy.schema.json

The parser does not use it: its own findings say more. Draft-07 is what editors read everywhere.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TypeAlias

from proxy.policy.conditions import OPERATORS, Operator, Quantifier, find_operator, operator_names
from proxy.policy.names import ACTIONS, KEYS, Action, Key

Schema: TypeAlias = "dict[str, Any]"  # a JSON Schema is any JSON

_ABOUT = {
    "String": "Compares texts exactly; `*` is no wildcard here, except with `Like`.",
    "Numeric": "Compares integers and decimals.",
    "Date": "Compares ISO 8601 dates or seconds since 1970.",
    "Bool": "Compares with `true` or `false`.",
    "Binary": "Compares bytes with base64.",
    "IpAddress": "Compares an address with CIDR ranges.",
    "Arn": "Compares ARNs part by part; `*` and `?` are wildcards.",
    "Null": "`true`: the key is missing; `false`: it is there.",
}


def build_schema() -> Schema:
    """Return the schema of both shapes: a bare AWS document, and one in a wrapper."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://s3warden.invalid/schemas/policy.schema.json",
        "title": "s3warden policy",
        "description": "An AWS policy document, bare or in a wrapper that says which buckets it is for.",
        "type": "object",
        "if": {"required": ["Statement"]},
        "then": {"$ref": "#/definitions/document"},
        "else": {"$ref": "#/definitions/wrapper"},
        "definitions": {
            "wrapper": _wrapper(),
            "document": _document(),
            "statement": _statement(),
            "principal": _principal(),
            "actions": _one_or_more({"$ref": "#/definitions/action"}),
            "action": _action(),
            "resources": _one_or_more({"$ref": "#/definitions/resource"}),
            "resource": _resource(),
            "condition": _condition(),
            "keys": _keys(),
            "values": _one_or_more({"type": ["string", "boolean", "number"]}),
        },
    }


def _object(description: str, properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _one_or_more(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


def _text(description: str, *examples: str) -> Schema:
    return {"type": "string", "description": description, **({"examples": list(examples)} if examples else {})}


def _wrapper() -> Schema:
    mode = _text("`enforce` decides; `report` is evaluated and logged, and neither denies nor grants anything.")
    return _object(
        "An AWS document and what this proxy should know about it.",
        {
            "bucket": _text("Whose policy this is; without it, the buckets that its resources name.", "hr-*"),
            "mode": {**mode, "enum": ["enforce", "report"], "default": "enforce"},
            "description": _text("What the policy is for, and what it does not cover."),
            "policy": {"$ref": "#/definitions/document"},
        },
        ["policy"],
    )


def _document() -> Schema:
    version = _text("Write 2012-10-17: in the older version, which is the default, `${...}` is literal text.")
    statement = _one_or_more({"$ref": "#/definitions/statement"})
    return _object(
        "A policy document as AWS has it.",
        {
            "Version": {**version, "enum": ["2012-10-17", "2008-10-17"]},
            "Id": _text("A name for the document."),
            "Statement": {**statement, "description": "The statements; their order does not matter."},
        },
        ["Statement"],
    )


def _statement() -> Schema:
    effect = _text("`Deny` wins over every `Allow`.")
    statement = _object(
        "Who may or may not do what, on what, and when.",
        {
            "Sid": _text("A name, which decisions and logs give as their reason.", "DenyPlainHttp"),
            "Effect": {**effect, "enum": ["Allow", "Deny"]},
            "Principal": {"$ref": "#/definitions/principal", "description": "Who; not in identity policies."},
            "NotPrincipal": {"$ref": "#/definitions/principal", "description": "Everybody but these; only with Deny."},
            "Action": {"$ref": "#/definitions/actions", "description": "What; `*` and `?` are wildcards."},
            "NotAction": {"$ref": "#/definitions/actions", "description": "Everything but these."},
            "Resource": {"$ref": "#/definitions/resources", "description": "On what; `*` and `?` are wildcards."},
            "NotResource": {"$ref": "#/definitions/resources", "description": "On everything but these."},
            "Condition": {"$ref": "#/definitions/condition", "description": "When; all of it must hold."},
        },
        ["Effect"],
    )
    statement["allOf"] = [
        {"oneOf": [{"required": ["Action"]}, {"required": ["NotAction"]}]},
        {"oneOf": [{"required": ["Resource"]}, {"required": ["NotResource"]}]},
        {"not": {"required": ["Principal", "NotPrincipal"]}},
    ]
    return statement


def _principal() -> Schema:
    named = _one_or_more({"type": "string"})
    types = {
        "AWS": "An account id, an ARN of a user, role, session or account root, or `*`; no wildcards within.",
        "CanonicalUser": "The canonical user id of an account.",
        "Federated": "An identity provider.",
        "Service": "An AWS service, such as `logging.s3.amazonaws.com`.",
    }
    return {
        "anyOf": [
            {"const": "*", "description": "Everybody, anonymous callers included."},
            {
                "type": "object",
                "properties": {name: {**named, "description": about} for name, about in types.items()},
                "additionalProperties": False,
                "minProperties": 1,
            },
        ]
    }


def _action() -> Schema:
    """Known names for completion; patterns, and other services in identity policies, by their shape."""
    names = [{"const": action.name, "description": _about_action(action)} for action in ACTIONS.values()]
    return {"anyOf": [*names, {"type": "string", "pattern": r"^(\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+)$"}]}


def _about_action(action: Action) -> str:
    where = ", ".join(sorted(action.resources)) or "no particular resource"
    return f"{action.level + ', on ' if action.level else 'On '}{where}."


def _resource() -> Schema:
    about = "An ARN. The bucket and its objects are two: `arn:aws:s3:::BUCKET` and `arn:aws:s3:::BUCKET/*`."
    examples = ("arn:aws:s3:::hr-data", "arn:aws:s3:::hr-data/*", "arn:aws:s3:::home/${aws:username}/*")
    return {**_text(about, *examples), "pattern": r"^(\*|arn:[^:]+:[^:]+:[^:]*:[^:]*:.+)$"}


def _condition() -> Schema:
    properties = {
        name: {"$ref": "#/definitions/keys", "description": _about_operator(*found)}
        for name in operator_names()
        if (found := find_operator(name))
    }
    # Operators are taken in any case; only AWS's own spelling is offered.
    known = "|".join(row.name for row in OPERATORS.values() if row.family != "Null")
    any_case = "".join(f"[{char}{char.lower()}]" if char.isupper() else char for char in known)
    pattern = f"^([Ff]or[Aa](llValues|nyValue|llvalues|nyvalue):)?(({any_case})([Ii]f[Ee]xists)?|[Nn]ull)$"
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {pattern: {"$ref": "#/definitions/keys"}},
        "additionalProperties": False,
    }


def _about_operator(operator: Operator, quantifier: Quantifier, if_exists: bool) -> str:
    about = [_ABOUT[operator.family]]
    if operator.negated:
        about.append("Holds when no value fits, and when the key is missing.")
    if quantifier is Quantifier.ALL:
        about.append("Every value of the request must; holds when there are none.")
    if quantifier is Quantifier.ANY:
        about.append("At least one value of the request must.")
    if if_exists:
        about.append("Holds when the key is missing.")
    return " ".join(about)


def _keys() -> Schema:
    properties, families = {}, {}
    for key in KEYS.values():
        described = {"$ref": "#/definitions/values", "description": f"{key.about} ({key.type})"}
        if key.is_family:
            families[f"^{_any_case(key)}.+$"] = described
        else:
            properties[key.name] = described
    # Keys of other services, in identity policies about other services.
    families["^[A-Za-z0-9-]+:.+$"] = {"$ref": "#/definitions/values"}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        "patternProperties": families,
        "additionalProperties": False,
    }


def _any_case(key: Key) -> str:
    return "".join(f"[{char.upper()}{char.lower()}]" if char.isalpha() else char for char in key.name)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(build_schema(), indent=1) + "\n")
