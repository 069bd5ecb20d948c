"""Requests from logs: our decision log, S3 server access logs, CloudTrail data events.

A log does not tell everything that policies look at. Each request comes with the condition keys that its
log settles, present or absent; all others that its action could carry are unknown.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-understanding-s3-entries.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from proxy.errors import S3Error
from proxy.policy.variables import Context, ContextValue
from proxy.policy.written import Direct, Http, Written
from proxy.s3.copy_source import parse_copy_source
from proxy.s3.head import percent_decode
from proxy.s3.operation import Operation
from proxy.s3.operations import OPERATIONS

_CALLER = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:username",
        "aws:principalisawsservice",
        "aws:viaawsservice",
        "aws:resourceaccount",
        "s3:resourceaccount",
        "aws:sourceip",
        "aws:currenttime",
        "aws:epochtime",
    }
)
_SIGNING = frozenset({"s3:authtype", "s3:signatureversion", "s3:signatureage", "s3:x-amz-content-sha256"})
_LISTING = frozenset({"s3:prefix", "s3:delimiter", "s3:max-keys", "s3:versionid"})
_FIELD = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.|"(?=[^ ]))*)"|(\S+)')
_CANONICAL = re.compile(r"[0-9a-f]{64}")
_AUTH = {"AuthHeader": "REST-HEADER", "QueryString": "REST-QUERY-STRING"}
_VERSIONS = {"SigV4": "AWS4-HMAC-SHA256", "SigV2": "AWS"}
_MIN_FIELDS = 17


class SkippedError(ValueError):
    """A line that holds no request whose verdict could be asked again; says why."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One request from a log."""

    place: str
    """File and line."""
    requests: tuple[Written, ...]
    """All of them must be allowed."""
    allowed: bool
    """What was decided then."""
    known: frozenset[str]
    """The lower-case condition keys that the log settles: given in the context, or absent."""
    time: float | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that is not asked again."""

    place: str
    reason: str


def read_log(lines: Iterable[str], name: str) -> Iterator[Logged | Skipped]:
    """Yield the requests of a log, whose kind each line shows; lines that are none come as `Skipped`."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        place = f"{name}:{number}"
        try:
            if not text.startswith("{"):
                yield _access_line(text, place)
                continue
            data = json.loads(text)
            records = data.get("Records")
            for record in records if isinstance(records, list) else [data]:
                yield _record(record, place)
        except SkippedError as reason:
            yield Skipped(place, str(reason))
        except (ValueError, RecursionError):
            yield Skipped(place, "not a line of a log that is known here")


def _record(data: Any, place: str) -> Logged | Skipped:
    try:
        if not isinstance(data, dict):
            raise SkippedError("not a line of a log that is known here")
        return _event(data, place) if "eventName" in data else _decision(data, place)
    except SkippedError as reason:
        return Skipped(place, str(reason))
    except S3Error as error:
        return Skipped(place, f"a request that the proxy refuses ({error.code})")


def _decision(data: Mapping[str, Any], place: str) -> Logged:
    """Read a line of our own log."""
    decision, actions, resources = data.get("decision"), _texts(data.get("actions")), _texts(data.get("resources"))
    if decision is None or "operation" not in data:
        raise SkippedError("not a line of a log that is known here")
    if decision not in ("allow", "explicit_deny", "implicit_deny") or not actions or not resources:
        raise SkippedError("no policy was asked")
    context: dict[str, ContextValue] = {"aws:sourceip": _text(data, "client")}
    moment = _moment(_text(data, "time"))
    _add_time(context, moment)
    known = set(_CALLER)
    agent = data.get("user_agent")
    if agent is None or (isinstance(agent, str) and not agent.endswith("...")):
        known.add("aws:useragent")
        if agent is not None:
            context["aws:useragent"] = agent
    for change in data.get("header_changes") or ():
        if isinstance(change, dict) and isinstance(change.get("name"), str):
            key = f"s3:{change['name'].lower()}"
            known.add(key)
            if isinstance(change.get("sent"), str):
                context[key] = change["sent"]
    principal = data.get("principal")
    if not isinstance(principal, str):
        principal = None
        known |= _SIGNING - {"s3:x-amz-content-sha256"}
    return Logged(place, _pairs(principal, actions, resources, context), decision == "allow", frozenset(known), moment)


def _pairs(principal: str | None, actions: list[str], resources: list[str], context: Context) -> tuple[Written, ...]:
    """Put actions and resources together again: of a copy, reading belongs to its source."""
    copies = len(resources) > 1 and any(action.startswith("s3:GetObject") for action in actions) and len(actions) > 1
    pairs = [
        (action, resource)
        for action in actions
        for place, resource in enumerate(resources)
        if not copies or action.startswith("s3:GetObject") is (place > 0)
    ]
    return tuple(Written(principal, Direct(action, resource), context) for action, resource in pairs)


def _access_line(text: str, place: str) -> Logged:
    """Read a line of an S3 server access log."""
    fields = [next((part for part in match if part), "") for match in _FIELD.findall(text)]
    if len(fields) < _MIN_FIELDS or ":" not in fields[2]:
        raise SkippedError("not a line of a log that is known here")
    fields += ["-"] * (26 - len(fields))
    _, bucket, when, client, requester, _, operation, key, uri, status, error = fields[:11]
    referer, agent, signature, auth, host, tls = fields[15], fields[16], fields[19], fields[21], fields[22], fields[23]
    if not operation.startswith(("REST.", "BATCH.DELETE.")):
        raise SkippedError("not a request of a client")
    allowed = _outcome(status, error)
    if _CANONICAL.fullmatch(requester):
        raise SkippedError("the log names the caller by canonical id only")
    moment = datetime.strptime(when, "%d/%b/%Y:%H:%M:%S %z").timestamp()
    context: dict[str, ContextValue] = {"aws:sourceip": client}
    _add_time(context, moment)
    given = {
        "aws:referer": referer,
        "aws:useragent": agent,
        "s3:authtype": _AUTH.get(auth, "-"),
        "s3:signatureversion": _VERSIONS.get(signature, "-"),
        "s3:tlsversion": tls.removeprefix("TLSv"),
    }
    context |= {name: value for name, value in given.items() if value != "-"}
    known = _CALLER | _LISTING | frozenset(given) | {"aws:securetransport"}
    context["aws:securetransport"] = "false" if tls == "-" else "true"
    principal = None if requester == "-" else requester
    if operation.startswith("BATCH.DELETE."):
        action = "s3:DeleteObject" if len(fields) < 19 or fields[17] == "-" else "s3:DeleteObjectVersion"
        what: Direct | Http = Direct(action, f"arn:aws:s3:::{bucket}/{_key(key)}")
    else:
        method, _, target = uri.partition(" ")
        target = target.rpartition(" ")[0]
        if not target.startswith("/"):
            raise SkippedError("the request line is not in the log")
        if host.split(":")[0].startswith(f"{bucket}."):
            target = f"/{bucket}{target}"
        what = Http(method, target, tls=None if tls == "-" else given["s3:tlsversion"], source_ip=client)
    return Logged(place, (Written(principal, what, context),), allowed, known, moment)


def _key(text: str) -> str:
    """Decode a key of the log, which is percent-encoded twice. Source: LogFormat.html, "Key"."""
    return percent_decode(percent_decode(text))


def _outcome(status: str, error: str) -> bool:
    if status == "403":
        if error != "AccessDenied":
            raise SkippedError("the request was refused before any policy was asked")
        return False
    if not status.isdigit() or status[0] == "5" or status == "400":
        raise SkippedError("the answer does not tell what policies said")
    return True


def _event(data: Mapping[str, Any], place: str) -> Logged:
    """Read a CloudTrail event."""
    if data.get("eventSource") != "s3.amazonaws.com":
        raise SkippedError("not an event of S3")
    operation = OPERATIONS.get(str(data.get("eventName")))
    if operation is None or not operation.actions:
        raise SkippedError("an operation that the proxy does not have")
    if operation.name == "DeleteObjects":
        raise SkippedError("the event does not name the keys of a batch delete")
    code = data.get("errorCode")
    allowed = (
        _outcome("403" if code == "AccessDenied" else "200", str(code)) if code in (None, "AccessDenied") else None
    )
    if allowed is None:
        raise SkippedError("the answer does not tell what policies said")
    parameters = {name.lower(): value for name, value in _mapping(data, "requestParameters").items()}
    more, tls, who = _mapping(data, "additionalEventData"), _mapping(data, "tlsDetails"), _mapping(data, "userIdentity")
    moment = _moment(_text(data, "eventTime"))
    context: dict[str, ContextValue] = {"aws:sourceip": _text(data, "sourceIPAddress")}
    _add_time(context, moment)
    known = set(_CALLER | _LISTING)
    for name, value in parameters.items():
        key = {"versionid": "s3:versionid", "max-keys": "s3:max-keys"}.get(name, f"s3:{name}")
        if isinstance(value, str | int) and not isinstance(value, bool):
            context[key] = str(value)
            known.add(key)
    _add_event_facts(context, known, data, more, tls)
    principal = None if who.get("type") == "AWSAccount" and who.get("accountId") == "anonymous" else who.get("arn")
    if principal is not None and not isinstance(principal, str):
        raise SkippedError("the event does not name the caller")
    if principal is None and who.get("accountId") != "anonymous":
        raise SkippedError("the event does not name the caller")
    requests = tuple(Written(principal, what, context) for what in _event_questions(operation, parameters))
    return Logged(place, requests, allowed, frozenset(known), moment)


def _add_event_facts(
    context: dict[str, ContextValue],
    known: set[str],
    data: Mapping[str, Any],
    more: Mapping[str, Any],
    tls: Mapping[str, Any],
) -> None:
    agent = data.get("userAgent")
    if isinstance(agent, str):
        # CloudTrail puts what clients say in brackets.
        context["aws:useragent"] = agent[1:-1] if agent[:1] == "[" and agent[-1:] == "]" else agent
    known.add("aws:useragent")
    version = tls.get("tlsVersion")
    if isinstance(version, str):
        context["s3:tlsversion"] = version.removeprefix("TLSv")
        context["aws:securetransport"] = "true"
        known |= {"s3:tlsversion", "aws:securetransport"}
    for key, table, name in (
        ("s3:authtype", _AUTH, "AuthenticationMethod"),
        ("s3:signatureversion", _VERSIONS, "SignatureVersion"),
    ):
        if more.get(name) in table:
            context[key] = table[str(more[name])]
            known.add(key)
    if str(more.get("SSEApplied", "")).startswith("Default_"):
        # The bucket's default was used: the request named no encryption.
        known |= {"s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"}


def _event_questions(operation: Operation, parameters: Mapping[str, Any]) -> Iterator[Direct]:
    bucket, key = parameters.get("bucketname"), parameters.get("key")
    resource = "arn:aws:s3:::*" if operation.resource == "*" else f"arn:aws:s3:::{bucket}"
    if operation.resource != "*" and not isinstance(bucket, str):
        raise SkippedError("the event does not name the bucket")
    if operation.resource == "object":
        if not isinstance(key, str):
            raise SkippedError("the event does not name the object")
        resource += f"/{key}"
    versioned = "versionid" in parameters and operation.versioned_actions
    for action in operation.versioned_actions if versioned else operation.actions:
        yield Direct(action, resource)
    for extra in operation.extra_actions:
        if any(header in parameters for header in extra.headers):
            yield Direct(extra.action, resource)
    source = parameters.get("x-amz-copy-source")
    if operation.source_actions and isinstance(source, str):
        found = parse_copy_source(source)
        if found is not None:
            actions = operation.source_actions if found.version_id is None else operation.versioned_source_actions
            yield from (Direct(action, f"arn:aws:s3:::{found.bucket}/{found.key}") for action in actions)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _add_time(context: dict[str, ContextValue], moment: float | None) -> None:
    if moment is not None:
        context["aws:currenttime"] = datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        context["aws:epochtime"] = str(int(moment))
