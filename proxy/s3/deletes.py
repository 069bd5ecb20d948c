"""DeleteObjects: the keys in its body, the body without some of them, the answer with their errors.

Every key is decided on its own. The body that goes upstream is always written from what was read, so
that a store cannot find other keys in it than the ones that were judged.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from proxy.errors import S3Error
from proxy.s3.address import check_key
from proxy.s3.xml import NAMESPACE, Element, parse_xml, render_xml

KEY_LIMIT = 1000
_OBJECT_PARTS = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})


@dataclass(frozen=True, slots=True)
class Deletion:
    """One object of a batch; `conditions` are (element name, text) pairs such as ETag."""

    key: str
    version_id: str | None = None
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteBatch:
    """The body of a DeleteObjects; `quiet` asks for errors only in the answer."""

    deletions: tuple[Deletion, ...]
    quiet: bool = False

    def render(self) -> bytes:
        """Write the body that asks for exactly these deletions."""
        rows = [_object(each) for each in self.deletions]
        quiet = [Element("Quiet", "true")] if self.quiet else []
        return render_xml(Element("Delete", children=(*rows, *quiet), attributes=(("xmlns", NAMESPACE),)))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A deletion that is not to happen, and the code and message the answer gives for it."""

    deletion: Deletion
    code: str
    message: str


def parse_deletes(body: bytes) -> DeleteBatch:
    """Read the body of a DeleteObjects; raises `S3Error` MalformedXML or those of keys."""
    root = parse_xml(body)
    if root.name != "Delete":
        raise S3Error("MalformedXML", detail=f"root element {root.name}")
    quiet = root.value("Quiet")
    if quiet not in (None, "true", "false", "True", "False"):
        raise S3Error("MalformedXML", detail=f"Quiet is {quiet}")
    deletions = []
    for child in root.children:
        if child.name == "Object":
            deletions.append(_parse_object(child))
        elif child.name != "Quiet":
            raise S3Error("MalformedXML", detail=f"{child.name} in Delete")
    if not 0 < len(deletions) <= KEY_LIMIT:
        raise S3Error("MalformedXML", detail=f"{len(deletions)} objects")
    return DeleteBatch(tuple(deletions), quiet in ("true", "True"))


def without(batch: DeleteBatch, refusals: Iterable[Refusal]) -> DeleteBatch:
    """Return the batch without the refused deletions."""
    refused = {refusal.deletion for refusal in refusals}
    return replace(batch, deletions=tuple(each for each in batch.deletions if each not in refused))


def merge_refusals(answer: bytes | None, refusals: Sequence[Refusal]) -> bytes:
    """Add the refusals to the store's answer, or make the whole answer when nothing was asked of the store.

    Raises `S3Error` InternalError for an answer that is not a `DeleteResult`.
    """
    if answer is None:
        root = Element("DeleteResult", attributes=(("xmlns", NAMESPACE),))
    else:
        try:
            root = parse_xml(answer)
        except S3Error as error:
            raise S3Error("InternalError", detail=f"unreadable answer to DeleteObjects: {error.detail}") from None
        if root.name != "DeleteResult":
            raise S3Error("InternalError", detail=f"unexpected answer to DeleteObjects: {root.name}")
    return render_xml(replace(root, children=(*root.children, *map(_error, refusals))))


def _parse_object(element: Element) -> Deletion:
    for part in element.children:
        if part.name not in _OBJECT_PARTS:
            raise S3Error("MalformedXML", detail=f"{part.name} in Object")
    key = element.value("Key")
    if not key:
        raise S3Error("MalformedXML", detail="an Object without a Key")
    conditions = tuple(
        (name, value) for name in ("ETag", "LastModifiedTime", "Size") if (value := element.value(name)) is not None
    )
    # An empty VersionId is the current version to S3 and to the SDKs that write it.
    return Deletion(check_key(key), element.value("VersionId") or None, conditions)


def _object(deletion: Deletion) -> Element:
    rows = [("Key", deletion.key)]
    if deletion.version_id is not None:
        rows.append(("VersionId", deletion.version_id))
    rows += deletion.conditions
    return Element("Object", children=tuple(Element(name, text) for name, text in rows))


def _error(refusal: Refusal) -> Element:
    rows = [("Key", refusal.deletion.key)]
    if refusal.deletion.version_id is not None:
        rows.append(("VersionId", refusal.deletion.version_id))
    rows += [("Code", refusal.code), ("Message", refusal.message)]
    return Element("Error", children=tuple(Element(name, text) for name, text in rows))
