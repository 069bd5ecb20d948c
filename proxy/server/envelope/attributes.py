"""GetObjectAttributes of encrypted objects: made here, from the object's head and its manifest.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
"""

from __future__ import annotations

from aiohttp import web

from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.checksum import open_checksum
from proxy.envelope.etags import mark_etag
from proxy.envelope.single import Envelope, parse_envelope
from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest
from proxy.s3.xml import NAMESPACE, Element, render_xml
from proxy.server.envelope.concealed import Found, conceal
from proxy.server.envelope.customer_keys import refuse_idle_key
from proxy.server.envelope.keys import Capsules, Place
from proxy.server.envelope.manifests import Manifests
from proxy.server.envelope.multiparts import Asking
from proxy.server.envelope.reading import Reader
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import answer_fields, reply_document

_KNOWN = frozenset({"Checksum", "ETag", "ObjectParts", "ObjectSize", "StorageClass"})
_SHOWN = frozenset({"last-modified", "x-amz-delete-marker", "x-amz-request-charged", "x-amz-version-id"})


class Attributes:
    """Answers GetObjectAttributes."""

    def __init__(self, reader: Reader, manifests: Manifests, capsules: Capsules) -> None:
        self._reader = reader
        self._manifests = manifests
        self._capsules = capsules

    async def get(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer with the attributes asked for."""
        request = authorized.request
        wanted = {each.strip() for each in (request.headers.joined("x-amz-object-attributes") or "").split(",")}
        if not wanted <= _KNOWN:
            raise S3Error("InvalidArgument", "Invalid attribute name specified.")
        answer = await self._reader.ask(exchange, authorized, None, method="HEAD")
        found = conceal(answer)
        answer.close()
        place = self._capsules.place(exchange, request.bucket or "", request.key or "")
        if answer.status >= 300:
            return await self._reader.refused(Asking(exchange, authorized, place), answer, looked=True)
        children = [Element("ETag", mark_etag(found.etag))] if "ETag" in wanted else []
        size = found.size
        if found.value is None:
            refuse_idle_key(request.headers)
            size = (await self._reader.unmarked.look(Asking(exchange, authorized, place), found)).size
        else:
            envelope = parse_envelope(found.value)
            keys = await self._capsules.prove(exchange, place, envelope.capsule, request.headers)
            size = await self._reader.shown_size(exchange, authorized, envelope, found, place.key)
            children += await self._of_envelope(exchange, authorized, place, envelope, found, wanted, keys)
        if "StorageClass" in wanted:
            children.append(Element("StorageClass", answer.headers.joined("x-amz-storage-class") or "STANDARD"))
        if "ObjectSize" in wanted:
            children.append(Element("ObjectSize", str(size)))
        root = Element("GetObjectAttributesResponse", children=tuple(children), attributes=(("xmlns", NAMESPACE),))
        fields = [pair for pair in answer_fields(exchange, answer) if pair[0].lower() in _SHOWN]
        exchange.answered(200, answer.headers)
        return await reply_document(exchange, 200, render_xml(root), fields)

    async def _of_envelope(
        self,
        exchange: Exchange,
        authorized: AuthorizedRequest,
        place: Place,
        envelope: Envelope,
        found: Found,
        wanted: set[str],
        keys: ObjectKeys | None,
    ) -> list[Element]:
        children = []
        if "Checksum" in wanted and found.checksum is not None:
            keys = keys or await self._capsules.open(exchange, place, envelope.capsule, authorized.request.headers)
            text, _, kind = open_checksum(found.checksum, keys).partition(";")
            name, _, value = text.partition("=")
            rows = (Element(f"Checksum{name.upper()}", value), Element("ChecksumType", kind))
            children.append(Element("Checksum", children=rows))
        if "ObjectParts" in wanted and envelope.kind is Kind.MULTIPART:
            version = authorized.request.version_id or ""
            known = await self._manifests.find(exchange, authorized, place, version, envelope, found)
            count = Element("PartsCount", str(len(known.manifest.parts)))
            children.append(Element("ObjectParts", children=(count,)))
        return children
