"""Unmodified clients take their whole journey through the proxy, over http and https, in both styles.

And once more to encrypted buckets, in which they notice nothing while the store gets nothing to read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.clients.catalogue import CLIENTS, Client
from tests.journeys.clients.site import Site, Way, journey

WAYS = [
    pytest.param(client, way, id=f"{client.name.split()[0]}-{way}")
    for client in CLIENTS
    for way in (Way("http", "path"), Way("https", "path"), Way("https", "virtual"), Way("http", "path", encrypted=True))
    if way.style == "path" or client.resolver == "python"
]


@pytest.mark.parametrize(("client", "way"), WAYS)
def test_a_client_takes_its_whole_journey(client: Client, way: Way, moto_site: Site, tmp_path: Path) -> None:
    journey(client, moto_site, way, tmp_path)


# What fails for a client because of the store; docs/reference/stores.md says why.
RCLONE_GAPS = {
    "boto3": {"ranges", "metadata", "copy", "tags"},
    "AWS CLI 1": {"copy", "tags"},
    "s3cmd": {"head", "metadata", "copy", "tags"},
}


@pytest.mark.parametrize("name", RCLONE_GAPS)
def test_a_client_works_on_a_store_that_checks_signatures(name: str, rclone_site: Site, tmp_path: Path) -> None:
    client = next(each for each in CLIENTS if each.name == name)
    journey(client, rclone_site, Way("https", "path"), tmp_path, gaps=RCLONE_GAPS[name])
