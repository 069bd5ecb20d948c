"""What is in a bucket, page by page, in the order of keys: current objects, and older versions where there are some.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and API_ListObjectVersions.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.errors import S3Error
from proxy.s3.pages import Page, parse_page
from proxy.s3.xml import Element
from proxy.server.rotation.depot import Depot, good_answer


@dataclass(frozen=True, slots=True)
class Row:
    """An object, or a version of one. Deletions are no rows."""

    key: str
    version: str = ""
    """Empty where versions are not listed."""
    latest: bool = True

    @property
    def older(self) -> str:
        """The id of a version that is not the current one, else empty."""
        return "" if self.latest else self.version


async def rows(
    depot: Depot, bucket: str, prefix: str, *, versions: bool, after: str = "", version: str = ""
) -> AsyncIterator[list[Row]]:
    """Yield what is under a prefix, behind the key `after`, or behind a `version` of that; raises `S3Error`."""
    if not versions:
        async for page in depot.pages(bucket, prefix, after):
            yield [Row(key) for key in page]
        return
    marker = [("key-marker", after)] if after else []
    marker += [("version-id-marker", version)] if version else []
    while True:
        query = sorted([("encoding-type", "url"), ("prefix", prefix), ("versions", ""), *marker])
        status, _, body = await depot.ask("GET", bucket, None, query)
        listing = parse_page(good_answer(status, body))
        yield [_row(listing, each) for each in listing.entries if each.name == "Version"]
        if not listing.is_truncated:
            return
        before, marker = marker, _next(listing)
        if marker in (before, []):
            raise S3Error("ServiceUnavailable", detail="the store's listing does not get on")


def _row(page: Page, row: Element) -> Row:
    return Row(page.name(row), row.value("VersionId") or "", row.value("IsLatest") == "true")


def _next(page: Page) -> list[tuple[str, str]]:
    key, version = page.marker("NextKeyMarker"), page.root.value("NextVersionIdMarker")
    if not key:
        return []
    return [("key-marker", key), *([("version-id-marker", version)] if version else [])]
