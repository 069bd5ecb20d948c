"""The document of GetBucketEncryption and PutBucketEncryption.

Read strictly: an element that is not known could be one that changes what is asked for.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionRule.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from proxy.errors import S3Error
from proxy.s3.xml import NAMESPACE, Element, parse_xml, render_xml

SSE_C = "SSE-C"
UNBLOCKED = "NONE"
"""What stands in the list of blocked types where none is blocked."""
_KMS = ("aws:kms", "aws:kms:dsse")
_RULE = frozenset({"ApplyServerSideEncryptionByDefault", "BlockedEncryptionTypes", "BucketKeyEnabled"})
_DEFAULT = frozenset({"KMSMasterKeyID", "SSEAlgorithm"})


@dataclass(frozen=True, slots=True)
class EncryptionRule:
    """How a bucket encrypts what its clients say nothing about; None where a document says nothing."""

    algorithm: str | None
    """`AES256`, `aws:kms` or `aws:kms:dsse`."""
    key: str | None = None
    """Id, ARN or alias."""
    bucket_key: bool | None = None
    blocked: frozenset[str] | None = None
    """Kinds of encryption that uploads must not ask for: `SSE-C`, or nothing."""


def render_rule(rule: EncryptionRule) -> bytes:
    """Write the document."""
    rows = (("SSEAlgorithm", rule.algorithm), ("KMSMasterKeyID", rule.key))
    default = tuple(Element(name, text) for name, text in rows if text is not None)
    children = [Element("ApplyServerSideEncryptionByDefault", children=default)]
    if rule.bucket_key is not None:
        children.append(Element("BucketKeyEnabled", "true" if rule.bucket_key else "false"))
    if rule.blocked is not None:
        types = tuple(Element("EncryptionType", each) for each in sorted(rule.blocked) or (UNBLOCKED,))
        children.append(Element("BlockedEncryptionTypes", children=types))
    rules = (Element("Rule", children=tuple(children)),)
    return render_xml(Element("ServerSideEncryptionConfiguration", children=rules, attributes=(("xmlns", NAMESPACE),)))


def parse_rule(document: bytes) -> EncryptionRule:
    """Read the document; raises `S3Error` MalformedXML, InvalidArgument for a key that goes with no KMS."""
    root = parse_xml(document)
    if root.name != "ServerSideEncryptionConfiguration" or [each.name for each in root.children] != ["Rule"]:
        _malformed("not one rule of encryption")
    rule = root.children[0]
    _known(rule, _RULE)
    default = rule.child("ApplyServerSideEncryptionByDefault")
    algorithm = key = None
    if default is not None:
        _known(default, _DEFAULT)
        algorithm, key = default.value("SSEAlgorithm"), default.value("KMSMasterKeyID")
        if algorithm not in ("AES256", *_KMS):
            _malformed("no known SSEAlgorithm")
    if key is not None and algorithm not in _KMS:
        message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"
        raise S3Error("InvalidArgument", message, {"ArgumentName": "ApplyServerSideEncryptionByDefault"})
    flag = rule.value("BucketKeyEnabled")
    if flag not in (None, "true", "false"):
        _malformed("BucketKeyEnabled is neither true nor false")
    return EncryptionRule(algorithm, key, None if flag is None else flag == "true", _blocked(rule))


def _blocked(rule: Element) -> frozenset[str] | None:
    listed = rule.child("BlockedEncryptionTypes")
    if listed is None:
        return None
    _known(listed, frozenset({"EncryptionType"}))
    types = {each.text for each in listed.children}
    if not types <= {SSE_C, UNBLOCKED} or len(types) > 1:
        _malformed("no known EncryptionType")
    return frozenset(types - {UNBLOCKED})


def _known(element: Element, names: frozenset[str]) -> None:
    for child in element.children:
        if child.name not in names:
            _malformed(f"{child.name} in {element.name}")


def _malformed(detail: str) -> NoReturn:
    raise S3Error("MalformedXML", detail=detail)
