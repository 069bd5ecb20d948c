"""aws-chunked bodies give their data at every split, and every lie about them is noticed."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, CrtCrc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import S3Error
from proxy.s3.chunked import (
    MIN_CHUNK,
    Buffer,
    ChunkedDecoder,
    Encoder,
    PlainEncoder,
    SignedEncoder,
    UnsignedEncoder,
    signed_length,
)

KEY, SCOPE, DATE = b"signing key", "20261123/eu-central-1/s3/aws4_request", "20261123T120000Z"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
EMPTY = hashlib.sha256(b"").hexdigest()
CRC = "x-amz-checksum-crc32"


class Chain:
    """Chunk signatures written from Amazon's description, independent of the product's."""

    def __init__(self, seed: str = SEED) -> None:
        self.previous = seed

    def sign_chunk(self, sha256_hex: str) -> str:
        return self._next(["AWS4-HMAC-SHA256-PAYLOAD", DATE, SCOPE, self.previous, EMPTY, sha256_hex])

    def sign_trailer(self, sha256_hex: str) -> str:
        return self._next(["AWS4-HMAC-SHA256-TRAILER", DATE, SCOPE, self.previous, sha256_hex])

    def verify_chunk(self, sha256_hex: str, signature: str) -> None:
        self._require(self.sign_chunk(sha256_hex) == signature)

    def verify_trailer(self, sha256_hex: str, signature: str) -> None:
        self._require(self.sign_trailer(sha256_hex) == signature)

    def _next(self, lines: list[str]) -> str:
        self.previous = hmac.new(KEY, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        return self.previous

    def _require(self, equal: bool) -> None:
        if not equal:
            raise S3Error("SignatureDoesNotMatch")


def sign_like_minio_py(chunks: Sequence[bytes], trailer: tuple[str, str] | None = None) -> bytes:
    """Frame a body as a client does that signs each chunk."""
    chain, out = Chain(), b""
    for chunk in [*chunks, b""]:
        signature = chain.sign_chunk(hashlib.sha256(chunk).hexdigest())
        out += f"{len(chunk):x};chunk-signature={signature}\r\n".encode()
        out += chunk + b"\r\n" if chunk else b""
    if trailer:
        name, value = trailer
        signature = chain.sign_trailer(hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest())
        out += f"{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n".encode()
    return out + b"\r\n"


def frame_unsigned(chunks: Sequence[bytes], end: bytes = b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + end


@dataclass(frozen=True)
class Form:
    """One of the three forms, as wire bytes with what is in them."""

    wire: bytes
    data: bytes
    trailers: Mapping[str, str]
    signed: bool
    trailer_signed: bool = False

    def decoder(self, length: int | None = None) -> ChunkedDecoder:
        return ChunkedDecoder(
            len(self.data) if length is None else length,
            Chain() if self.signed else None,
            trailers=bool(self.trailers),
            trailer_signed=self.trailer_signed,
        )


BIG = bytes(range(256)) * (MIN_CHUNK // 256)
CHUNKS = [BIG, b"tail"]
TRAILERS = {CRC: "AAAAAA=="}
FORMS = {
    "signed": Form(sign_like_minio_py(CHUNKS), BIG + b"tail", {}, signed=True),
    "signed trailer": Form(sign_like_minio_py(CHUNKS, (CRC, "AAAAAA==")), BIG + b"tail", TRAILERS, True, True),
    "unsigned trailer": Form(frame_unsigned(CHUNKS), BIG + b"tail", TRAILERS, signed=False),
    "signed, empty": Form(sign_like_minio_py([]), b"", {}, signed=True),
    "signed trailer, empty": Form(sign_like_minio_py([], (CRC, "AAAAAA==")), b"", TRAILERS, True, True),
    "unsigned trailer, empty": Form(frame_unsigned([]), b"", TRAILERS, signed=False),
    "unsigned, no trailer": Form(frame_unsigned([b"x"], b"\r\n"), b"x", {}, signed=False),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def decode(decoder: ChunkedDecoder, pieces: Sequence[Buffer]) -> tuple[bytes, Mapping[str, str]]:
    data = b"".join(bytes(view) for piece in pieces for view in decoder.feed(piece))
    return data, decoder.finish()


def refusal(decoder: ChunkedDecoder, *pieces: Buffer) -> S3Error:
    with pytest.raises(S3Error) as caught:
        decode(decoder, pieces)
    return caught.value


@every_form
def test_every_split_in_two_gives_the_same_data(form: Form) -> None:
    borders = [at for at in range(len(form.wire) + 1) if at < 400 or at > len(form.wire) - 600]
    for at in borders:
        assert decode(form.decoder(), [form.wire[:at], form.wire[at:]]) == (form.data, form.trailers), at


@every_form
def test_one_byte_at_a_time_gives_the_same_data(form: Form) -> None:
    assert decode(form.decoder(), [bytes([byte]) for byte in form.wire]) == (form.data, form.trailers)


@given(name=st.sampled_from(sorted(FORMS)), cuts=st.lists(st.integers(0, 9000), max_size=12))
def test_any_splits_give_the_same_data_from_any_buffer(name: str, cuts: list[int]) -> None:
    form = FORMS[name]
    borders = [0, *sorted(cuts), len(form.wire)]
    view = memoryview(bytearray(form.wire))
    pieces = [view[start:end] for start, end in pairwise(borders)]
    assert decode(form.decoder(), pieces) == (form.data, form.trailers)


@every_form
def test_a_body_cut_anywhere_is_incomplete(form: Form) -> None:
    for length in range(len(form.wire)):
        if length < 300 or length > len(form.wire) - 400:
            assert refusal(form.decoder(), form.wire[:length]).code == "IncompleteBody", length


@every_form
def test_the_decoded_length_must_be_true(form: Form) -> None:
    assert refusal(form.decoder(len(form.data) + 1), form.wire).code == "IncompleteBody"
    if form.data:
        assert refusal(form.decoder(len(form.data) - 1), form.wire).code == "IncompleteBody"


@every_form
def test_bytes_after_the_end_are_refused(form: Form) -> None:
    assert refusal(form.decoder(), form.wire + b"x").code == "IncompleteBody"
    assert refusal(form.decoder(), form.wire, b"\r\n\r\n\r").code == "IncompleteBody"


@pytest.mark.parametrize("name", ["signed", "signed trailer"])
def test_a_change_of_any_byte_of_a_signed_body_is_noticed(name: str) -> None:
    form = FORMS[name]
    for at in [*range(100), 4000, *range(len(form.wire) - 380, len(form.wire))]:
        changed = bytearray(form.wire)
        changed[at] ^= 1
        outcome: object
        try:
            outcome = decode(form.decoder(), [changed])
        except S3Error as error:
            outcome = error.code
        # Some changes mean nothing: a trailer's spare line ends.
        allowed = ["SignatureDoesNotMatch", "IncompleteBody", "MalformedTrailerError", (form.data, form.trailers)]
        assert outcome in allowed, at


def test_chunks_in_another_order_or_left_out_are_noticed() -> None:
    first, second = BIG, BIG[::-1]
    wire = sign_like_minio_py([first, second])
    size = (len(wire) - len(sign_like_minio_py([]))) // 2
    swapped = wire[size : 2 * size] + wire[:size] + wire[2 * size :]
    assert refusal(ChunkedDecoder(2 * MIN_CHUNK, Chain()), swapped).code == "SignatureDoesNotMatch"
    assert refusal(ChunkedDecoder(MIN_CHUNK, Chain()), wire[size:]).code == "SignatureDoesNotMatch"


def test_data_of_a_chunk_is_handed_on_before_the_chunk_is_complete() -> None:
    decoder = ChunkedDecoder(5 << 30, trailers=True)
    assert decoder.feed(b"140000000\r\n") == []
    assert [bytes(view) for view in decoder.feed(b"abc")] == [b"abc"]


@pytest.mark.parametrize(
    "header",
    [b"+5", b"-5", b" 5", b"5 ", b"0x5", b"5_0", b"", b"g", b"5;", b"5;a=b", b"00000000000000005", b"\xb2", b"5\r"],
)
def test_a_chunk_size_is_bare_hex_digits(header: bytes) -> None:
    assert refusal(ChunkedDecoder(5), header + b"\r\nhello\r\n0\r\n\r\n").code == "IncompleteBody"


@pytest.mark.parametrize(
    "extension",
    [
        "",
        ";",
        ";chunk-signature=",
        ";chunk-signature=abc",
        ";chunk-sig=" + "0" * 64,
        ";chunk-signature=" + "A" * 64,
        ";chunk-signature=" + "0" * 64 + ";x=y",
        "; chunk-signature=" + "0" * 64,
    ],
)
def test_a_signed_chunk_needs_exactly_one_well_formed_signature(extension: str) -> None:
    assert refusal(ChunkedDecoder(0, Chain()), f"0{extension}\r\n\r\n".encode()).code == "IncompleteBody"


def test_a_chunk_header_without_end_is_not_collected_for_ever() -> None:
    decoder = ChunkedDecoder(5)
    decoder.feed(b"0" * 1023)
    with pytest.raises(S3Error, match="malformed"):
        decoder.feed(b"0")


def test_bare_line_feeds_are_refused_outside_of_trailers() -> None:
    assert refusal(ChunkedDecoder(5), b"5\nhello\r\n0\r\n\r\n").code == "IncompleteBody"
    assert refusal(ChunkedDecoder(5), b"5\r\nhello\n0\r\n\r\n").code == "IncompleteBody"


def test_data_longer_than_its_chunk_says_is_refused() -> None:
    assert refusal(ChunkedDecoder(5), b"4\r\nhello\r\n0\r\n\r\n").code == "IncompleteBody"


def test_only_the_last_chunk_may_be_small() -> None:
    small, large = bytes(MIN_CHUNK - 1), bytes(MIN_CHUNK)
    error = refusal(ChunkedDecoder(len(small) + 1, trailers=True), frame_unsigned([small, b"x"]))
    assert (error.code, error.status) == ("InvalidChunkSizeError", 400)
    assert error.extras == {"Chunk": "2", "BadChunkSize": str(MIN_CHUNK - 1)}
    decode(ChunkedDecoder(len(large) + 1, trailers=True), [frame_unsigned([large, b"x"])])


@pytest.mark.parametrize("line_end", [b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\n\r\n\r\n", b"\r\n\n"])
def test_unsigned_trailer_lines_may_end_in_the_ways_clients_end_them(line_end: bytes) -> None:
    wire = frame_unsigned([b"x"], b"X-Amz-Checksum-CRC32: AAAAAA==" + line_end)
    for at in range(len(wire)):
        assert decode(ChunkedDecoder(1, trailers=True), [wire[:at], wire[at:]]) == (b"x", TRAILERS)


def test_a_signed_trailer_may_have_the_blank_line_of_amazons_example() -> None:
    wire = FORMS["signed trailer"].wire.replace(b"AAAAAA==\r\n", b"AAAAAA==\n\r\n")
    assert decode(FORMS["signed trailer"].decoder(), [wire]) == (BIG + b"tail", TRAILERS)


def test_a_signed_trailer_cannot_be_changed_left_out_or_left_unsigned() -> None:
    form = FORMS["signed trailer"]
    changed = form.wire.replace(b"AAAAAA==", b"AAAAAQ==")
    assert refusal(form.decoder(), changed).code == "SignatureDoesNotMatch"
    start = form.wire.index(b"x-amz-trailer-signature")
    assert refusal(form.decoder(), form.wire[:start] + b"\r\n").code == "IncompleteBody"
    without = form.wire.replace(b"x-amz-checksum-crc32:AAAAAA==\r\n", b"")
    assert refusal(form.decoder(), without).code == "SignatureDoesNotMatch"
    after = form.wire[:-2] + b"x-amz-checksum-sha1:AAAA\r\n\r\n"
    assert refusal(form.decoder(), after).code == "MalformedTrailerError"


@pytest.mark.parametrize("end", [b"nonsense\r\n\r\n", b"a:1\r\nA:2\r\n\r\n", b"a:" + b"x" * 500 + b"\r\n"])
def test_malformed_trailers_are_refused(end: bytes) -> None:
    repeated = b"".join(b"n%d:%s\r\n" % (n, b"x" * 500) for n in range(20)) if len(end) > 100 else end
    assert refusal(ChunkedDecoder(0, trailers=True), b"0\r\n" + repeated).code == "MalformedTrailerError"


def test_trailers_that_were_not_announced_are_refused() -> None:
    assert refusal(ChunkedDecoder(1), frame_unsigned([b"x"])).code == "MalformedTrailerError"
    wire = FORMS["signed trailer"].wire
    assert refusal(ChunkedDecoder(len(BIG) + 4, Chain()), wire).code == "MalformedTrailerError"


@pytest.mark.parametrize("size", [0, 1, 8192, 1 << 20, (1 << 20) + 1, 5 << 19])
def test_bodies_of_botocore_are_decoded(size: int) -> None:
    data = bytes(size)
    wrapper = AwsChunkedWrapper(io.BytesIO(data), checksum_cls=CrtCrc32Checksum, checksum_name=CRC)
    decoded, trailers = decode(ChunkedDecoder(size, trailers=True), list(wrapper))
    checksum = CrtCrc32Checksum()
    checksum.update(data)
    assert decoded == data
    assert trailers == {CRC: checksum.b64digest()}


def encode(encoder: Encoder, pieces: Sequence[bytes], trailers: Mapping[str, str]) -> bytes:
    out = b"".join(bytes(piece) for group in pieces for piece in encoder.feed([group]))
    out += b"".join(bytes(piece) for piece in encoder.finish(trailers))
    assert len(out) == encoder.content_length
    return out


@given(pieces=st.lists(st.binary(max_size=300), max_size=8), with_trailer=st.booleans())
def test_what_is_encoded_has_the_length_foretold_and_decodes_to_the_same(
    pieces: list[bytes], with_trailer: bool
) -> None:
    data, trailers = b"".join(pieces), TRAILERS if with_trailer else {}
    sizes = {name: len(value) for name, value in trailers.items()}
    unsigned = encode(UnsignedEncoder(len(data), sizes), pieces, trailers)
    assert decode(ChunkedDecoder(len(data), trailers=with_trailer), [unsigned]) == (data, trailers)
    signed = encode(SignedEncoder(len(data), Chain(), sizes), pieces, trailers)
    decoder = ChunkedDecoder(len(data), Chain(), trailer_signed=with_trailer)
    assert decode(decoder, [signed]) == (data, trailers)
    assert encode(PlainEncoder(len(data)), pieces, {}) == data


@pytest.mark.parametrize("trailers", [{}, TRAILERS])
def test_signed_chunks_are_cut_to_one_size_whatever_the_pieces(trailers: Mapping[str, str]) -> None:
    sizes = {name: len(value) for name, value in trailers.items()}
    data = BIG * 3 + b"rest"
    encoder = SignedEncoder(len(data), Chain(), sizes, chunk_size=MIN_CHUNK)
    assert encoder.content_length == signed_length(len(data), sizes, MIN_CHUNK)
    wire = encode(encoder, [data[:5], data[5:20000], data[20000:]], trailers)
    assert wire == sign_like_minio_py([BIG, BIG, BIG, b"rest"], (CRC, "AAAAAA==") if trailers else None)


def test_a_plain_body_cannot_carry_trailers() -> None:
    with pytest.raises(ValueError, match="trailers"):
        PlainEncoder(0).finish(TRAILERS)
