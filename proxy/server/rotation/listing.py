"""What is in a bucket, page by page, in the order of keys: current objects, and older versions where there are some.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and API_ListObjectVersions.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from proxy.errors import S3Error
from proxy.s3.xml import Element, parse_xml
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
        root = parse_xml(good_answer(status, body))
        yield [_row(each) for each in root.children if each.name == "Version"]
        if root.value("IsTruncated") != "true":
            return
        before, marker = marker, _next(root)
        if marker in (before, []):
            raise S3Error("ServiceUnavailable", detail="the store's listing does not get on")


def _row(row: Element) -> Row:
    return Row(unquote_plus(row.value("Key") or ""), row.value("VersionId") or "", row.value("IsLatest") == "true")


def _next(root: Element) -> list[tuple[str, str]]:
    key, version = root.value("NextKeyMarker"), root.value("NextVersionIdMarker")
    if not key:
        return []
    return [("key-marker", unquote_plus(key)), *([("version-id-marker", version)] if version else [])]
