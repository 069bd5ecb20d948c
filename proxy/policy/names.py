"""The names policies may use: S3 and KMS actions, condition keys, their types and where a proxy gets them.

Everything is read from one data file at import. A name that is not here is unknown, and a document with
an unknown name is refused.

Source: AWS Service Authorization Reference (S3, KMS), IAM User Guide "AWS global condition context keys".
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from proxy.policy.patterns import compile_text


@dataclass(frozen=True, slots=True)
class Key:
    """A condition key. `name` ends with `/` or `:` when the author adds the rest (`aws:PrincipalTag/`)."""

    name: str
    type: str
    """String, ARN, Bool, Numeric, Date, IPAddress, or ArrayOfString for a key with several values."""
    source: str
    """Where its value comes from at the proxy: request, connection, identity, bucket, clock, lookup (one
    more request upstream), proxy (keys of our own), never (about things that do not pass a proxy, so
    absent is the truth), mapped (unknowable: refused unless the configuration gives a value)."""
    about: str

    @property
    def is_family(self) -> bool:
        """Whether the author completes the name, as in `aws:PrincipalTag/department`."""
        return self.name[-1] in "/:"

    @property
    def multivalued(self) -> bool:
        """Whether a request can have several values, so that ForAllValues or ForAnyValue is needed."""
        return self.type == "ArrayOfString"


@dataclass(frozen=True, slots=True)
class Action:
    """An action that a policy can name."""

    name: str
    """With its service: `s3:PutObject`."""
    level: str
    """AWS's access level: List, Read, Write, Tagging, Permissions management; empty for KMS."""
    resources: frozenset[str]
    """The types of resource it applies to: `bucket`, `object`, ...; empty means only `*`."""
    keys: frozenset[str]
    """The service's condition keys it carries, as in `Key.name`; global keys are not repeated."""


def _load() -> tuple[dict[str, Key], dict[str, Action], dict[str, str]]:
    data = json.loads(resources.files("proxy.policy").joinpath("data/names.json").read_text("utf-8"))
    keys = {name.lower(): Key(name, row["type"], row["from"], row["about"]) for name, row in data["keys"].items()}
    common = frozenset(data["common_keys"])
    actions = {}
    for name, row in data["actions"].items():
        carried = (common - frozenset(row.get("without", ()))) | frozenset(row["keys"])
        actions[f"s3:{name}".lower()] = Action(f"s3:{name}", row["level"], frozenset(row["resources"]), carried)
    kms_keys = frozenset(name for name in data["keys"] if name.startswith("kms:"))
    for name in data["kms_actions"]:
        actions[f"kms:{name}".lower()] = Action(f"kms:{name}", "", frozenset({"key"}), kms_keys)
    mistaken = {f"s3:{name}".lower(): action for name, action in data["operations_mistaken_for_actions"].items()}
    return keys, actions, mistaken


_keys, _actions, _mistaken = _load()
KEYS: Mapping[str, Key] = MappingProxyType(_keys)
"""Lower-case name -> key."""
ACTIONS: Mapping[str, Action] = MappingProxyType(_actions)
"""Lower-case name with service -> action."""
MAPPED_KEYS: frozenset[str] = frozenset(name for name, key in _keys.items() if key.source == "mapped")
"""Lower-case names a proxy cannot know: what a tool passes as mapped when its user gives the context."""
_FAMILIES = tuple((name, key) for name, key in _keys.items() if key.is_family)


def find_key(text: str) -> Key | None:
    """Return the key that `text` names in any case, tag key included; None when there is none."""
    name = text.lower()
    key = KEYS.get(name)
    if key is not None:
        return None if key.is_family else key
    for family, found in _FAMILIES:
        if name.startswith(family):
            return found
    return None


@lru_cache(maxsize=4096)
def expand_action(pattern: str) -> frozenset[str]:
    """Return the lower-case names of all actions that fit `pattern`, such as `s3:Get*` or `*`."""
    wanted = pattern.lower()
    if wanted in ACTIONS:
        return frozenset((wanted,))
    matches = compile_text(wanted).matches
    return frozenset(name for name in ACTIONS if matches(name))


def suggest_key(text: str) -> str:
    """Return a help line for an unknown condition key; empty when nothing comes near."""
    return did_you_mean(text, (key.name for key in KEYS.values()))


def suggest_action(text: str, service: str = "s3") -> str:
    """Return a help line for an unknown action; names API operations' actions where that is the mistake."""
    permission = _mistaken.get(text.lower())
    if permission:
        operation = text.partition(":")[2]
        return f"`{operation}` is an API operation, not an action: its permission is `{permission}`"
    return did_you_mean(text, (action.name for name, action in ACTIONS.items() if name.startswith(service + ":")))


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return `did you mean ...?` for the nearest known name, whatever its case, or an empty text."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(text.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean `{by_lower[near[0]]}`?" if near else ""
