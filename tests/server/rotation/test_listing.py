"""What is counted and rewrapped is all that is there: a listing ends with its last page, or as an error."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import S3Error
from proxy.s3.headers import Headers
from proxy.server.rotation.depot import Depot
from proxy.server.rotation.listing import Row, rows


class Scripted(Depot):
    """A store that answers to listings as it is told, one page after another."""

    def __init__(self, *pages: str) -> None:
        self.pages_left = list(pages)
        self.asked: list[dict[str, str]] = []

    async def _send(self, method: str, bucket: Any, key: Any, query: Any = (), *more: Any, **named: Any) -> Any:
        self.asked.append(dict(query))
        return 200, Headers(), self.pages_left.pop(0).encode()


def page(kind: str, *keys: str, ends: str = "") -> str:
    listed = "".join(f"<{kind}><Key>{key}</Key><VersionId>v</VersionId></{kind}>" for key in keys)
    more = "true" if ends else "false"
    return f"<ListResult><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{ends}{listed}</ListResult>"


@pytest.mark.parametrize(
    "ends",
    [
        ("<NextContinuationToken></NextContinuationToken>",),
        ("<NextContinuationToken>t</NextContinuationToken>", "<NextContinuationToken>t</NextContinuationToken>"),
    ],
    ids=["no token", "the same token again"],
)
async def test_a_listing_that_says_there_is_more_and_not_where_is_an_error(ends: tuple[str, ...]) -> None:
    depot = Scripted(*(page("Contents", "a", ends=end) for end in ends))
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        [each async for each in depot.pages("b", "")]


@pytest.mark.parametrize("marker", ["a%20b%2Bc%2520", "a b+c%20"], ids=["S3", "Ceph"])
async def test_versions_go_on_behind_the_key_however_the_store_writes_it(marker: str) -> None:
    ends = f"<NextKeyMarker>{marker}</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
    depot = Scripted(page("Version", "a%20b%2Bc%2520", ends=ends), page("Version", "d"))
    found = [row async for each in rows(depot, "b", "", versions=True) for row in each]
    assert found == [Row("a b+c%20", "v", False), Row("d", "v", False)]
    assert (depot.asked[1]["key-marker"], depot.asked[1]["version-id-marker"]) == ("a b+c%20", "v")
