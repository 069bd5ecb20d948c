"""Any stretch of a multipart object opens to the bytes asked for, however it arrives."""

from __future__ import annotations

import random

import pytest

from proxy.envelope.manifest import open_trailer
from proxy.envelope.ranges import plan_parts
from proxy.envelope.sizes import FRAME, LOCATOR, SEGMENT_HEADER
from proxy.envelope.spans import MAX_LEARNT, SpansOpener
from proxy.errors import IntegrityError

PIECES = [(1, b"a" * (FRAME + 5)), (2, b""), (3, b"b" * 10), (9, bytes(3 * FRAME)), (10, b"c")]


@pytest.fixture
def stored(writer):
    return writer.multipart(PIECES)


def manifest_of(stored):
    return open_trailer(stored.trailer[:-LOCATOR], len(stored.body), stored.keys)


def stretch(stored, first, last, size, known=None):
    manifest = manifest_of(stored)
    plans = plan_parts(manifest, first, last)
    opener = SpansOpener(plans, stored.keys, known or {})
    if opener.lacks_key:
        start = plans[0].header_start
        opener.learn(stored.body[start : start + SEGMENT_HEADER])
    raw = stored.body[opener.start : opener.start + opener.size]
    out = b"".join(bytes(opener.feed(raw[at : at + size])) for at in range(0, len(raw), size))
    opener.finish()
    return out, opener


@pytest.mark.parametrize("size", [1000, FRAME, 10**7])
def test_any_stretch_is_the_bytes_asked_for(stored, size):
    plaintext = stored.plaintext
    chooser = random.Random(1)
    ends = [0, FRAME - 1, FRAME, FRAME + 4, FRAME + 5, FRAME + 14, FRAME + 15, len(plaintext) - 2, len(plaintext) - 1]
    ends += [chooser.randrange(len(plaintext)) for _ in range(4)]
    for first in ends:
        for last in ends:
            if first <= last:
                assert stretch(stored, first, last, size)[0] == plaintext[first : last + 1], (first, last)


def test_a_known_key_saves_the_header(stored):
    _, opener = stretch(stored, 0, 10, 10**7)
    again, second = stretch(stored, 0, 10, 10**7, known=opener.learnt)
    assert again == stored.plaintext[:11]
    assert second.start == opener.start + SEGMENT_HEADER


def test_a_part_in_anothers_place_is_refused(stored):
    manifest = manifest_of(stored)
    opener = SpansOpener(plan_parts(manifest, 0, 5), stored.keys)
    other = manifest.parts[3].stored_start
    with pytest.raises(IntegrityError):
        opener.feed(stored.body[other : other + opener.size])


def test_a_stretch_that_ends_early_is_refused(stored):
    opener = SpansOpener(plan_parts(manifest_of(stored), 0, FRAME + 10), stored.keys)
    opener.feed(stored.body[: opener.size - 1])
    with pytest.raises(IntegrityError):
        opener.finish()


@pytest.mark.parametrize("size", [100, 10**7])
def test_a_stretch_over_many_parts_holds_few_keys(writer, size):
    many = writer.multipart([(number, b"%05d" % number) for number in range(1, 101)])
    known = dict.fromkeys(range(2, 5000))
    out, opener = stretch(many, 0, 499, size, known=known)
    assert out == many.plaintext
    assert list(opener.learnt) == list(range(101 - MAX_LEARNT, 101)), "those at whose end the next one may begin"
