"""What an XML body says that policies look at, for the operations whose body must be read first.

The body has to be there, whole and bounded, before the decision. Every parser refuses what it does not
know: an element that is skipped here could be one that a store acts on.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NoReturn

from proxy.errors import S3Error
from proxy.per_request import per_request
from proxy.s3.deletes import DeleteBatch, parse_deletes
from proxy.s3.tagging import BUCKET_TAG_LIMIT, Tags, parse_tag_set, parse_tagging
from proxy.s3.xml import Element, parse_xml


@per_request(frozen=True, slots=True)
class BodyFacts:
    """Values found in a body; None where the body does not speak of them."""

    object_tags: Tags | None = None
    bucket_tags: Tags | None = None
    lock_mode: str | None = None
    retain_until: str | None = None
    legal_hold: str | None = None
    location: str | None = None
    encryption: str | None = None
    """As in x-amz-server-side-encryption."""
    kms_key: str | None = None
    deletes: DeleteBatch | None = None
    elements: frozenset[str] = frozenset()
    """Names of the root's children, which make extra actions necessary (`ExtraAction.element`)."""


NO_FACTS = BodyFacts()


def body_facts(operation: str, body: bytes) -> BodyFacts:
    """Read the whole body of an operation; `NO_FACTS` for those that `NEEDS_BODY` does not name.

    Raises `S3Error` MalformedXML, NotImplemented for what could not be judged, or those of tags and keys.
    """
    parse = NEEDS_BODY.get(operation)
    return NO_FACTS if parse is None else parse(body)


def _tagging(body: bytes) -> BodyFacts:
    return BodyFacts(object_tags=parse_tagging(parse_xml(body)))


def _retention(body: bytes) -> BodyFacts:
    root = _root(body, "Retention", {"Mode", "RetainUntilDate", "EventHold", "EventHoldDuration"})
    if root.child("EventHold") is not None or root.child("EventHoldDuration") is not None:
        # No action is published for event holds, so no policy could allow or deny them.
        raise S3Error("NotImplemented", "Event holds are not supported.")
    return BodyFacts(lock_mode=_value(root, "Mode"), retain_until=_value(root, "RetainUntilDate"))


def _legal_hold(body: bytes) -> BodyFacts:
    return BodyFacts(legal_hold=_value(_root(body, "LegalHold", {"Status"}), "Status"))


def _new_bucket(body: bytes) -> BodyFacts:
    if not body:
        return NO_FACTS
    root = _root(body, "CreateBucketConfiguration", {"LocationConstraint", "Location", "Bucket", "Tags"})
    tags = root.child("Tags")
    return BodyFacts(
        bucket_tags=None if tags is None else parse_tag_set(tags, BUCKET_TAG_LIMIT),
        location=_value(root, "LocationConstraint"),
        elements=frozenset(child.name for child in root.children),
    )


def _encryption(body: bytes) -> BodyFacts:
    root = _root(body, "ObjectEncryption", {"SSE-KMS", "SSE-S3"})
    if len(root.children) != 1:
        _malformed("not one kind of encryption")
    choice = root.children[0]
    if choice.name == "SSE-S3":
        return BodyFacts(encryption="AES256")
    if any(child.name not in ("KMSKeyArn", "BucketKeyEnabled") for child in choice.children):
        _malformed("unknown element in SSE-KMS")
    key = _value(choice, "KMSKeyArn") or ""
    if not key.startswith("arn:") or ":alias/" in key:
        # S3 takes nothing else here, and the body goes on as it is: no name may be read in two ways.
        message = (
            "Requests that modify an object's encryption type to SSE-KMS require a valid AWS KMS key Amazon Resource"
        )
        message += (
            " Name (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and then try again."
        )
        raise S3Error("InvalidRequest", message)
    return BodyFacts(encryption="aws:kms", kms_key=key)


def _restore(body: bytes) -> BodyFacts:
    known = {"Days", "GlacierJobParameters", "Tier", "Description", "Type", "SelectParameters", "OutputLocation"}
    root = _root(body, "RestoreRequest", known)
    if any(root.child(name) is not None for name in ("Type", "SelectParameters", "OutputLocation")):
        # Such a restore writes objects, encrypted as its body says, under keys that only the store knows.
        raise S3Error("NotImplemented", "Restores that write their output elsewhere are not supported.")
    return NO_FACTS


def _deletes(body: bytes) -> BodyFacts:
    return BodyFacts(deletes=parse_deletes(body))


NEEDS_BODY: Mapping[str, Callable[[bytes], BodyFacts]] = MappingProxyType(
    {
        "CreateBucket": _new_bucket,
        "DeleteObjects": _deletes,
        "PutObjectLegalHold": _legal_hold,
        "PutObjectRetention": _retention,
        "PutObjectTagging": _tagging,
        "RestoreObject": _restore,
        "UpdateObjectEncryption": _encryption,
    }
)
"""The operations whose XML body is part of what policies are asked about, and how it is read."""


def _root(body: bytes, name: str, known: set[str]) -> Element:
    root = parse_xml(body)
    if root.name != name:
        _malformed(f"root element {root.name}")
    for child in root.children:
        if child.name not in known:
            _malformed(f"{child.name} in {name}")
    return root


def _value(parent: Element, name: str) -> str | None:
    """Return a child's text; white space around it is refused, since some stores would cut it off."""
    text = parent.value(name)
    if text is not None and text != text.strip():
        _malformed(f"white space around {name}")
    return text


def _malformed(detail: str) -> NoReturn:
    raise S3Error("MalformedXML", detail=detail)
