"""What the settings mean: from data of the right form to frozen values, with the checks a schema cannot do.

A setting that makes no sense is reported and replaced by something harmless, so that the rest of the
file is still read; the caller throws the result away when anything was reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from proxy.config import model
from proxy.config.buckets import BucketRule, Buckets
from proxy.config.keys import KeySettings
from proxy.config.node import Node
from proxy.config.principals import DEFAULT_SESSION, PrincipalArn, parse_principal
from proxy.config.read_keys import key_aliases, read_keys, read_secrets
from proxy.config.secrets import Secret

_NOBODY = PrincipalArn("", "", "", "", None, "")
# What the proxy writes itself, or what frames the body: a header rule for it would break every request.
_OWN_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
    }
    | {"upgrade", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-decoded-content-length"}
)


def read_root(root: Node, path: Path) -> model.Config:
    """Read the whole file; findings gather in the node's `findings`."""
    owner = root.text("owner") or ""
    _warn_bare_account(root, "owner")
    upstream = _upstream(root.child("upstream"))
    keys = read_keys(root, upstream.region, owner)
    return model.Config(
        path=path,
        owner=owner,
        upstream=upstream,
        buckets=_buckets(root, keys, owner),
        source=root.findings.source,
        listen=_listen(root.child("listen")),
        admin=None if root.is_null("admin") else _admin(root.child("admin")),
        trusted_proxies=tuple(n for n in map(_network, root.items("trusted_proxies")) if n is not None),
        limits=model.Limits(**root.child("limits").scalars()),
        auth=model.AuthSettings(**root.child("auth").scalars()),
        identities=_identities(root),
        policies=root.existing_paths("policies"),
        condition_values=_condition_values(root),
        kms_aliases=MappingProxyType({**(root.mapping("kms_aliases") or {}), **key_aliases(keys)}),
        keys=MappingProxyType(keys),
        state_secret=read_secrets(root, "state_secret"),
        decision_log=None if root.is_null("decision_log") else _decision_log(root.child("decision_log")),
        audit=_audit(root.child("audit")) if root.get("audit") is not None else None,
        log=model.Log(**root.child("log").scalars()),
        warnings=tuple(root.findings.warnings),
        **root.pick("bucket_policy_api"),
    )


def _listen(node: Node) -> model.Listen:
    tls = node.child("tls")
    cert, key = tls.readable_file("cert"), tls.readable_file("key")
    return model.Listen(
        **(
            node.scalars()
            | {
                "domains": tuple(domain.lower() for domain in node.texts("domains")),
                "public_hosts": tuple(host.lower() for host in node.texts("public_hosts")),
                "tls": model.ServerTls(cert, key, **tls.pick("min_version")) if cert and key else None,
            }
        )
    )


def _admin(node: Node) -> model.Admin:
    admin = model.Admin(**(node.scalars() | {"token": node.secret("token")}))
    if admin.token is None and not _is_loopback(admin.host):
        node.problem(
            f"`token` is missing: `{admin.host}` can be reached from other machines",
            'write `token: "${env:S3WARDEN_ADMIN_TOKEN}"`, or `host: 127.0.0.1`',
            *(["host"] if node.has("host") else []),
        )
    return admin


def _upstream(node: Node) -> model.Upstream:
    endpoint = str(node.text("endpoint")).rstrip("/")
    tls = node.child("tls")
    upstream = model.Upstream(
        **(
            node.scalars()
            | {
                "endpoint": endpoint,
                "credentials": _upstream_credentials(node.child("credentials")),
                "lacks": node.texts("lacks"),
                "tls": model.UpstreamTls(**(tls.scalars() | {"ca": tls.readable_file("ca")})),
                "state": model.State(**node.child("state").scalars()),
            }
        )
    )
    _check_endpoint(node, endpoint)
    if not upstream.tls.verify and endpoint.startswith("https:"):
        remedy = "give the authority's certificate instead: `tls: {ca: ca.pem}`"
        node.warn("whoever answers is taken for the upstream", remedy, "tls", "verify")
    return upstream


def _check_endpoint(node: Node, endpoint: str) -> None:
    remedy = "write scheme, host and port only: `endpoint: https://s3.eu-central-1.amazonaws.com`"
    try:
        parts = urlsplit(endpoint)
        is_usable = parts.hostname and parts.port != 0 and not (parts.path or parts.query or parts.fragment)
    except ValueError:
        is_usable = False
    else:
        if parts.username is not None:
            node.problem("the endpoint must not carry a user name", "use `credentials`", "endpoint")
            return
    if not is_usable:
        node.problem("the endpoint is not the address of a server", remedy, "endpoint")


def _upstream_credentials(node: Node) -> model.AccessKey | None:
    has_key = node.has("access_key_id") and node.has("secret_access_key")
    if node.has("source"):
        if node.has("access_key_id"):
            node.problem("`source: aws` and `access_key_id` exclude each other", "leave one of them out")
        elif find_spec("boto3") is None:
            remedy = 'install it: pip install "s3warden[aws]"'
            node.problem("the AWS credential chain needs the package boto3", remedy, "source")
        return None
    if not has_key:
        node.problem(
            "the upstream's credentials are missing",
            'write `{access_key_id: ..., secret_access_key: "${env:UPSTREAM_SECRET}"}` or `{source: aws}`',
        )
        return None
    return _key(node, "access_key_id", "secret_access_key")


def _key(node: Node, id: str, secret: str) -> model.AccessKey:
    return model.AccessKey(
        node.text(id) or "", node.secret(secret) or Secret(""), node.secret("session_token"), _expires(node)
    )


def _expires(node: Node) -> float | None:
    text = node.text("expires")
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        node.problem(f"`{text}` is not a point in time", 'write for example "2030-01-31T12:00:00Z"', "expires")
        return None
    return time.timestamp()


def _identities(root: Node) -> tuple[model.IdentitySettings, ...]:
    seen_arns: dict[str, Node] = {}
    seen_keys: dict[str, Node] = {}
    result = []
    for node in root.items("identities"):
        identity = _identity(node)
        result.append(identity)
        _refuse_twice(node, "arn", identity.principal.arn, seen_arns)
        for key in node.items("access_keys"):
            _refuse_twice(key, "id", str(key.text("id")), seen_keys)
    return tuple(result)


def _refuse_twice(node: Node, key: str, value: str, seen: dict[str, Node]) -> None:
    first = seen.setdefault(value, node)
    if value and first is not node:
        line = node.findings.source.diagnostic((*first.path, key), "").span.line
        what = "access key id" if key == "id" else "principal"
        node.problem(f"the {what} `{node.text(key)}` is given twice", f"it is already given on line {line}", key)


def _identity(node: Node) -> model.IdentitySettings:
    upstream = node.child("upstream")
    return model.IdentitySettings(
        _principal(node),
        tuple(_key(key, "id", "secret") for key in node.items("access_keys")),
        node.existing_paths("policies"),
        node.mapping("tags") or MappingProxyType({}),
        _key(upstream, "access_key_id", "secret_access_key") if node.has("upstream") else None,
    )


def _principal(node: Node) -> PrincipalArn:
    arn = node.text("arn") or ""
    try:
        principal = parse_principal(arn, node.text("session") or DEFAULT_SESSION)
    except ValueError as error:
        remedy = "write for example `arn: arn:aws:iam::123456789012:user/alice`, or role/NAME"
        node.problem(f"`{arn}`: {error}", remedy, "arn")
        return _NOBODY
    if node.has("session") and not arn.partition(":role/")[1]:
        node.problem("only a role has sessions to name", "leave `session` out", "session", at_key=True)
    user_id = node.text("user_id")
    return principal if user_id is None else replace(principal, user_id=user_id)


def _buckets(root: Node, keys: Mapping[str, KeySettings], owner: str) -> Buckets:
    entries = list(root.named("buckets"))
    buckets = Buckets([_bucket_rule(name, node) for name, node in entries], owner)
    for pattern, node in entries:
        encryption = node.child("encryption")
        _check_key(encryption, keys, "key")
        _check_key(encryption.child("kek"), keys, "recovery", "rsa")
        # A pattern matches itself, so what holds for buckets that only it and more general ones match.
        if encryption.get("mode") == "envelope" and buckets.settings(pattern).encryption.key is None:
            encryption.problem("`key` is missing", "name one of `keys`: objects are encrypted under it", "mode")
    return buckets


def _check_key(node: Node, keys: Mapping[str, KeySettings], setting: str, type: str | None = None) -> None:
    name = node.text(setting)
    if name is None:
        return
    if name not in keys:
        known = ", ".join(f"`{key}`" for key in keys) or "none"
        node.problem(f"there is no key `{name}`", f"known in `keys`: {known}", setting)
    elif type is not None and keys[name].type != type:
        node.problem(f"the key `{name}` is of type `{keys[name].type}`", f"here it has to be `{type}`", setting)


def _bucket_rule(pattern: str, node: Node) -> BucketRule:
    _warn_bare_account(node, "owner")
    for name, header in node.named("add_headers"):
        if name.lower() in _OWN_HEADERS:
            header.problem(f"`{name}` is written by the proxy itself", "leave it out", at_key=True)
    for item in node.items("remove_headers"):
        if str(item.value).lower() in _OWN_HEADERS:
            item.problem(f"`{item.value}` is written by the proxy itself", "leave it out")
    added = node.mapping("add_headers")
    return BucketRule(
        pattern,
        node.text("owner"),
        None if added is None else MappingProxyType({name.lower(): value for name, value in added.items()}),
        frozenset(name.lower() for name in node.texts("remove_headers")) if node.has("remove_headers") else None,
        node.mapping("tags"),
        MappingProxyType(node.child("encryption").scalars()),
        MappingProxyType(node.child("encryption").child("kek").scalars()),
    )


def _condition_values(root: Node) -> MappingProxyType[str, model.ConditionValue]:
    values: dict[str, model.ConditionValue] = {}
    for name, node in root.named("condition_values"):
        if name.lower() in values:
            node.problem(f"the condition key `{name}` is given twice", "case does not count in key names", at_key=True)
        items = node.value if isinstance(node.value, list) else None
        values[name.lower()] = str(node.value) if items is None else tuple(str(item) for item in items)
    return MappingProxyType(values)


def _decision_log(node: Node) -> model.DecisionLog:
    log = model.DecisionLog(**(node.scalars() | {"path": None}))
    path = node.location("path")
    if path is None or node.text("path") == "-":
        return log
    if not path.parent.is_dir():
        node.problem(f"there is no folder `{path.parent}`", "create it: the log is written there", "path")
    return replace(log, path=path)


def _audit(node: Node) -> model.Audit:
    audit = model.Audit(
        **(
            node.scalars()
            | {
                "path": node.location("path"),
                "store": node.location("store"),
                "secret": read_secrets(node, "secret"),
            }
        )
    )
    if audit.path is None and audit.store is None:
        node.problem("the trail has no place", "give `path`, `store`, or both", at_key=True)
    for setting, path in (("path", audit.path), ("store", audit.store)):
        if path is not None and not path.parent.is_dir():
            node.problem(f"there is no folder `{path.parent}`", "create it: the trail is written there", setting)
    return audit


def _network(node: Node) -> model.Network | None:
    try:
        return ip_network(str(node.value))
    except ValueError as error:
        node.problem(f"`{node.value}` is not a network in CIDR form: {error}", "write for example 10.0.0.0/8")
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _warn_bare_account(node: Node, key: str) -> None:
    if node.has(key) and node.findings.source.is_plain((*node.path, key)):
        remedy = f'put it in quotes: `{key}: "{node.text(key)}"`'
        node.warn("other YAML tools read an unquoted account id as a number", remedy, key)
