"""Write s3ec.json with the official S3 Encryption Client for Python.

It pins an older `cryptography` than this project uses, so it has a venv of its own:

    python -m venv .venv-s3ec && .venv-s3ec/bin/pip install amazon-s3-encryption-client-python
    .venv-s3ec/bin/python tests/vectors/envelope/make_s3ec.py
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from s3_encryption.materials.crypto_materials_manager import DefaultCryptoMaterialsManager
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite
from s3_encryption.pipelines import PutEncryptedObjectPipeline

DATA_KEY = bytes(range(32))


class FixedKms:
    """Stands for AWS KMS: one data key, wrapped as a constant."""

    meta = SimpleNamespace(config=SimpleNamespace(user_agent_extra=""))

    def generate_data_key(self, **request: object) -> dict[str, bytes]:
        return {"Plaintext": DATA_KEY, "CiphertextBlob": b"wrapped by a key service"}


def main() -> None:
    vectors = []
    for suite in (
        AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
        AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    ):
        cmm = DefaultCryptoMaterialsManager(KmsKeyring(FixedKms(), "arn:aws:kms:eu-central-1:1:key/x"))
        for plaintext in (b"", b"written by the official client"):
            stored, metadata = PutEncryptedObjectPipeline(cmm, suite).encrypt(plaintext, {"project": "alpha"})
            metadata = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in metadata.items()}
            vectors.append({"metadata": metadata, "stored": stored.hex(), "plaintext": plaintext.decode()})
    document = {"data_key": DATA_KEY.hex(), "vectors": vectors}
    Path(__file__).with_name("s3ec.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
