"""Whose keys an object is under, as the configuration calls them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.config import KeySettings
from proxy.envelope.customer_key import NAME
from proxy.envelope.customer_key import PROVIDER as CUSTOMER_PROVIDER
from proxy.envelope.keyring import Edk
from proxy.keys.kek import kek_id
from proxy.keys.ring import KeyRing
from proxy.server.rotation.usage import edk_name
from proxy.server.scan.protection import Protection
from proxy.server.scan.survey import BucketKeys


@dataclass(frozen=True, slots=True)
class Holders:
    """Who can open an object."""

    labels: tuple[str, ...] = ()
    """What wrapped it: `hr@2`, a KMS key's ARN; known here or not."""
    names: tuple[str, ...] = ()
    """Those keys of the configuration among them."""
    wrapping: str = ""
    """`bucket-key`, `direct`, `customer`; empty for what the proxy did not encrypt."""
    bucket_key: str = ""
    """The id of the bucket key in between."""
    lost: str = ""
    """The id of a bucket key whose document is gone or damaged."""
    disabled: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    """Labels of versions that are not the newest of their key."""
    customer: bool = False


class Registrar:
    """Tells who can open objects."""

    def __init__(self, ring: KeyRing, settings: Iterable[KeySettings], bucket_keys: BucketKeys) -> None:
        self._ring = ring
        self._newest = {each.name: each.versions[0].id for each in settings if each.versions}
        self._bucket_keys = bucket_keys

    async def holders(self, protection: Protection) -> Holders:
        """Return who can open an object; raises `S3Error` when a bucket key cannot be read."""
        edks = protection.edks
        if not edks:
            return Holders((protection.sse_key,) if protection.sse_key else ())
        if any(edk.provider_id == CUSTOMER_PROVIDER for edk in edks):
            return Holders((NAME,), wrapping="customer", customer=True)
        ids = [name for edk in edks if (name := kek_id(edk)) is not None]
        lost = ""
        wrapped: list[Edk] = [edk for edk in edks if kek_id(edk) is None]
        for name in ids:
            behind = await self._bucket_keys.edks(name)
            lost = lost or ("" if behind else name)
            wrapped += behind
        labels = tuple(dict.fromkeys(edk_name(edk) for edk in wrapped))
        keys = [key for edk in wrapped if (key := self._ring.owner(edk)) is not None]
        return Holders(
            labels,
            tuple(dict.fromkeys(key.name for key in keys)),
            "bucket-key" if ids else "direct" if protection.kind == "envelope" else "",
            ids[0] if ids else "",
            lost,
            tuple(dict.fromkeys(key.name for key in keys if not key.enabled)),
            tuple(label for label in labels if self._is_outdated(label)),
        )

    def _is_outdated(self, label: str) -> bool:
        name, at, version = label.partition("@")
        return bool(at) and name in self._newest and version != self._newest[name]
