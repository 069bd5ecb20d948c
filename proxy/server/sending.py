"""Prepare and forward: the plan for the body, the signature for the store, and the way there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from proxy.auth.chunks import ChunkSigner
from proxy.forward import AuthorizedRequest, Prepared
from proxy.payload import plan_buffered, plan_stream
from proxy.s3.checksums import Buffer
from proxy.server.exchange import Exchange
from proxy.server.intake import FormFile, FormUpload
from proxy.server.store import Store


def prepare_upload(
    exchange: Exchange, store: Store, authorized: AuthorizedRequest, form: FormUpload | None
) -> Prepared:
    """Prepare an upload whose body streams: its bytes are pulled through the checks as the store takes them."""
    mode = exchange.rules.config.upstream.payload
    length = None if form is None else form.length()
    plan = plan_stream(authorized.request, authorized.claim, mode, length=length)

    def make_body(signer: ChunkSigner | None) -> AsyncIterator[Buffer]:
        machine = plan.start(signer)
        return exchange.body.through(machine if form is None else FormFile(form, machine))

    return store.forwarder.prepare(authorized, plan.framing, make_body, exchange.time)


def prepare_document(
    exchange: Exchange, store: Store, authorized: AuthorizedRequest, body: bytes, *, rewritten: bool = False
) -> Prepared:
    """Prepare a request with a verified body that is held whole, or with none."""
    mode = exchange.rules.config.upstream.payload
    plan = plan_buffered(authorized.request, authorized.claim, mode, body, rewritten=rewritten)
    return store.forwarder.prepare(authorized, plan.framing, lambda signer: plan.body, exchange.time)
