"""Unmodified clients take their whole journey through the proxy, over http and https, in both styles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.journeys.clients.catalogue import CLIENTS, Client
from tests.journeys.clients.site import Site, direct, take

WAYS = [
    pytest.param(client, transport, style, id=f"{client.name.split()[0]}-{transport}-{style}")
    for client in CLIENTS
    for transport, style in (("http", "path"), ("https", "path"), ("https", "virtual"))
    if style == "path" or client.resolver == "python"
]


@pytest.mark.parametrize(("client", "transport", "style"), WAYS)
def test_a_client_takes_its_whole_journey(
    client: Client, transport: str, style: str, moto_site: Site, tmp_path: Path
) -> None:
    bucket = f"{client.environment}-{client.driver.partition('_')[0]}-{transport}-{style}"
    store = direct(moto_site.store)
    store.create_bucket(Bucket=bucket)
    outcomes = take(client.command, moto_site.target(transport, style, bucket, tmp_path), client.name)
    assert not {step: said for step, said in outcomes.items() if said.startswith("failed")}
    assert list(store.list_objects_v2(Bucket=bucket).get("Contents", [])) == [], "all was deleted, or never came"
    assert store.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    store.close()
    log = moto_site.proxies[transport].decisions.read_text().splitlines()
    denied = [each for each in map(json.loads, log) if f"arn:aws:s3:::{bucket}/strict/denied" in each["resources"]]
    assert next(each["decision"] for each in denied if "s3:PutObject" in each["actions"]) == "explicit_deny"
