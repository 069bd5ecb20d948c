"""CompleteMultipartUpload: the parts that a client names, and the same list as a store is told.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from proxy.errors import S3Error
from proxy.s3.xml import NAMESPACE, Element, parse_xml, render_xml

PART_LIMIT = 10_000
# Cut where it stands: the object exists by now, and no oddity of the rest may turn that into an error.
_LOCATION = re.compile(rb"<Location>[^<]*</Location>|<Location ?/>")


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part of a completion; the ETag as the client wrote it."""

    number: int
    etag: str


def parse_completion(body: bytes) -> tuple[NamedPart, ...]:
    """Read the parts in their order; raises `S3Error` MalformedXML, InvalidPartOrder, InvalidArgument."""
    root = parse_xml(body)
    if root.name != "CompleteMultipartUpload" or any(child.name != "Part" for child in root.children):
        raise S3Error("MalformedXML", detail=f"root element {root.name}")
    parts = tuple(_parse_part(child) for child in root.children)
    if not 0 < len(parts) <= PART_LIMIT:
        raise S3Error("MalformedXML", detail=f"{len(parts)} parts")
    if any(later.number <= earlier.number for earlier, later in pairwise(parts)):
        raise S3Error("InvalidPartOrder")
    return parts


def render_completion(parts: Iterable[NamedPart]) -> bytes:
    """Write the document."""
    rows = [
        Element("Part", children=(Element("PartNumber", str(part.number)), Element("ETag", part.etag)))
        for part in parts
    ]
    return render_xml(Element("CompleteMultipartUpload", children=tuple(rows), attributes=(("xmlns", NAMESPACE),)))


def _parse_part(element: Element) -> NamedPart:
    number, etag = (element.value("PartNumber") or "").strip(), (element.value("ETag") or "").strip()
    if not etag or not (number.isascii() and number.isdigit()):
        raise S3Error("MalformedXML", detail="a Part without PartNumber or ETag")
    if not 1 <= int(number[:6]) <= PART_LIMIT:
        message = f"PartNumber must be >= 1 and <= {PART_LIMIT}"
        raise S3Error("InvalidArgument", message, {"ArgumentName": "partNumber", "ArgumentValue": number})
    return NamedPart(int(number), etag)


def with_location(document: bytes, location: str) -> bytes:
    """Return the answer to a completion with the URL of the object as the client knows it, not as the store does."""
    element = f"<Location>{escape(location)}</Location>".encode("utf-8", "replace")
    return _LOCATION.sub(lambda match: element, document, count=1)
