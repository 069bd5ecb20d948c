"""Clients that Debian and npm have, and every client's own name look-up, through the proxy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Store
from tests.journeys.clients.catalogue import CLIENTS, REAL_CLIENTS, Client
from tests.journeys.clients.journey import DOMAIN
from tests.journeys.clients.site import Site, Way, bucket_of, journey, site

PLAIN, SECURE, VIRTUAL = Way("http", "path"), Way("https", "path"), Way("https", "virtual")
ENCRYPTED = Way("http", "path", encrypted=True)
JS = Path(__file__).parent / "js"


@pytest.fixture(scope="session")
def moto_site(moto_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """moto with both proxies."""
    with site(tmp_path_factory.mktemp("moto-site"), "moto", moto_store, encrypted=True) as made:
        yield made


@pytest.fixture(scope="session")
def radosgw_site(radosgw_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Ceph's gateway with both proxies."""
    folder = tmp_path_factory.mktemp("radosgw-site")
    with site(folder, "radosgw", radosgw_store, demand="acl", payload="unsigned", encrypted=True) as made:
        yield made


@pytest.fixture(scope="session")
def sdk() -> None:
    """The AWS SDK for JavaScript beside its driver, where Node looks for it, in the versions of its lock file."""
    if not (JS / "node_modules" / "@aws-sdk" / "lib-storage").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=JS, check=True, timeout=110)


def named(name: str) -> Client:
    return next(each for each in CLIENTS + REAL_CLIENTS if each.name == name)


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize("way", [PLAIN, SECURE, VIRTUAL, ENCRYPTED], ids=str)
def test_a_program_with_the_javascript_sdk_takes_its_journey(way: Way, moto_site: Site, tmp_path: Path) -> None:
    journey(named("AWS SDK for JavaScript 3"), moto_site, way, tmp_path)


@pytest.mark.parametrize("way", [PLAIN, SECURE, ENCRYPTED], ids=str)
def test_restic_backs_up_and_restores(way: Way, moto_site: Site, tmp_path: Path) -> None:
    journey(named("restic"), moto_site, way, tmp_path)


@pytest.mark.parametrize("way", [PLAIN, VIRTUAL, ENCRYPTED], ids=str)
def test_a_browser_uploads_with_links_and_forms(way: Way, moto_site: Site, tmp_path: Path) -> None:
    journey(named("Chromium"), moto_site, way, tmp_path)


SYSTEMS = [each for each in (*CLIENTS, named("restic")) if each.resolver == "system"]


@pytest.mark.parametrize("client", SYSTEMS, ids=lambda it: it.slug)
def test_a_client_with_the_systems_resolver_takes_its_journey_in_virtual_host_style(
    client: Client, moto_site: Site, tmp_path: Path
) -> None:
    """In a namespace of its own, where /etc/hosts names its buckets."""

    def with_hosts(command: list[str]) -> list[str]:
        bucket = bucket_of(client, VIRTUAL)
        names = [DOMAIN, *(f"{each}.{DOMAIN}" for each in (bucket, f"{bucket}-made", moto_site.listed))]
        hosts = tmp_path / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(hosts), *command]

    journey(client, moto_site, VIRTUAL, tmp_path, wrap=with_hosts)


# What fails for a client because of the store; docs/reference/stores.md says why.
RADOSGW_GAPS: dict[str, set[str]] = {"boto3": set(), "AWS CLI 1": set(), "s3cmd": set()}


@pytest.mark.parametrize("name", RADOSGW_GAPS)
def test_a_client_works_on_a_ceph_gateway(name: str, radosgw_site: Site, tmp_path: Path) -> None:
    journey(named(name), radosgw_site, SECURE, tmp_path, gaps=RADOSGW_GAPS[name])


@pytest.mark.parametrize("name", ["boto3", "AWS CLI 1", "s3cmd", "restic"])
def test_a_client_works_on_a_ceph_gateway_that_gets_nothing_to_read(
    name: str, radosgw_site: Site, tmp_path: Path
) -> None:
    journey(named(name), radosgw_site, ENCRYPTED, tmp_path)
