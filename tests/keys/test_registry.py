"""A ring is built from a configuration file."""

from __future__ import annotations

from pathlib import Path

from proxy.config import BucketEncryption, load_config
from proxy.keys.registry import build_ring
from proxy.keys.rules import uses_kek
from tests.keys.conftest import CONTEXT, DATA_KEY, material, private_pem, rsa_key


async def test_every_local_key_of_the_configuration_is_in_the_ring(tmp_path: Path) -> None:
    for bits in (2048, 4096):
        (tmp_path / f"{bits}.pem").write_text(private_pem(rsa_key(bits)))
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""\
upstream: {{endpoint: "http://127.0.0.1:1", credentials: {{access_key_id: AKIA, secret_access_key: s}}}}
owner: "123456789012"
keys:
  hr: {{type: aes, material: "{material(1).reveal()}", aliases: [alias/hr], enabled: false}}
  small: {{type: rsa, private: "${{file:2048.pem}}"}}
  large: {{type: rsa, private: "${{file:4096.pem}}"}}
"""
    )
    ring = build_ring(load_config(path, {}))
    assert [(key.name, key.enabled, key.wants_kek) for key in ring] == [
        ("hr", False, False),
        ("small", True, False),
        ("large", True, True),
    ]
    assert ring.find("alias/hr").arn == "arn:aws:kms:us-east-1:123456789012:key/hr"
    edk = await ring.find("small").wrap(DATA_KEY, CONTEXT)
    assert (await ring.unwrap([edk], CONTEXT))[0] == DATA_KEY


def test_keys_elsewhere_and_long_ones_have_bucket_keys_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "4096.pem").write_text(private_pem(rsa_key(4096)))
    path = tmp_path / "config.yaml"
    arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    path.write_text(
        f"""\
upstream: {{endpoint: "http://127.0.0.1:1", credentials: {{access_key_id: AKIA, secret_access_key: s}}}}
owner: "123456789012"
keys:
  local: {{type: aes, material: "{material(1).reveal()}"}}
  long: {{type: rsa, private: "${{file:4096.pem}}"}}
  cloud: {{type: aws-kms, key_arn: "{arn}"}}
  vault: {{type: vault, address: "http://127.0.0.1:1", token: t}}
  token: {{type: pkcs11, module: {path}, token_label: t, pin: "1234"}}
buckets:
  never: {{encryption: {{mode: envelope, key: cloud, kek: {{use: never}}}}}}
  always: {{encryption: {{mode: envelope, key: local, kek: {{use: always}}}}}}
"""
    )
    config = load_config(path, {})
    ring = build_ring(config)
    usual = BucketEncryption("envelope")
    assert {key.name: uses_kek(key, usual, None) for key in ring} == {
        "local": False,
        "long": True,
        "cloud": True,
        "vault": True,
        "token": True,
    }
    assert not uses_kek(ring.find("cloud"), config.bucket("never").encryption, None)
    assert uses_kek(ring.find("local"), config.bucket("always").encryption, None)
