"""Takes the checksums out of S3's XML and headers, for stores that know none.

Elements are cut from the bytes where they stand; everything else stays as it was written.

Source: the `Checksum*` members of CompleteMultipartUpload, its answer, listings and GetObjectAttributes in
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from xml.parsers import expat

from proxy.errors import S3Error
from proxy.s3.checksums import PREFIX

_ELEMENT = "Checksum"


def is_checksum_field(name: str) -> bool:
    """Tell whether a header (lower-case) is a checksum or talks about one."""
    return name.startswith(PREFIX) or name == "x-amz-sdk-checksum-algorithm"


def strip_checksum_elements(document: bytes) -> bytes:
    """Return the document without its elements named `Checksum...`, wherever they are.

    Raises `S3Error` MalformedXML for what is not well-formed or has a DOCTYPE.
    """
    if _ELEMENT.encode() not in document:
        return document
    finder = _Finder()
    try:
        finder.parser.Parse(document, True)
    except expat.ExpatError as error:
        raise S3Error("MalformedXML", detail=str(error)) from error
    kept = []
    at = 0
    for start, end in finder.cuts:
        kept.append(document[at:start])
        at = end
    return b"".join([*kept, document[at:]])


class _Finder:
    """Finds where the elements begin and end. An element's end is known at the next event after it."""

    def __init__(self) -> None:
        self.cuts: list[tuple[int, int]] = []
        self._depth = 0
        self._inside = 0
        self._start = 0
        self._closed = False
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._on_start
        self.parser.EndElementHandler = self._on_end
        self.parser.StartDoctypeDeclHandler = self._on_doctype
        # Sees all that the others do not, so no byte goes by without an event.
        self.parser.DefaultHandler = self._on_other

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._on_other()
        self._depth += 1
        if not self._inside and name.rpartition(":")[2].startswith(_ELEMENT):
            self._inside = self._depth
            self._start = self.parser.CurrentByteIndex

    def _on_end(self, name: str) -> None:
        self._on_other()
        if self._depth == self._inside:
            self._inside = 0
            self._closed = True
        self._depth -= 1

    def _on_other(self, data: str = "") -> None:
        if self._closed:
            self._closed = False
            self.cuts.append((self._start, self.parser.CurrentByteIndex))

    def _on_doctype(self, *declaration: object) -> None:
        raise S3Error("MalformedXML", detail="document has a DOCTYPE")
