"""Sizes and ETags of a listing, changed where they stand in its bytes.

A page of a thousand keys takes tens of milliseconds to read and write as a document, and one or two this
way. Only for pages that look exactly as S3 writes them; `pages` reads the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_ENTRY = re.compile(rb"<(Contents|Version)>.*?</\1>", re.DOTALL)
_SIZE = re.compile(rb"<Size>([0-9]{1,18})</Size>")
_ETAG = re.compile(rb"<ETag>((?:&quot;|&#34;|\")?)([A-Za-z0-9_-]+)((?:&quot;|&#34;|\")?)</ETag>")
_CHECKSUM = re.compile(rb"<(Checksum[A-Za-z0-9]*)>[^<]*</\1>")
_OPENS = re.compile(rb"<[A-Za-z0-9_.-]*:?(?:Contents|Version)[\s>/]")
# Comments, CDATA and document types: what the expressions above could take for elements.
_UNUSUAL = b"<!"

Change = Callable[[int, str], tuple[int, str]]
"""Takes size and ETag (without quotes) of an entry, returns both as they are shown."""


def change_entries(document: bytes, change: Change) -> bytes | None:
    """Return the page with every object's size and ETag changed; None when it has to be read as a document."""
    if _UNUSUAL in document:
        return None
    pieces: list[bytes] = []
    at = found = 0
    for match in _ENTRY.finditer(document):
        entry = match[0]
        size, etag = _SIZE.search(entry), _ETAG.search(entry)
        if size is None or etag is None or entry.count(b"<Size>") != 1 or entry.count(b"<ETag>") != 1:
            return None
        new_size, new_etag = change(int(size[1]), etag[2].decode("ascii"))
        new = {
            size[0]: b"<Size>%d</Size>" % new_size,
            etag[0]: b"<ETag>%b%b%b</ETag>" % (etag[1], new_etag.encode("ascii"), etag[3]),
        }
        for old, text in new.items():
            entry = entry.replace(old, text)
        if b"<Checksum" in entry:
            entry = _CHECKSUM.sub(b"", entry)
        pieces += (document[at : match.start()], entry)
        at = match.end()
        found += 1
    if len(_OPENS.findall(document)) != found:
        return None
    return b"".join((*pieces, document[at:]))
