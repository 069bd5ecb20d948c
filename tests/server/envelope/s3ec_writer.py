"""Writes objects with the official S3 Encryption Client; runs in an environment of its own.

Reads JSON from standard input: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `kms_key`, and
`objects`, each with `bucket`, `key`, `version` (2 or 3), `context`, `body` (base64), and `parts` when it is to be
uploaded by parts.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

import boto3
from botocore.config import Config
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.keyring import AbstractKeyring
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy


def settings(version: int, keyring: AbstractKeyring) -> S3EncryptionClientConfig:
    if version == 3:
        return S3EncryptionClientConfig(keyring)
    return S3EncryptionClientConfig(
        keyring,
        encryption_algorithm=AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
        commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    )


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    session = boto3.session.Session(asked["access_key_id"], asked["secret_access_key"], region_name=asked["region"])
    kms = session.client("kms", endpoint_url=asked["endpoint"])
    for each in asked["objects"]:
        path_style = Config(s3={"addressing_style": "path"})
        s3 = session.client("s3", endpoint_url=asked["endpoint"], config=path_style)
        client = S3EncryptionClient(s3, settings(each["version"], KmsKeyring(kms, asked["kms_key"])))
        body = base64.b64decode(each["body"])
        more = {"EncryptionContext": each["context"], "Metadata": {"own": "x"}, "ContentType": "a/b"}
        if each.get("parts"):
            client.upload_fileobj(io.BytesIO(body), each["bucket"], each["key"], **more)
        else:
            client.put_object(Bucket=each["bucket"], Key=each["key"], Body=body, **more)


if __name__ == "__main__":
    main()
