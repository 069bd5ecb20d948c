"""PutObject and form uploads: sealed as one message on their way to the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from proxy.auth.chunks import ChunkSigner
from proxy.envelope import sizes
from proxy.envelope.capsule import Kind, ObjectKeys
from proxy.envelope.checksum import seal_checksum
from proxy.envelope.metadata import CHECKSUM_HEADER, ENVELOPE_HEADER
from proxy.envelope.single import envelope_value, seal_body_header
from proxy.forward import AuthorizedRequest
from proxy.payload import body_length, declared_by
from proxy.s3.checksums import Buffer
from proxy.s3.holdback import VerifiedBody
from proxy.sealing import answered_checksum, check_length, check_metadata, header_checksum, plan_sealed
from proxy.server.answers import Answers
from proxy.server.envelope.concealed import conceal
from proxy.server.envelope.fields import conditions
from proxy.server.envelope.keys import Capsules
from proxy.server.envelope.uploading import add_fields
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked, FormFile
from proxy.server.relay import answer_fields, begin
from proxy.server.store import Store


class Writer:
    """Stores new objects of one part."""

    def __init__(self, store: Store, capsules: Capsules, answers: Answers) -> None:
        self._store = store
        self._capsules = capsules
        self._answers = answers

    async def put(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Seal an upload and answer for it."""
        request, claim, form = authorized.request, authorized.claim, asked.form
        length = body_length(request.headers, claim.payload) if form is None else form.length()
        check_length(length, sizes.MAX_SINGLE_PLAIN)
        capsules, entropy = self._capsules, self._capsules.entropy
        place = capsules.place(exchange, request.bucket or "", request.key or "")
        wish = await capsules.wish(exchange, place, request.headers)
        keys = ObjectKeys.fresh(entropy)
        checksum = header_checksum(declared_by(request, claim.payload))
        capsule = await capsules.seal(exchange, place, wish, Kind.SINGLE, keys)
        header, key = seal_body_header(keys, entropy)
        metadata = {ENVELOPE_HEADER: envelope_value(capsule, header)}
        if checksum is not None:
            metadata[CHECKSUM_HEADER] = seal_checksum(checksum, keys, entropy)
        check_metadata(request.headers, metadata)
        plan = plan_sealed(
            request,
            claim.payload,
            claim.chunk_signer,
            exchange.rules.config.upstream.payload,
            length,
            key,
            added={**metadata, **conditions(request.headers)},
            allocate=capsules.buffers,
        )
        machine: VerifiedBody | None = None

        def make_body(signer: ChunkSigner | None) -> AsyncIterator[Buffer]:
            nonlocal machine
            machine = plan.start(signer)
            return exchange.body.through(machine if form is None else FormFile(form, machine))

        prepared = self._store.forwarder.prepare(authorized, plan.framing, make_body, exchange.time)
        answer = await self._store.send(prepared)
        try:
            conceal(answer)
            if form is not None and answer.status < 300:
                add_fields(answer, wish.answer)
            if form is not None or answer.status >= 300 or machine is None:
                return await self._answers.reply(exchange, authorized, answer, form=form)
            exchange.answered(answer.status, answer.headers)
            checksums = answered_checksum(plan.declared, machine.digest)
            kind = [("x-amz-checksum-type", "FULL_OBJECT")] if checksums else []
            while await answer.read():
                pass
            begin(exchange, 200, [*answer_fields(exchange, answer), *wish.answer, *checksums, *kind], 0)
            return await exchange.reply.finish()
        finally:
            answer.close()
