"""Memory for what is sealed and opened as it streams, used again as soon as nobody looks at it any more.

Fresh memory for every piece costs more than encrypting into it: it is zeroed, its pages are mapped one by
one, and none of it is in the processor's cache. But a transport may keep a piece for as long as a client is
slow, so nothing is used again on a promise: the memory itself tells whether anybody still has a view of it.
"""

from __future__ import annotations

KEPT = 4
"""How many buffers are kept: pieces of some 256 KiB each, written before the next is made unless a socket is full."""


class Buffers:
    """An allocator for one thread. All streams of a worker may share it: what one let go, the next takes.

    INVARIANT: a buffer that anybody has a view of is never handed out. Whoever takes one must pass on views
    of it (or copies), never the `bytearray` itself.
    """

    __slots__ = ("_kept", "_next")

    def __init__(self) -> None:
        self._kept: list[bytearray] = []
        self._next = 0

    def __call__(self, size: int) -> bytearray:
        """Return a buffer of at least `size` bytes; what is in it means nothing."""
        replaced = -1
        for index, buffer in enumerate(self._kept):
            if _is_free(buffer):
                if len(buffer) >= size:
                    return buffer
                replaced = index
        made = bytearray(size)
        if len(self._kept) < KEPT and replaced < 0:
            self._kept.append(made)
            return made
        if replaced < 0:
            # All are waited for by slow readers, who keep theirs for as long as they need them.
            self._next = replaced = (self._next + 1) % KEPT
        self._kept[replaced] = made
        return made


def _is_free(buffer: bytearray) -> bool:
    """Tell whether nobody has a view of a buffer: with one, it cannot be resized."""
    if not buffer:
        return True
    try:
        buffer.append(buffer.pop())
    except BufferError:
        return False
    return True
