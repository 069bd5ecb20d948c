"""The section `keys`: each key by its type, with every mistake reported where it stands.

Which settings go with which type is a table; the schema knows all settings of all types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from proxy.config.keys import (
    FIRST_VERSION,
    AwsKms,
    KeyBackend,
    KeySettings,
    KeyType,
    KeyVersion,
    Pkcs11,
    Vault,
    aes_material,
    key_arn,
    rsa_pair,
)
from proxy.config.node import Node
from proxy.config.secrets import Secret

MIN_SECRET = 32
_COMMON = frozenset({"type", "aliases", "enabled", "policy"})
_VERSION_HELP = {
    "aes": 'write `material: "${env:NAME}"` with base64 of 32 bytes; `s3warden keys create` makes one',
    "rsa": 'write `public: "${file:public.pem}"`, and `private:` where objects are to be read',
    "pkcs11": "write `label: NAME`, the label of the key in the token",
}


@dataclass(frozen=True, slots=True)
class _Form:
    """What a type of key is described by."""

    version: frozenset[str] = frozenset()
    """Settings of each version; a key of one version may give them itself."""
    needed: tuple[str, ...] = ()
    other: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        versions = frozenset({"versions"}) if self.version else frozenset[str]()
        return _COMMON | self.version | versions | frozenset(self.needed) | self.other


_FORMS: Mapping[str, _Form] = {
    "aes": _Form(frozenset({"material"})),
    "rsa": _Form(frozenset({"public", "private"})),
    "aws-kms": _Form(
        needed=("key_arn",),
        other=frozenset({"endpoint", "access_key_id", "secret_access_key", "session_token", "timeout_seconds"}),
    ),
    "vault": _Form(
        needed=("address", "token"), other=frozenset({"mount", "key_name", "namespace", "ca", "timeout_seconds"})
    ),
    "pkcs11": _Form(
        frozenset({"label"}), needed=("module", "token_label", "pin"), other=frozenset({"timeout_seconds"})
    ),
}


def read_keys(root: Node, region: str, owner: str) -> Mapping[str, KeySettings]:
    """Read all keys, in the order in which they are written."""
    keys = {}
    aliases: dict[str, str] = dict.fromkeys(root.mapping("kms_aliases") or {}, "`kms_aliases`")
    for name, node in root.named("keys"):
        keys[name] = _key(name, node, key_arn(name, region, owner))
        for alias in node.items("aliases"):
            other = aliases.setdefault(str(alias.value), f"the key `{name}`")
            if other != f"the key `{name}`":
                alias.problem(f"the alias `{alias.value}` is already given to {other}", "an alias names one key")
    _refuse_two_names(root, keys)
    return keys


def _refuse_two_names(root: Node, keys: Mapping[str, KeySettings]) -> None:
    """Refuse an ARN of KMS that stands for another key, too.

    Objects name the key of KMS that wrapped them: with two keys for one of KMS, the policy of the first would decide
    about what was encrypted under the second.
    """
    owners = {key.arn: name for name, key in keys.items()}
    for name, node in root.named("keys"):
        backend = keys[name].backend
        if isinstance(backend, AwsKms) and (other := owners.setdefault(backend.key_arn, name)) != name:
            node.problem(f"`{backend.key_arn}` is already the key `{other}`", "an ARN names one key", "key_arn")


def read_secrets(node: Node, setting: str) -> tuple[Secret, ...]:
    """Read a list of secrets that keys are made of."""
    secrets = []
    for item in node.items(setting):
        secrets.append(Secret(str(item.value)))
        if len(secrets[-1].reveal().encode()) < MIN_SECRET:
            item.problem(f"the secret is shorter than {MIN_SECRET} bytes", "make one: openssl rand -base64 32")
    return tuple(secrets)


def _key(name: str, node: Node, arn: str) -> KeySettings:
    kind = cast("KeyType", node.text("type"))
    form = _FORMS[kind]
    _refuse_strangers(node, kind, form.known)
    for missing in form.needed:
        if not node.has(missing):
            node.problem(f"`{missing}` is missing", f"a key of type `{kind}` needs it")
    return KeySettings(
        name,
        kind,
        arn,
        _versions(name, node, kind, form) if form.version else (),
        node.texts("aliases"),
        policy=node.readable_file("policy"),
        backend=_backend(name, node, kind),
        **node.pick("enabled", "timeout_seconds"),
    )


def _versions(name: str, node: Node, kind: KeyType, form: _Form) -> tuple[KeyVersion, ...]:
    own = [setting for setting in sorted(form.version) if node.has(setting)]
    if node.has("versions"):
        for setting in own:
            node.problem(f"`{setting}` belongs into `versions`", "leave one of them out", setting, at_key=True)
        items = list(node.items("versions"))
        ids = [item.text("id") or "" for item in items]
        for index, item in enumerate(items):
            if ids[index] in ids[:index]:
                item.problem(f"the version `{ids[index]}` is given twice", "each version has an id of its own", "id")
            _refuse_strangers(item, kind, form.version | {"id"})
        return tuple(
            _version(item, version, kind, item.text("label")) for item, version in zip(items, ids, strict=True)
        )
    return (_version(node, FIRST_VERSION, kind, node.text("label") or name),)


def _refuse_strangers(node: Node, kind: KeyType, known: frozenset[str]) -> None:
    given = set(node.value) if isinstance(node.value, dict) else set()
    for extra in sorted(given - known):
        node.problem(f"`{extra}` is no setting of a key of type `{kind}`", "leave it out", extra, at_key=True)


def _version(node: Node, id: str, kind: KeyType, label: str | None) -> KeyVersion:
    version = KeyVersion(
        id,
        node.secret("material") if kind == "aes" else None,
        node.secret("public") if kind == "rsa" else None,
        node.secret("private") if kind == "rsa" else None,
        label if kind == "pkcs11" else None,
    )
    at = next((key for key in ("material", "private", "public") if node.has(key)), None)
    try:
        if kind == "aes":
            if version.material is None:
                raise ValueError("`material` is missing")
            aes_material(version.material.reveal())
        elif kind == "rsa":
            rsa_pair(version)
        elif not label:
            raise ValueError("`label` is missing")
    except ValueError as error:
        node.problem(str(error), _VERSION_HELP[kind], *([at] if at else []))
    return version


def _backend(name: str, node: Node, kind: KeyType) -> KeyBackend | None:
    if kind == "aws-kms":
        if node.has("access_key_id") != node.has("secret_access_key"):
            node.problem("`access_key_id` and `secret_access_key` need each other", "give both, or none")
        return AwsKms(
            node.text("key_arn") or "arn:aws:kms:::key/",
            node.text("endpoint"),
            node.text("access_key_id"),
            node.secret("secret_access_key"),
            node.secret("session_token"),
        )
    if kind == "vault":
        return Vault(
            (node.text("address") or "").rstrip("/"),
            node.secret("token") or Secret(""),
            node.text("key_name") or name,
            ca=node.readable_file("ca"),
            **node.pick("mount", "namespace"),
        )
    if kind == "pkcs11":
        return Pkcs11(
            node.readable_file("module") or Path(), node.text("token_label") or "", node.secret("pin") or Secret("")
        )
    return None


def key_aliases(keys: Mapping[str, KeySettings]) -> dict[str, str]:
    """Return alias -> ARN of all keys."""
    return {alias: key.arn for key in keys.values() for alias in key.aliases}
