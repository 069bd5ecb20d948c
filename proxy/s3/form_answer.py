"""How a successful form upload is answered: the form itself says.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from proxy.s3.xml import Element, render_xml

_STATUSES = {"200": 200, "201": 201, "204": 204}


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """Status, header fields and body of the answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    document: bytes = b""


def form_answer(fields: Mapping[str, str], bucket: str, key: str, etag: str, url: str) -> FormAnswer:
    """Return the answer to an upload; `fields` have lower-case names, `etag` comes with its quotes, `url` is the
    object's own.

    A redirect that is no absolute http URL is ignored, as is a status that S3 does not offer: 204 it is.
    """
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect is not None and _is_web_address(redirect):
        separator = "&" if urlsplit(redirect).query else "?"
        location = f"{redirect}{separator}{urlencode({'bucket': bucket, 'key': key, 'etag': etag})}"
        return FormAnswer(303, (("Location", location),))
    status = _STATUSES.get(fields.get("success_action_status", ""), 204)
    if status != 201:
        return FormAnswer(status, (("Location", url),))
    rows = (("Location", url), ("Bucket", bucket), ("Key", key), ("ETag", etag))
    root = Element("PostResponse", children=tuple(Element(name, text) for name, text in rows))
    return FormAnswer(status, (("Location", url),), render_xml(root))


def _is_web_address(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
