"""GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption of buckets that the proxy encrypts.

What such a bucket does stands in the proxy's configuration, and that is what clients are told. Whether
they may say something themselves is a setting: nothing is taken (`refuse`), what says the same as the
configuration (`match`, for tools that put it again and again), or all three go to the store, which then
encrypts once more what was encrypted here (`forward`).

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html
"""

from __future__ import annotations

from aiohttp import web

from proxy.errors import S3Error
from proxy.forward import AuthorizedRequest
from proxy.keys.ring import KeyRing, MasterKey
from proxy.keys.rules import default_key, uses_kek
from proxy.s3.bucket_encryption import SSE_C, EncryptionRule, parse_rule, render_rule
from proxy.server.answers import Answers
from proxy.server.envelope.keys import Capsules
from proxy.server.exchange import Exchange
from proxy.server.intake import Asked
from proxy.server.relay import reply_document
from proxy.server.sending import prepare_document
from proxy.server.store import Store, read_answer

SET_HERE = "The encryption of this bucket is set in the configuration of this proxy."


class BucketEncryptions:
    """Answers for the encryption settings of buckets."""

    def __init__(self, store: Store, capsules: Capsules, answers: Answers) -> None:
        self._store = store
        self._capsules = capsules
        self._answers = answers

    async def get(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer GetBucketEncryption."""
        bucket = authorized.request.bucket or ""
        if _is_forwarded(exchange, bucket):
            return await self._forward(exchange, asked, authorized)
        await self._refuse_missing(exchange, bucket)
        return await reply_document(exchange, 200, render_rule(self._rule(exchange, bucket)))

    async def put(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer PutBucketEncryption."""
        bucket = authorized.request.bucket or ""
        if _is_forwarded(exchange, bucket):
            return await self._forward(exchange, asked, authorized)
        wanted = parse_rule(asked.content)
        if exchange.rules.config.bucket(bucket).encryption.bucket_api != "match":
            raise S3Error("AccessDenied", SET_HERE)
        await self._refuse_missing(exchange, bucket)
        if not _says_the_same(wanted, self._rule(exchange, bucket), self._capsules.ring):
            raise S3Error("AccessDenied", f"This is not how the bucket is encrypted. {SET_HERE}")
        return await reply_document(exchange, 200, b"")

    async def delete(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        """Answer DeleteBucketEncryption: there is no bucket without encryption to go back to."""
        if _is_forwarded(exchange, authorized.request.bucket or ""):
            return await self._forward(exchange, asked, authorized)
        raise S3Error("AccessDenied", SET_HERE)

    def _rule(self, exchange: Exchange, bucket: str) -> EncryptionRule:
        encryption = exchange.rules.config.bucket(bucket).encryption
        key: MasterKey = default_key(self._capsules.ring, encryption)
        blocked = frozenset[str]() if encryption.sse_c else frozenset({SSE_C})
        return EncryptionRule("aws:kms", key.arn, uses_kek(key, encryption, None), blocked)

    async def _forward(self, exchange: Exchange, asked: Asked, authorized: AuthorizedRequest) -> web.StreamResponse:
        prepared = prepare_document(exchange, self._store, authorized, asked.content)
        return await self._answers.reply(exchange, authorized, await self._store.send(prepared))

    async def _refuse_missing(self, exchange: Exchange, bucket: str) -> None:
        """Raise `S3Error` NoSuchBucket: settings match the names of buckets that do not exist, too."""
        prepared = self._store.forwarder.prepare_own("HEAD", bucket, None, exchange.time)
        answer = await self._store.send(prepared)
        await read_answer(answer, 0)
        if answer.status == 404:
            raise S3Error("NoSuchBucket", extras={"BucketName": bucket})


def _is_forwarded(exchange: Exchange, bucket: str) -> bool:
    return exchange.rules.config.bucket(bucket).encryption.bucket_api == "forward"


def _says_the_same(wanted: EncryptionRule, rule: EncryptionRule, ring: KeyRing) -> bool:
    """Tell whether a rule leaves everything as it is; what it does not mention is left as it is."""
    if wanted.algorithm not in (None, rule.algorithm):
        return False
    try:
        same_key = wanted.key is None or ring.find(wanted.key).arn == rule.key
    except S3Error:
        return False
    pairs = ((wanted.bucket_key, rule.bucket_key), (wanted.blocked, rule.blocked))
    return same_key and all(asked is None or asked == present for asked, present in pairs)
