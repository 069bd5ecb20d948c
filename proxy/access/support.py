"""Which condition keys an action carries, ready for look-up.

AWS leaves a key out of the request context of an action that does not support it, whatever the request
says; so does this proxy. Global keys are always carried, and so are those about the bucket's tags, which
the reference lists for no S3 action though buckets have them, and the proxy's own.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from proxy.policy.names import ACTIONS

EXISTING_TAG = "s3:existingobjecttag/"

CARRIED: Mapping[str, frozenset[str]] = MappingProxyType(
    {action.name: frozenset(key.lower() for key in action.keys) for action in ACTIONS.values()}
)
"""Action -> lower-case names of the service's keys it carries; families end with `/`."""

# Common to nearly all actions, and so part of the context that questions share; the reference leaves one
# or another out for a few.
_COMMON = frozenset(
    f"s3:{name}"
    for name in (
        "resourceaccount",
        "tlsversion",
        "authtype",
        "signatureage",
        "signatureversion",
        "x-amz-content-sha256",
    )
)

LACKING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {action: tuple(sorted(_COMMON - keys)) for action, keys in CARRIED.items() if not keys >= _COMMON}
)
"""Action -> common keys that it does not carry; only actions that lack one."""
