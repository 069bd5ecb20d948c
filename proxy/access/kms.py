"""Which KMS key a request names: always as a key ARN, or not at all.

Policies name key ARNs, while clients may send a bare key id, an ARN or an alias. An id is completed
from the configuration. What an alias stands for is decided by KMS in the account of whoever asks it,
so an alias is only taken when the configuration says what it means here; otherwise it is refused.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.errors import S3Error

KEY_ID_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


@dataclass(frozen=True, slots=True)
class KmsNames:
    """How names of keys are completed. `aliases` maps `alias/NAME` to a key ARN."""

    region: str
    account: str
    partition: str = "aws"
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    elsewhere: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What keys here are called where they are kept -> their ARN here."""

    def key_arn(self, name: str) -> str:
        """Return the ARN of the key that `name` (id, ARN, alias or alias ARN) stands for.

        Raises `S3Error` InvalidArgument for an alias that the configuration does not resolve.
        """
        if name.startswith("arn:"):
            return self._alias(name) if _is_alias(name) else name
        if _is_alias(name):
            return self._alias(name)
        return self.arn_as_written(name)

    def arn_as_written(self, name: str) -> str:
        """Return the ARN that `name` is in full, whether or not there is such a key: an alias stays one."""
        if name.startswith("arn:"):
            return name
        # `key/ID` is no form that KMS documents, but some stores take it; it names the same key.
        resource = name if _is_alias(name) else f"key/{name.removeprefix('key/')}"
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:{resource}"

    def without_alias(self, name: str) -> str:
        """Return `name`, or the ARN of the key if it is an alias; raises as `key_arn` does.

        What goes upstream: whom an alias stands for there may be another key than the one that was judged,
        while some stores take ids that are no ARNs.
        """
        return self._alias(name) if _is_alias(name) else name

    def own_name(self, name: str) -> str:
        """Return `name`, or the key's ARN here if it is an alias or its ARN where it is kept; raises as `key_arn`.

        Where the proxy encrypts, a key has one name for policies.
        """
        return self.elsewhere.get(name) or self.without_alias(name)

    def _alias(self, name: str) -> str:
        *home, alias = name.split(":", 5)
        found = self.aliases.get(alias)
        # An alias is in the account and region of its key: elsewhere the same name is somebody else's.
        if found is None or (home and home != found.split(":", 5)[:-1]):
            raise S3Error(
                "InvalidArgument",
                "The encryption key must be given by its id or ARN: aliases are not resolved here.",
                {"ArgumentName": KEY_ID_HEADER, "ArgumentValue": name},
            )
        return found


def _is_alias(name: str) -> bool:
    resource = name.split(":", 5)[-1] if name.startswith("arn:") else name
    return resource.startswith("alias/")
