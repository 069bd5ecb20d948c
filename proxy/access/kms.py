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

    def key_arn(self, name: str) -> str:
        """Return the ARN of the key that `name` (id, ARN, alias or alias ARN) stands for.

        Raises `S3Error` InvalidArgument for an alias that the configuration does not resolve.
        """
        if name.startswith("arn:"):
            resource = name.split(":", 5)[-1]
            return self._alias(resource, name) if resource.startswith("alias/") else name
        if name.startswith("alias/"):
            return self._alias(name, name)
        # `key/ID` is no form that KMS documents, but some stores take it; it names the same key.
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{name.removeprefix('key/')}"

    def _alias(self, alias: str, name: str) -> str:
        found = self.aliases.get(name) or self.aliases.get(alias)
        if found is None:
            raise S3Error(
                "InvalidArgument",
                "The encryption key must be given by its id or ARN: aliases are not resolved here.",
                {"ArgumentName": KEY_ID_HEADER, "ArgumentValue": name},
            )
        return found
