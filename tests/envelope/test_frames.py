"""Frames as they stream: any slicing gives the same bytes, and nothing unverified comes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.envelope.buffers import Buffers
from proxy.envelope.frames import FrameOpener, FrameSealer, open_whole, seal_whole
from proxy.envelope.keyring import Edk
from proxy.envelope.message import DataKey, KeyReuseError, OpeningKey, SealingKey, open_header, parse_header
from proxy.envelope.sizes import FRAME, WIRE_FRAME, single_size
from proxy.errors import IntegrityError

SIZES = [0, 1, 15, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 2 * FRAME + 1, 3 * FRAME + 777]


def keys(entropy, frame_length: int = FRAME) -> tuple[SealingKey, OpeningKey]:
    data_key = DataKey(entropy)
    plaintext = data_key.plaintext
    raw, sealing = data_key.seal_header({}, [Edk("s3w", b"", b"")], frame_length)
    return sealing, open_header(parse_header(raw, frame_length), plaintext)


def content(size: int) -> bytes:
    return (b"".join(n.to_bytes(4, "big") for n in range(size // 4 + 1)))[:size]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    out, position = [], 0
    for cut in cuts:
        out.append(data[position : position + cut])
        position += cut
    return [*out, data[position:]]


def seal(key: SealingKey, chunks: list[bytes], frame: int = FRAME) -> bytes:
    sealer = FrameSealer(key, frame_length=frame)
    return b"".join([*(bytes(sealer.feed(chunk)) for chunk in chunks), bytes(sealer.finish())])


def open_all(opener: FrameOpener, chunks: list[bytes]) -> bytes:
    out = b"".join([bytes(opener.feed(chunk)) for chunk in chunks])
    opener.finish()
    return out


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_opens_and_has_the_computed_length(entropy, size: int) -> None:
    sealing, opening = keys(entropy)
    stored = seal(sealing, [content(size)])
    assert len(stored) == single_size(size)
    assert open_all(FrameOpener(opening, size), [stored]) == content(size)


SMALL = 16
CUTS = st.lists(st.integers(0, 70), max_size=12)


@settings(deadline=None)
@given(st.integers(0, 200), CUTS, CUTS)
def test_slicing_changes_nothing(size: int, seal_cuts: list[int], open_cuts: list[int]) -> None:
    class Fixed:
        def random(self, size: int) -> bytes:
            return bytes(size)

    data = content(size)
    sealing, opening = keys(Fixed(), SMALL)
    whole, _ = keys(Fixed(), SMALL)
    stored = seal(sealing, pieces(data, seal_cuts), SMALL)
    assert stored == seal(whole, [data], SMALL)
    assert open_all(FrameOpener(opening, size, frame_length=SMALL), pieces(stored, open_cuts)) == data


@settings(deadline=None)
@given(st.integers(1, 200), st.data())
def test_any_range_of_frames_opens_alone(size: int, data: st.DataObject) -> None:
    class Fixed:
        def random(self, size: int) -> bytes:
            return bytes(size)

    sealing, opening = keys(Fixed(), SMALL)
    stored = seal(sealing, [content(size)], SMALL)
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size - 1))
    i, j = first // SMALL, last // SMALL
    wire = stored[i * (SMALL + 32) : (j + 1) * (SMALL + 32) + (8 if j == (size - 1) // SMALL else 0)]
    opener = FrameOpener(
        opening, size, first=i + 1, last=j + 1, skip=first % SMALL, take=last - first + 1, frame_length=SMALL
    )
    assert open_all(opener, pieces(wire, data.draw(CUTS))) == content(size)[first : last + 1]


def test_the_last_bytes_stay_back_until_finish(entropy) -> None:
    sealing, _ = keys(entropy)
    sealer = FrameSealer(sealing)
    assert len(sealer.feed(content(FRAME))) == 0
    assert len(sealer.feed(b"")) == 0
    assert len(sealer.feed(b"x")) == WIRE_FRAME
    assert len(sealer.feed(content(FRAME - 1))) == 0
    assert len(sealer.finish()) == FRAME + 40


def test_after_the_final_frame_nothing_follows(entropy) -> None:
    sealing, _ = keys(entropy)
    sealer = FrameSealer(sealing)
    sealer.finish()
    with pytest.raises(RuntimeError):
        sealer.finish()
    with pytest.raises(RuntimeError):
        sealer.feed(bytes(2 * FRAME))


def test_one_key_never_seals_two_bodies(entropy) -> None:
    sealing, _ = keys(entropy)
    FrameSealer(sealing)
    with pytest.raises(KeyReuseError):
        FrameSealer(sealing)
    with pytest.raises(KeyReuseError):
        seal_whole(sealing, b"")


def test_plaintext_leaves_only_with_the_last_byte_of_its_frame(entropy) -> None:
    sealing, opening = keys(entropy)
    stored = seal(sealing, [content(FRAME + 5)])
    opener = FrameOpener(opening, FRAME + 5)
    assert len(opener.feed(stored[: WIRE_FRAME - 1])) == 0
    assert bytes(opener.feed(stored[WIRE_FRAME - 1 : WIRE_FRAME])) == content(FRAME)
    assert len(opener.feed(stored[WIRE_FRAME:-1])) == 0
    assert bytes(opener.feed(stored[-1:])) == content(FRAME + 5)[FRAME:]
    opener.finish()


def feed_slowly(opener: FrameOpener, stored: bytes, got: bytearray) -> None:
    for start in range(0, len(stored), WIRE_FRAME // 4):
        got += opener.feed(stored[start : start + WIRE_FRAME // 4])


def flips(size: int) -> list[int]:
    edges = [*range(24), *range(WIRE_FRAME - 20, WIRE_FRAME + 26), *range(size - 20, size)]
    return sorted({index for index in edges if 0 <= index < size})


def test_every_flipped_bit_is_noticed_and_the_frames_before_it_are_good(entropy) -> None:
    size = FRAME + 5
    sealing, opening = keys(entropy)
    stored = seal(sealing, [content(size)])
    for index in flips(len(stored)):
        changed = bytearray(stored)
        changed[index] ^= 1
        opener = FrameOpener(opening, size)
        got = bytearray()
        with pytest.raises(IntegrityError) as caught:
            feed_slowly(opener, changed, got)
        assert caught.value.where == "frame"
        assert got == (content(FRAME) if index >= WIRE_FRAME else b"")


def test_a_failed_opener_stays_failed_and_leaves_no_plaintext_behind(entropy) -> None:
    sealing, opening = keys(entropy)
    stored = bytearray(seal(sealing, [content(100)]))
    stored[-1] ^= 1
    memory = bytearray(100)
    opener = FrameOpener(opening, 100, allocate=lambda _size: memory)
    with pytest.raises(IntegrityError):
        opener.feed(stored)
    assert memory == bytes(100)
    with pytest.raises(IntegrityError):
        opener.finish()


def test_swapped_repeated_dropped_and_added_frames_are_noticed(entropy) -> None:
    size = 2 * FRAME + 9
    sealing, opening = keys(entropy)
    stored = seal(sealing, [content(size)])
    one, two, final = stored[:WIRE_FRAME], stored[WIRE_FRAME : 2 * WIRE_FRAME], stored[2 * WIRE_FRAME :]
    for wire in (two + one + final, one + one + final, one + final, one + two, stored + b"x", stored + final):
        with pytest.raises(IntegrityError):
            open_all(FrameOpener(opening, size), [wire])


def test_a_final_frame_is_none_elsewhere_and_a_shorter_object_none_at_all(entropy) -> None:
    sealing, opening = keys(entropy)
    stored = seal(sealing, [content(2 * FRAME)])
    cut = stored[:WIRE_FRAME]
    for size in (FRAME, FRAME - 8):
        with pytest.raises(IntegrityError):
            open_all(FrameOpener(opening, size), [cut])
    with pytest.raises(ValueError, match="no such frames"):
        FrameOpener(opening, 2 * FRAME, first=2, last=3)


def test_frames_of_another_message_are_noticed(entropy) -> None:
    first, opening = keys(entropy)
    second, _ = keys(entropy)
    seal(first, [b"one"])
    with pytest.raises(IntegrityError):
        open_all(FrameOpener(opening, 3), [seal(second, [b"two"])])


def test_memory_that_was_let_go_serves_the_next_call(entropy) -> None:
    sealing, opening = keys(entropy)
    sealer = FrameSealer(sealing)
    sealer.feed(b"x")
    buffers = {id(sealer.feed(content(FRAME)).obj) for _ in range(5)}
    assert len(buffers) == 1
    sealing, opening = keys(entropy)
    stored = seal(sealing, [content(6 * FRAME)])
    opener = FrameOpener(opening, 6 * FRAME)
    buffers = {id(opener.feed(stored[i * WIRE_FRAME : (i + 1) * WIRE_FRAME]).obj) for i in range(5)}
    assert len(buffers) == 1


def test_what_is_held_stays_as_it_is_even_where_streams_share_memory(entropy) -> None:
    buffers = Buffers()
    sealers = [FrameSealer(keys(entropy)[0], allocate=buffers) for _ in range(3)]
    for sealer in sealers:
        sealer.feed(b"x")
    held = [sealer.feed(content(FRAME)) for _ in range(4) for sealer in sealers]
    kept = [bytes(view) for view in held]
    for sealer in sealers:
        sealer.finish()
    assert held == kept
    assert len({id(view.obj) for view in held}) == len(held)


def test_an_upload_of_known_size_needs_no_more_memory_than_it_has_bytes(entropy) -> None:
    for size in (0, 1, 100, FRAME, FRAME + 1, 3 * FRAME):
        sealing, opening = keys(entropy)
        sealer = FrameSealer(sealing, plain_size=size)
        stored = bytes(sealer.feed(content(size))) + bytes(sealer.finish())
        assert open_all(FrameOpener(opening, size), [stored]) == content(size)


def test_a_whole_body_opens_only_as_exactly_one_final_frame(entropy) -> None:
    for plaintext in (b"", b"x", content(96)):
        sealing, opening = keys(entropy)
        stored = seal_whole(sealing, plaintext)
        assert open_whole(opening, stored) == plaintext
        assert open_all(FrameOpener(opening, len(plaintext)), [stored]) == plaintext
        for wrong in (stored + b"x", stored[:-1], stored[1:], b"", stored[:39], bytes([stored[0] ^ 1]) + stored[1:]):
            with pytest.raises(IntegrityError):
                open_whole(opening, wrong)
