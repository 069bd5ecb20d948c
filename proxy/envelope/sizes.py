"""How long things are: plaintext to stored bytes and back, without looking at either.

`LIST` shows sizes and ETags and nothing else, so both directions are arithmetic. All lengths in bytes.
The constants belong to the stored format and can never change.
"""

from __future__ import annotations

from proxy.errors import S3Error

FRAME = 65_536
"""Plaintext of a frame."""
FRAME_OVERHEAD = 32
"""Sequence number 4, nonce 12, tag 16."""
FINAL_OVERHEAD = 8
"""What a final frame has on top: the end marker and its length."""
WIRE_FRAME = FRAME + FRAME_OVERHEAD
BODY_HEADER = 188
SEGMENT_HEADER = 189
LOCATOR = 16
TRAILER_OVERHEAD = SEGMENT_HEADER + FRAME_OVERHEAD + FINAL_OVERHEAD
"""A trailer message without its plaintext."""
_SEGMENT_FIXED = SEGMENT_HEADER + FRAME_OVERHEAD + FINAL_OVERHEAD

MAX_PUT = 5 * 2**30
"""The largest body S3 takes in one request.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""
MIN_PART = 5 * 2**20
"""The smallest part S3 takes that is not the last.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
MAX_PARTS = 10_000


def frame_count(plain: int, frame: int = FRAME) -> int:
    """Count the frames of a message: an empty one has a single, empty frame."""
    return max(1, -(-plain // frame))


def single_size(plain: int) -> int:
    """Return the stored length of a single-part object."""
    return plain + FRAME_OVERHEAD * frame_count(plain) + FINAL_OVERHEAD


def single_plain_size(stored: int) -> int | None:
    """Return the plaintext length of a single-part object, None for a length that none has."""
    framed = stored - FINAL_OVERHEAD
    if framed < FRAME_OVERHEAD:
        return None
    plain = framed - FRAME_OVERHEAD * -(-framed // WIRE_FRAME)
    # Some lengths round down to a plaintext they do not belong to: trailing bytes of up to a head's length.
    return plain if plain >= 0 and single_size(plain) == stored else None


def segment_size(plain: int) -> int:
    """Return the stored length of one part of a multipart upload: a whole message."""
    return SEGMENT_HEADER + single_size(plain)


def segment_plain_size(stored: int) -> int | None:
    """Return the plaintext length of a part, None for a length that none has."""
    return single_plain_size(stored - SEGMENT_HEADER)


def trailer_allowance(part_count: int) -> int:
    """Return the part of a multipart object's length that depends on its backend part count alone."""
    return 341 + 48 * part_count


def multipart_size(plain: int, part_count: int) -> int:
    """Return the stored length of a multipart object with `part_count` backend parts.

    It does not depend on how the plaintext is spread over the parts: the trailer is padded to make up
    the difference.
    """
    frames = -(-plain // FRAME)
    return plain + FRAME_OVERHEAD * frames + part_count * _SEGMENT_FIXED + trailer_allowance(part_count)


def multipart_plain_size(stored: int, part_count: int) -> int | None:
    """Return the plaintext length of a multipart object, None for a length that none has."""
    framed = stored - part_count * _SEGMENT_FIXED - trailer_allowance(part_count)
    if framed < 0 or not 1 <= part_count <= MAX_PARTS:
        return None
    plain = framed - FRAME_OVERHEAD * -(-framed // WIRE_FRAME)
    return plain if plain >= 0 and multipart_size(plain, part_count) == stored else None


def trailer_bound(part_count: int) -> int:
    """Return what a trailer message is at most, to be checked before memory is taken for it."""
    return 522 + 80 * part_count


def part_count_of(etag: str) -> int | None:
    """Return the part count at the end of a multipart ETag (`...-12`), quoted or not; None if there is none."""
    _, dash, digits = etag.strip('"').rpartition("-")
    if not dash or not digits.isascii() or not digits.isdecimal() or digits.startswith("0") or len(digits) > 5:
        return None
    return int(digits)


def listed_plain_size(stored: int, etag: str) -> int | None:
    """Return the plaintext length from what a listing shows; None when the object cannot be ours."""
    part_count = part_count_of(etag)
    return single_plain_size(stored) if part_count is None else multipart_plain_size(stored, part_count)


def largest_single(limit: int = MAX_PUT) -> int:
    """Return the largest plaintext whose stored form fits one PUT of `limit` bytes."""
    return _largest(limit - FINAL_OVERHEAD)


def largest_part(limit: int = MAX_PUT) -> int:
    """Return the largest plaintext whose segment fits one UploadPart of `limit` bytes."""
    return _largest(limit - SEGMENT_HEADER - FINAL_OVERHEAD)


def check_fits(plain: int, largest: int) -> None:
    """Raise `S3Error` EntityTooLarge with both numbers, as S3 does, when `plain` is above `largest`."""
    if plain > largest:
        raise S3Error("EntityTooLarge", extras={"ProposedSize": str(plain), "MaxSizeAllowed": str(largest)})


MAX_SINGLE_PLAIN = 5_366_088_920
MAX_PART_PLAIN = 5_366_088_731


def _largest(framed: int) -> int:
    whole, rest = divmod(framed, WIRE_FRAME)
    return whole * FRAME + max(0, rest - FRAME_OVERHEAD)
