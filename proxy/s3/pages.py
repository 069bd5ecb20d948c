"""Pages of listings: objects, versions, uploads, parts. Entries are hidden, changed, and pages filled up again.

A page that lost entries is completed from the store, so that clients which count on full pages, or stop
at an empty one, see what they would see if nothing had been hidden. Continuation tokens stay the store's.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html, API_ListObjects.html,
API_ListObjectVersions.html and API_ListMultipartUploads.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_plus

from proxy.errors import S3Error
from proxy.s3.xml import Element, parse_xml, render_xml

_ENTRIES = frozenset({"CommonPrefixes", "Contents", "DeleteMarker", "Upload", "Version"})
# What says where the next page begins. It comes from the last page that was fetched.
_ENDS = frozenset(
    {
        "IsTruncated", "NextContinuationToken", "NextKeyMarker", "NextMarker", "NextUploadIdMarker",
        "NextVersionIdMarker",
    }
)  # fmt: skip
_LAST = "\U0010ffff"
"""Sorts behind every character of the proxy's own names."""

DEFAULT_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing as a store sent it."""

    root: Element

    @property
    def is_truncated(self) -> bool:
        """Whether more follows."""
        return (self.root.value("IsTruncated") or "").lower() == "true"

    @property
    def entries(self) -> Sequence[Element]:
        """What it lists, in the document's order."""
        return [child for child in self.root.children if child.name in _ENTRIES]

    def name(self, entry: Element) -> str:
        """Return the key, or the common prefix, of an entry."""
        return self._decoded(_written(entry))

    def marker(self, name: str) -> str | None:
        """Return the key behind which the next page begins, from NextKeyMarker or NextMarker.

        Not every store writes it as it writes the keys: Ceph encodes those alone. So it is read as the entry that
        it names is.
        """
        marker = self.root.value(name)
        if not marker:
            return None
        for entry in reversed(self.entries):
            if marker == _written(entry):
                return self.name(entry)
            if marker == self.name(entry):
                return marker
        return self._decoded(marker)

    def without(self, hidden: Callable[[str], bool]) -> Page:
        """Leave out the entries whose name is hidden."""
        kept = [each for each in self.root.children if each.name not in _ENTRIES or not hidden(self.name(each))]
        return Page(replace(self.root, children=tuple(kept)))

    def next(self, operation: str, reserved: str) -> Mapping[str, str | None]:
        """Return the query parameters that ask for what follows; None for one to leave out.

        In listings of objects, everything under `reserved` is skipped at once when the page ends in it.
        """
        names = [self.name(each) for each in self.entries]
        last = max(names, key=_collation, default="")
        beyond = reserved + _LAST if last.startswith(reserved) else None
        value = self.root.value
        if operation == "ListObjectsV2":
            if beyond is not None:
                return {"continuation-token": None, "start-after": beyond}
            return {"continuation-token": value("NextContinuationToken")}
        if operation == "ListObjects":
            return {"marker": beyond or self.marker("NextMarker") or last}
        # No jump here: stores differ in what they make of a key marker that is no key.
        marks = {"key-marker": self.marker("NextKeyMarker"), "version-id-marker": value("NextVersionIdMarker")}
        return {**marks, "upload-id-marker": value("NextUploadIdMarker")}

    def followed_by(self, other: Page) -> Page:
        """Join the next page to this one."""
        ends = [each for each in other.root.children if each.name in _ENDS]
        kept = [each for each in self.root.children if each.name not in _ENDS]
        at = next((index for index, each in enumerate(kept) if each.name in _ENTRIES), len(kept))
        mine = [each for each in kept if each.name in _ENTRIES]
        rest = [each for each in kept[at:] if each.name not in _ENTRIES]
        entries = [*mine, *other.entries]
        entries.sort(key=lambda each: each.name == "CommonPrefixes")
        return Page(replace(self.root, children=(*kept[:at], *ends, *entries, *rest)))

    def changed(self, change: Callable[[Element], Element]) -> Page:
        """Change every entry."""
        children = [change(each) if each.name in _ENTRIES else each for each in self.root.children]
        return Page(replace(self.root, children=tuple(children)))

    def _decoded(self, text: str) -> str:
        return unquote_plus(text) if self.root.value("EncodingType") == "url" else text

    def render(self) -> bytes:
        """Write the document, with the count of its entries where it has one."""
        count = str(len(self.entries))
        children = [replace(each, text=count) if each.name == "KeyCount" else each for each in self.root.children]
        return render_xml(replace(self.root, children=tuple(children)))


def parse_page(document: bytes) -> Page:
    """Read a page; raises `S3Error` InternalError for what is none: what is not understood is not shown."""
    try:
        root = parse_xml(document)
    except S3Error as error:
        raise S3Error("InternalError", detail=f"unreadable listing: {error.detail}") from None
    if not root.name.startswith("List"):
        raise S3Error("InternalError", detail=f"unexpected answer to a listing: {root.name}")
    return Page(root)


def with_values(element: Element, values: Mapping[str, str], drop: Iterable[str] = ()) -> Element:
    """Return an element with the text of some children replaced, and others left out."""
    dropped = tuple(drop)
    children = [
        replace(child, text=values[child.name]) if child.name in values else child
        for child in element.children
        if not child.name.startswith(dropped)
    ]
    return replace(element, children=tuple(children))


def _written(entry: Element) -> str:
    return entry.value("Prefix" if entry.name == "CommonPrefixes" else "Key") or ""


def _collation(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
