"""Decisions for JSON lines: one request with its policies in, one verdict out.

    {"policy": {...} or null, "identity_policies": [...], "request": {"principal": ..., "principal_account": ...,
     "action": ..., "resource": ..., "resource_account": ..., "context": {...}}}
    {"decision": "allow", "statements": ["Sid"], "error": null}

Policies are compiled once per text, and lines that differ in nothing but their request are not parsed
beyond that. The context is taken as it is: nothing is added. Whatever is wrong with a line is
told in its answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]  # typeshed leaves both out
from typing import Any, TypeAlias

from proxy import yamldoc
from proxy.errors import ConfigError
from proxy.policy.document import Kind, PolicyFile
from proxy.policy.evaluate import AccessRequest, Decision, decide
from proxy.policy.index import NO_POLICIES, PolicyGroup
from proxy.policy.names import MAPPED_KEYS
from proxy.policy.parse import guess_kind, parse_policy
from proxy.policy.principals import Principal
from proxy.policy.variables import ContextValue

Groups: TypeAlias = "tuple[PolicyGroup, PolicyGroup]"
_Members: TypeAlias = "dict[str, tuple[Any, str]]"
"""Name -> value and its text."""

MAX_POLICIES = 4096
_TRIED = 8
"""So many lengths of the texts before a request are tried, those seen last."""
_REQUEST = ("principal", "principal_account", "action", "resource", "resource_account", "context")


class LineError(ValueError):
    """A line that cannot be decided."""


class Batch:
    """Decides lines and remembers the policies it met."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], PolicyFile] = {}
        self._groups: dict[tuple[str, ...], Groups] = {}
        self._frames: dict[str, dict[str, Groups]] = {}
        """Text before a request -> text after it -> its policies."""
        self._size = 0
        self._lengths: list[int] = []
        self._principals: dict[tuple[str, str | None], Principal] = {}

    def answers(self, lines: Iterable[str | bytes]) -> Iterator[str]:
        """Yield an answer, without line end, for every line that is not blank."""
        for line in lines:
            try:
                text = line if isinstance(line, str) else line.decode()
            except UnicodeDecodeError:
                yield _failure("not UTF-8")
                continue
            if text and not text.isspace():
                yield self.answer(text)

    def answer(self, line: str) -> str:
        """Decide one line."""
        try:
            request, groups = self._read(line)
            return _render(decide(self._request(request), *groups))
        except LineError as error:
            return _failure(str(error))
        except ConfigError as error:
            return _failure("; ".join(each.message for each in error.diagnostics))
        except RecursionError:
            return _failure("nested too deeply")

    def _read(self, line: str) -> tuple[Any, Groups]:
        for length in self._lengths:
            ends = self._frames.get(line[:length])
            if ends is not None:
                try:
                    request, end = _scan(line, length)
                except (ValueError, StopIteration):
                    break
                # Both texts were around a value in a whole object: so is this one.
                groups = ends.get(line[end:])
                if groups is not None:
                    return request, groups
        return self._read_whole(line)

    def _read_whole(self, line: str) -> tuple[Any, Groups]:
        members, begin, end = _members(line)
        unknown = [name for name in members if name not in ("policy", "identity_policies", "request")]
        if unknown:
            raise LineError(f"unknown member `{unknown[0]}`")
        if "request" not in members:
            raise LineError("there is no `request`")
        groups = self._groups_of(members)
        self._remember(line[:begin], line[end:], groups)
        return members["request"][0], groups

    def _remember(self, start: str, end: str, groups: Groups) -> None:
        self._size += 1
        if self._size > MAX_POLICIES:
            self._size = 0
            self._frames.clear()
        self._frames.setdefault(start, {})[end] = groups
        if len(start) not in self._lengths:
            self._lengths = [len(start), *self._lengths][:_TRIED]

    def _groups_of(self, members: _Members) -> Groups:
        policy, policy_text = members.get("policy", (None, ""))
        identity, identity_text = members.get("identity_policies", (None, ""))
        known = self._groups.get((policy_text, identity_text))
        if known is not None:
            return known
        resource = NO_POLICIES if policy is None else self._resource_group(policy, policy_text)
        if identity is not None and not isinstance(identity, list):
            raise LineError("`identity_policies` is not a list")
        files = [self._compile(each, json.dumps(each), "identity") for each in identity or ()]
        groups = (resource, PolicyGroup(files, "identity") if files else NO_POLICIES)
        if len(self._groups) >= MAX_POLICIES:
            self._groups.clear()
        self._groups[policy_text, identity_text] = groups
        return groups

    def _resource_group(self, policy: Any, text: str) -> PolicyGroup:
        file = self._compile(policy, text, None)
        return PolicyGroup([file], file.kind)

    def _compile(self, policy: Any, text: str, kind: Kind | None) -> PolicyFile:
        place = (kind or "", text)
        known = self._compiled.get(place)
        if known is None:
            if not isinstance(policy, dict):
                raise LineError("a policy is an object")
            if len(self._compiled) >= MAX_POLICIES:
                self._compiled.clear()
            # YAML's reader knows nothing of pairs of escapes for one character.
            plain = json.dumps(policy, ensure_ascii=False) if "\\u" in text else text
            document = yamldoc.parse(plain, "policy" if kind is None else "identity policy")
            kind = kind or ("key" if guess_kind(document) == "key" else "bucket")
            known = self._compiled[place] = parse_policy(document, kind, MAPPED_KEYS)
        return known

    def _request(self, data: Any) -> AccessRequest:
        if not isinstance(data, dict):
            raise LineError("`request` is not an object")
        try:
            name, action, resource = data["principal"], data["action"], data["resource"]
        except KeyError as error:
            raise LineError(f"the request has no `{error.args[0]}`") from None
        account, owner = data.get("principal_account"), data.get("resource_account")
        for member in data:
            if member not in _REQUEST:
                raise LineError(f"unknown member `{member}` of the request")
        for member in (action, resource):
            if not isinstance(member, str):
                raise LineError("`action` and `resource` are texts")
        for member in (account, owner):
            if member is not None and not isinstance(member, str):
                raise LineError("`principal_account` and `resource_account` are texts")
        principal = self._principals.get((name, account)) if isinstance(name, str) else None
        if principal is None:
            principal = self._principal(name, account)
        return AccessRequest(principal, action, resource, owner or principal.account, _context(data.get("context")))

    def _principal(self, name: Any, account: str | None) -> Principal:
        if not isinstance(name, str):
            raise LineError("`principal` is an ARN, `*` for anonymous, or another name")
        if len(self._principals) >= MAX_POLICIES:
            self._principals.clear()
        made = Principal() if name == "*" else Principal(name, account)
        self._principals[name, account] = made
        return made


def _context(given: Any) -> Mapping[str, ContextValue]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise LineError("`context` is not an object")
    context: dict[str, ContextValue] = {}
    for key, value in given.items():
        if type(value) is str:
            context[key.lower()] = value
        else:
            context[key.lower()] = _value(key, value)
    if len(context) != len(given):
        raise LineError("a key of `context` is given twice in different letter case")
    return context


def _value(key: str, value: Any) -> ContextValue:
    if isinstance(value, list):
        return tuple(_text(key, item) for item in value)
    return _text(key, value)


def _text(key: str, value: Any) -> str:
    """Numbers and booleans count as their text, as they do in policies."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | _Number):
        return str(value)
    raise LineError(f"the value of `{key}` is neither a text nor a list of texts")


class _Number(str):
    """A JSON number with a fraction, as it was written."""

    __slots__ = ()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise LineError("a member is given twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise LineError(f"`{name}` is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_Number, parse_constant=_no_constant)
_scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]  # not in typeshed


def _members(line: str) -> tuple[_Members, int, int]:
    """Read an object's members with their texts, and where the value of `request` begins and ends."""
    try:
        return _walk(line)
    except LineError:
        raise
    except (ValueError, IndexError) as error:
        raise LineError(f"not JSON: {error}") from None


def _walk(line: str) -> tuple[_Members, int, int]:
    skip = WHITESPACE.match
    members: _Members = {}
    place = (0, 0)
    at = skip(line, 0).end()
    if line[at : at + 1] != "{":
        raise LineError("not a JSON object")
    at = skip(line, at + 1).end()
    closed = line[at : at + 1] == "}"
    while not closed:
        if line[at : at + 1] != '"':
            raise LineError(f"not JSON: a name in quotes is missing at character {at + 1}")
        name, at = scanstring(line, at + 1, True)
        at = skip(line, at).end()
        if line[at : at + 1] != ":":
            raise LineError(f"not JSON: a colon is missing at character {at + 1}")
        begin = skip(line, at + 1).end()
        value, at = _DECODER.raw_decode(line, begin)
        if name in members:
            raise LineError(f"`{name}` is given twice")
        members[name] = (value, line[begin:at])
        if name == "request":
            place = (begin, at)
        at = skip(line, at).end()
        closed = line[at : at + 1] == "}"
        if not closed:
            if line[at : at + 1] != ",":
                raise LineError(f"not JSON: a comma is missing at character {at + 1}")
            at = skip(line, at + 1).end()
    if line[at + 1 :].strip():
        raise LineError("more than one JSON object in a line")
    return members, *place


def _render(decision: Decision) -> str:
    sids = tuple([statement.sid or f"#{statement.index + 1}" for statement in decision.statements])
    return json.dumps({"decision": decision.effect.value, "statements": list(dict.fromkeys(sids)), "error": None})


def _failure(message: str) -> str:
    return json.dumps({"decision": None, "statements": [], "error": message})
