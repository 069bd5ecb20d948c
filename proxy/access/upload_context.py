"""What the creation of a multipart upload leaves for its parts: a small JSON document.

Parts and completion are judged with the encryption values of their CreateMultipartUpload, since S3
takes those headers there alone. The document lies on the backend, beside the upload, so that any proxy
of a fleet can judge the next part. What the envelope needs for its own travels along as opaque text.

The backend may hold anything: reading is bounded and strict, and a document that is not ours is an
`IntegrityError`, never an empty context.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.errors import IntegrityError

VERSION = 1
MAX_BYTES = 65536

# INVARIANT: conditions that are inherited are exactly those which S3 takes at creation and refuses on parts,
# plus the SSE-C algorithm, so that a completion without it is judged like its parts. ACLs, grants and tags
# are not inherited, as on AWS.
INHERITED = (
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
)


@dataclass(frozen=True, slots=True)
class UploadContext:
    """Condition values by key (as in `INHERITED`), and the envelope's own entries."""

    conditions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    envelope: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def serialise(self) -> bytes:
        """Return the document; raises ValueError when it would be larger than `parse` accepts."""
        document = {"v": VERSION, "conditions": dict(self.conditions), "envelope": dict(self.envelope)}
        raw = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
        if len(raw) > MAX_BYTES:
            raise ValueError(f"an upload context may have {MAX_BYTES} bytes, this one has {len(raw)}")
        return raw


def parse_upload_context(raw: bytes) -> UploadContext:
    """Parse a document written by `UploadContext.serialise`; raises `IntegrityError` for anything else."""
    if len(raw) > MAX_BYTES:
        raise IntegrityError("upload-context", "the upload context is too large")
    try:
        document = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("upload-context", "the upload context is not JSON") from error
    if not isinstance(document, dict) or set(document) != {"v", "conditions", "envelope"}:
        raise IntegrityError("upload-context", "the upload context has other members than it should")
    if document["v"] != VERSION or isinstance(document["v"], bool):
        raise IntegrityError("upload-context", "the upload context has a version that is not known here")
    conditions, envelope = _texts(document["conditions"]), _texts(document["envelope"])
    if not set(conditions) <= set(INHERITED):
        raise IntegrityError("upload-context", "the upload context has a condition that is not inherited")
    return UploadContext(MappingProxyType(conditions), MappingProxyType(envelope))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise IntegrityError("upload-context", "the upload context has a member that is no mapping")
    texts = {name: text for name, text in value.items() if isinstance(text, str)}
    if len(texts) != len(value):
        raise IntegrityError("upload-context", "the upload context has a value that is no text")
    return texts
