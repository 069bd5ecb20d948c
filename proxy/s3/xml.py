"""XML as S3 uses it: a bounded reader, and a writer that escapes.

Policies are asked about what is read here while a store reads the same bytes with another parser, so
everything two parsers could see differently is refused: document types and entities, other encodings
than UTF-8, processing instructions, prefixed or re-namespaced elements, text beside elements, a comment
in the middle of a value. Knows no S3 document by name except the error document.

Sources: XML 1.0 (https://www.w3.org/TR/xml/), the documentation of Python's `xml.parsers.expat`, and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

from proxy.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

# The deepest document of S3 has 8 levels, the largest (CompleteMultipartUpload with 10,000 parts and a checksum
# each) 40,001 elements, and no element more than 2 attributes.
DEPTH_LIMIT = 32
ELEMENT_LIMIT = 65_536
ATTRIBUTE_LIMIT = 8

_SPACE = " \t\r\n"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?<(?:[A-Za-z0-9_]+:)?([A-Za-z0-9_]+)[\s/>]")
"""Matches the beginning of a document up to the name of its root, for those that are only looked at."""
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})
# In attributes, parsers turn white space into plain spaces unless it is written as a reference.
_ATTRIBUTE_ESCAPES = _ESCAPES | str.maketrans({"\n": "&#10;", "\t": "&#9;"})


@dataclass(frozen=True, slots=True)
class Element:
    """An element holds either text or other elements."""

    name: str
    text: str = ""
    children: tuple[Element, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """Names as written, namespace declarations included."""

    def child(self, name: str) -> Element | None:
        """Return the only child of that name, or None; raises MalformedXML if there are several."""
        found = None
        for each in self.children:
            if each.name == name:
                if found is not None:
                    _malformed(f"several {name} in {self.name}")
                found = each
        return found

    def value(self, name: str) -> str | None:
        """Return the text of the only child of that name, or None; raises MalformedXML unless it is text."""
        found = self.child(name)
        if found is None:
            return None
        if found.children:
            _malformed(f"elements in {name}")
        return found.text

    def all(self, name: str) -> Iterator[Element]:
        """Yield the children of that name in document order."""
        return (each for each in self.children if each.name == name)


def parse_xml(document: bytes) -> Element:
    """Read a whole document; raises `S3Error` MalformedXML. The caller bounds its size."""
    return _Reader().read(document)


def render_xml(root: Element) -> bytes:
    """Write a document; raises ValueError for names and characters that XML 1.0 does not have."""
    pieces: list[str] = []
    _render(root, pieces)
    return DECLARATION + "".join(pieces).encode("utf-8")


def error_xml(error: S3Error, resource: str, request_id: str, host_id: str) -> bytes:
    """Write the error document of S3; what XML cannot hold is shown as U+FFFD."""
    rows = [("Code", error.code), ("Message", error.message), *error.extras.items()]
    rows += [("Resource", resource), ("RequestId", request_id), ("HostId", host_id)]
    return render_xml(Element("Error", children=tuple(Element(name, _printable(text)) for name, text in rows)))


def _printable(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _render(element: Element, pieces: list[str]) -> None:
    if not _NAME.fullmatch(element.name):
        raise ValueError(f"not an element name: {element.name!r}")
    pieces.append(f"<{element.name}")
    for name, value in element.attributes:
        if not _NAME.fullmatch(name) or _NOT_XML.search(value):
            raise ValueError(f"not an attribute: {name!r}")
        pieces.append(f' {name}="{value.translate(_ATTRIBUTE_ESCAPES)}"')
    if not element.children and not element.text:
        pieces.append("/>")
        return
    if _NOT_XML.search(element.text):
        raise ValueError(f"{element.name} holds a character that XML does not have")
    pieces.append(f">{element.text.translate(_ESCAPES)}")
    for child in element.children:
        _render(child, pieces)
    pieces.append(f"</{element.name}>")


def _malformed(detail: str) -> NoReturn:
    raise S3Error("MalformedXML", detail=detail)


@dataclass(slots=True)
class _Open:
    """An element whose end was not reached yet."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    text: list[str]
    children: list[Element]
    commented: bool = False


class _Reader:
    """One reading of one document; expat calls the methods in document order."""

    def __init__(self) -> None:
        parser = expat.ParserCreate(encoding="utf-8")
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.CommentHandler = self._comment
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser
        self._open: list[_Open] = []
        self._count = 0
        self._namespace: str | None = None
        self._root: Element | None = None

    def read(self, document: bytes) -> Element:
        try:
            self._parser.Parse(document, True)
        except expat.ExpatError as error:
            raise S3Error("MalformedXML", detail=str(error)) from None
        if self._root is None:
            _malformed("no root element")
        return self._root

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii")):
            _malformed(f"version {version} in {encoding}")

    def _doctype(self, name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> None:
        _malformed("a document type")

    def _instruction(self, target: str, data: str) -> None:
        _malformed("a processing instruction")

    def _comment(self, data: str) -> None:
        if self._open:
            self._open[-1].commented = True

    def _start(self, name: str, attributes: list[str]) -> None:
        self._count += 1
        if self._count > ELEMENT_LIMIT or len(self._open) >= DEPTH_LIMIT or len(attributes) > 2 * ATTRIBUTE_LIMIT:
            _malformed("too many or too deep elements, or too many attributes")
        if ":" in name:
            _malformed(f"prefixed element {name}")
        pairs = tuple(zip(attributes[::2], attributes[1::2], strict=True))
        for attribute, value in pairs:
            if attribute == "xmlns":
                if self._open and value != self._namespace:
                    _malformed(f"{name} changes the namespace")
                self._namespace = value
        self._open.append(_Open(name, pairs, [], []))

    def _text(self, data: str) -> None:
        self._open[-1].text.append(data)

    def _end(self, name: str) -> None:
        done = self._open.pop()
        text = "".join(done.text)
        if done.children:
            if text.strip(_SPACE):
                _malformed(f"text beside the elements of {name}")
            text = ""
        elif done.commented and text.strip(_SPACE):
            _malformed(f"a comment in the value of {name}")
        element = Element(done.name, text, tuple(done.children), done.attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
