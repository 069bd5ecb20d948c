"""A ring is built from a configuration file."""

from __future__ import annotations

from pathlib import Path

from proxy.config import load_config
from proxy.keys.registry import build_ring
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
