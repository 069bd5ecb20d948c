"""Listings: sizes of plaintext, marked ETags, and no sign of what the proxy keeps for itself.

A listing shows neither metadata nor versions of the format, so sizes are computed from stored size and
ETag (`list_sizes: formula`), or every object is asked for (`head`), a bounded number at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from aiohttp import web

from proxy.envelope.etags import mark_etag
from proxy.envelope.single import parse_envelope
from proxy.envelope.sizes import listed_plain_size
from proxy.errors import IntegrityError, S3Error
from proxy.forward import AuthorizedRequest
from proxy.s3.etags import map_etags, unquote_etag
from proxy.s3.page_bytes import change_entries
from proxy.s3.pages import DEFAULT_LIMIT, Page, parse_page, with_values
from proxy.s3.state import is_reserved, shortened
from proxy.s3.xml import Element
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.reading import Reader
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import relay_edited
from proxy.server.sending import prepare_document
from proxy.server.store import Store, read_answer

PARALLEL_HEADS = 16
MAX_KNOWN_SIZES = 65536
_SIZED = frozenset({"Contents", "Version"})
_LIMITS = {"ListMultipartUploads": "max-uploads"}

_log = logging.getLogger("s3warden.listing")


class Lister:
    """Answers listings of encrypted buckets, and of others that hold the proxy's own objects."""

    def __init__(self, store: Store, reader: Reader, answers: Answers) -> None:
        self._store = store
        self._reader = reader
        self._answers = answers
        self._sizes: OrderedDict[tuple[str, str, str, str], int] = OrderedDict()
        self._formula_fails = False

    async def list(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer a listing with what clients may see of it."""
        answer = await self._store.send(prepare_document(exchange, self._store, authorized, b""))
        try:
            if answer.status >= 300:
                return await self._answers.reply(exchange, authorized, answer)
            document = await read_answer(answer, exchange.rules.config.limits.xml_bytes)
            settings = exchange.rules.config.bucket(authorized.request.bucket or "").encryption
            prefix = exchange.rules.config.upstream.state.prefix
            common = _common_prefix(authorized, prefix)
            suspect = _may_name(document, prefix) or (common is not None and _may_name(document, common))
            if settings.mode != "envelope" and not suspect:
                return await relay_edited(exchange, answer, lambda read: read, document)
            formula = settings.list_sizes == "formula" and not self._formula_fails
            of_objects = authorized.request.operation.name != "ListMultipartUploads"
            if formula and of_objects and not suspect:
                quick = change_entries(document, _shown)
                if quick is not None:
                    return await relay_edited(exchange, answer, lambda _: quick, document)
            page = parse_page(document)
            visible = await self._visible(exchange, authorized, page, prefix)
            missing = len(page.entries) - len(visible.entries)
            while missing > 0 and page.is_truncated:
                page = await self._next(exchange, authorized, page, prefix, missing)
                more = await self._visible(exchange, authorized, page, prefix)
                missing -= len(more.entries)
                visible = visible.followed_by(more)
            if settings.mode == "envelope":
                visible = await self._show(exchange, authorized, visible, settings.list_sizes == "head")
            return await relay_edited(exchange, answer, lambda _: visible.render(), document)
        finally:
            answer.close()

    def formula_fails(self) -> None:
        """Note that the store's multipart ETags tell no part count: sizes must be asked for from now on."""
        if not self._formula_fails:
            self._formula_fails = True
            _log.warning("the upstream's multipart ETags have no part count: listings ask for every object's size")

    async def _next(
        self, exchange: Exchange, authorized: AuthorizedRequest, page: Page, prefix: str, missing: int
    ) -> Page:
        """Fetch what follows a page, as much of it as is missing."""
        operation = authorized.request.operation.name
        return await self._ask(exchange, authorized, page.next(operation, prefix), min(missing, DEFAULT_LIMIT))

    async def _visible(self, exchange: Exchange, authorized: AuthorizedRequest, page: Page, prefix: str) -> Page:
        """Leave out what is the proxy's own, and a common prefix that only holds such things."""
        visible = page.without(lambda name: is_reserved(name, prefix))
        common = _common_prefix(authorized, prefix)
        if common is None or all(page.name(each) != common for each in visible.entries):
            return visible
        if await self._holds_others(exchange, authorized, common, prefix):
            return visible
        return visible.without(lambda name: name == common)

    async def _holds_others(self, exchange: Exchange, authorized: AuthorizedRequest, common: str, prefix: str) -> bool:
        """Tell whether a name that reserved keys begin with is the beginning of others too.

        With the rest of the reserved prefix as its delimiter, a listing shows all of ours as one name: two are
        enough to know. Stores that cannot do that show them one by one.
        """
        operation = authorized.request.operation.name
        # Where the client wants to begin stays; its token belongs to another listing.
        changes = {"prefix": common, "delimiter": prefix[len(common) :], "continuation-token": None}
        limit = 2
        while True:
            page = await self._ask(exchange, authorized, changes, limit)
            if page.without(lambda name: is_reserved(name, prefix)).entries:
                return True
            following = changes | dict(page.next(operation, prefix))
            if not page.is_truncated or following == changes:
                return False
            changes, limit = following, DEFAULT_LIMIT

    async def _ask(
        self, exchange: Exchange, authorized: AuthorizedRequest, changes: Mapping[str, str | None], limit: int
    ) -> Page:
        """Ask for another page, with some parameters of the request changed; None for one to leave out."""
        request = authorized.request
        limited = {**request.parameters, **changes, _LIMITS.get(request.operation.name, "max-keys"): str(limit)}
        parameters = {name: value for name, value in limited.items() if value is not None}
        asking = replace(authorized, request=replace(request, parameters=parameters))
        answer = await self._store.send(prepare_document(exchange, self._store, asking, b""))
        if answer.status >= 300:
            answer.close()
            raise IntegrityError("listing", f"the upstream answered {answer.status} to the continuation of a listing")
        return parse_page(await read_answer(answer, exchange.rules.config.limits.xml_bytes))

    async def _show(self, exchange: Exchange, authorized: AuthorizedRequest, page: Page, ask: bool) -> Page:
        """Give every object its size and ETag."""
        sized = [each for each in page.entries if each.name in _SIZED]
        if not ask and not self._formula_fails:
            sizes = {id(each): _computed(each) for each in sized}
        else:
            places = asyncio.Semaphore(PARALLEL_HEADS)
            found = await asyncio.gather(*[self._asked(exchange, authorized, page, each, places) for each in sized])
            sizes = {id(each): size for each, size in zip(sized, found, strict=True)}

        def shown(entry: Element) -> Element:
            if entry.name not in _SIZED:
                return with_values(entry, {}, ("Checksum",)) if entry.name == "Upload" else entry
            etag = map_etags(entry.value("ETag") or "", mark_etag)
            return with_values(entry, {"Size": str(sizes[id(entry)]), "ETag": etag}, ("Checksum",))

        return page.changed(shown)

    async def _asked(
        self, exchange: Exchange, authorized: AuthorizedRequest, page: Page, entry: Element, places: asyncio.Semaphore
    ) -> int:
        """Return the size of an object that may or may not be encrypted."""
        bucket = authorized.request.bucket or ""
        key, version = page.name(entry), entry.value("VersionId") or ""
        etag = unquote_etag(entry.value("ETag") or "")
        known = self._sizes.get((bucket, key, version, etag))
        if known is not None:
            return known
        async with places:
            answer = await self._store.head(bucket, key, version)
        found = conceal(answer)
        size = _stored_size(entry)
        if answer.status == 200:
            try:
                if found.value is None:
                    size = await self._reader.listed_size(exchange, bucket, key, version, found)
                else:
                    envelope = parse_envelope(found.value)
                    size = await self._reader.shown_size(exchange, authorized, envelope, found, key)
            except (IntegrityError, S3Error) as error:
                # One damaged object must not hide the others; reading it says what is wrong.
                _log.warning("the size of `%s/%s` cannot be told: %s", bucket, key, error)
        if answer.status == 200:
            self._sizes[bucket, key, version, etag] = size
            if len(self._sizes) > MAX_KNOWN_SIZES:
                self._sizes.popitem(last=False)
        return size


def _shown(stored: int, etag: str) -> tuple[int, str]:
    """Return size and ETag that clients see of what a listing says."""
    plain = listed_plain_size(stored, etag)
    return stored if plain is None else plain, mark_etag(etag)


def _computed(entry: Element) -> int:
    """Return the plaintext size by arithmetic; a length that no object of ours has is shown as it is."""
    stored = _stored_size(entry)
    plain = listed_plain_size(stored, entry.value("ETag") or "")
    return stored if plain is None else plain


def _stored_size(entry: Element) -> int:
    text = entry.value("Size") or ""
    return int(text) if text.isascii() and text.isdigit() else 0


def _common_prefix(authorized: AuthorizedRequest, prefix: str) -> str | None:
    """Return the name that is not reserved, but that this listing may show because of reserved keys."""
    asked = authorized.request.parameters
    return shortened(asked.get("prefix", ""), asked.get("delimiter", ""), prefix)


def _may_name(document: bytes, prefix: str) -> bool:
    """Tell whether a listing may have reserved names: most have none, and need not be read."""
    return prefix.encode() in document or quote(prefix, safe="").encode() in document
