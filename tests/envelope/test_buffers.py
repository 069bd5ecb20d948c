from __future__ import annotations

from proxy.envelope.buffers import KEPT, Buffers


def test_memory_nobody_looks_at_is_used_again() -> None:
    allocate = Buffers()
    first = allocate(1000)
    assert all(allocate(size) is first for size in (1000, 999, 1, 0))


def test_memory_somebody_looks_at_is_left_alone() -> None:
    allocate = Buffers()
    whole = allocate(1000)
    view = memoryview(whole)[10:20]
    view[:] = b"0123456789"
    part = view[2:4]
    del view
    others = [memoryview(allocate(1000)) for _ in range(3 * KEPT)]
    for other in others:
        other[:] = bytes(1000)
    assert all(other.obj is not whole for other in others)
    assert part == b"23"


def test_a_view_that_ends_frees_its_memory() -> None:
    allocate = Buffers()
    whole = allocate(1000)
    view = memoryview(whole)
    assert allocate(1000) is not whole
    view.release()
    assert allocate(1000) is whole


def test_larger_wishes_replace_smaller_memory() -> None:
    allocate = Buffers()
    small = allocate(10)
    large = allocate(1000)
    assert len(large) == 1000
    assert allocate(5) is large
    assert allocate(10) is not small


def test_looking_for_room_changes_no_content() -> None:
    allocate = Buffers()
    buffer = allocate(4)
    buffer[:] = b"abcd"
    assert bytes(allocate(4)) == b"abcd"


def test_buffers_held_by_slow_readers_do_not_keep_others_from_sharing() -> None:
    allocate = Buffers()
    held = [memoryview(allocate(100)) for _ in range(10 * KEPT)]
    assert len({id(view.obj) for view in held}) == len(held)
    again = allocate(100)
    assert allocate(100) is again


def test_memory_of_no_size_is_memory() -> None:
    allocate = Buffers()
    assert len(allocate(0)) == 0
    assert len(allocate(3)) == 3
