"""Keys of AWS KMS, over boto3. What is written opens with the Encryption SDK's own KMS keyrings.

Sources: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html and API_Decrypt.html;
https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html (`aws-kms` EDKs)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import boto3
from botocore.client import BaseClient
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from proxy.config import AwsKms
from proxy.envelope.context import Context
from proxy.envelope.keyring import KEY_SIZE, Edk
from proxy.errors import IntegrityError, S3Error
from proxy.keys.service import KeyUnavailableError, Provider
from proxy.keys.threads import Threads

PROVIDER_ID = "aws-kms"
THREADS = 8

# KMS's own codes -> what they are to an S3 client; what is not here may pass.
_ANSWERS: Mapping[str, str] = {
    "AccessDeniedException": "AccessDenied",
    "DisabledException": "KMS.DisabledException",
    "KMSInvalidStateException": "KMS.KMSInvalidStateException",
    "NotFoundException": "KMS.NotFoundException",
}
_DOES_NOT_OPEN = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})

_T = TypeVar("_T")


class AwsKmsKey:
    """A symmetric KMS key. KMS rotates its material under the same ARN, so there are no versions here."""

    provider: Provider = "aws-kms"
    is_remote = True
    can_unwrap = True

    def __init__(self, name: str, settings: AwsKms, seconds: float) -> None:
        self.name = name
        self._arn = settings.key_arn
        self._info = settings.key_arn.encode()
        self._threads = Threads(name, THREADS)
        self._client = _client(settings, seconds)

    def names(self, edk: Edk) -> bool:
        """Tell whether this KMS key wrapped `edk`."""
        return edk.provider_id == PROVIDER_ID and edk.key_info == self._info

    async def wrap(self, data_key: bytes, context: Context) -> Edk:
        """Call kms:Encrypt."""
        pairs = dict(context)
        answer = await self._call(
            lambda: self._client.encrypt(KeyId=self._arn, Plaintext=data_key, EncryptionContext=pairs)
        )
        return Edk(PROVIDER_ID, self._info, answer["CiphertextBlob"])

    async def unwrap(self, edk: Edk, context: Context) -> bytes | None:
        """Call kms:Decrypt; raises `IntegrityError` edk for another context or a changed ciphertext."""
        if not self.names(edk):
            return None
        pairs = dict(context)
        answer = await self._call(
            lambda: self._client.decrypt(KeyId=self._arn, CiphertextBlob=edk.ciphertext, EncryptionContext=pairs)
        )
        data_key = bytes(answer["Plaintext"])
        if len(data_key) != KEY_SIZE:
            raise IntegrityError("edk", f"what `{self.name}` unwrapped is no data key")
        return data_key

    async def check(self) -> str | None:
        """Call kms:DescribeKey. Not being permitted to is no problem: the service answers."""
        try:
            answer = await self._call(lambda: self._client.describe_key(KeyId=self._arn))
        except S3Error as error:
            return None if error.code == "AccessDenied" else f"{self._arn}: {error.code}"
        state = answer["KeyMetadata"]["KeyState"]
        return None if state == "Enabled" else f"{self._arn} is in the state {state}"

    async def renew(self, label: str) -> None:
        """Call kms:RotateKeyOnDemand: fresh material under the same ARN. KMS has no use for a label."""
        await self._call(lambda: self._client.rotate_key_on_demand(KeyId=self._arn))

    async def close(self) -> None:
        """Let go of the threads and connections."""
        self._threads.close()
        self._client.close()

    async def _call(self, call: Callable[[], _T]) -> _T:
        try:
            return await self._threads.run(call)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _ANSWERS:
                raise S3Error(_ANSWERS[code], detail=f"KMS answered {code} for the key `{self.name}`") from error
            if code in _DOES_NOT_OPEN:
                raise IntegrityError("edk", f"the data key wrapped with `{self.name}` does not open") from error
            raise KeyUnavailableError(f"answered {code}") from error
        except BotoCoreError as error:
            raise KeyUnavailableError(f"cannot be asked: {error}") from error

    def __repr__(self) -> str:
        return f"AwsKmsKey({self.name!r}, {self._arn!r})"


def _client(settings: AwsKms, seconds: float) -> BaseClient:
    secret, token = settings.secret_access_key, settings.session_token
    session = boto3.session.Session(
        settings.access_key_id,
        None if secret is None else secret.reveal(),
        None if token is None else token.reveal(),
        settings.region,
    )
    # Tries and time are bounded by whoever guards the key; here only so that threads come back.
    bounds = BotoConfig(
        connect_timeout=seconds,
        read_timeout=seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=THREADS,
    )
    return session.client("kms", endpoint_url=settings.endpoint, config=bounds)
