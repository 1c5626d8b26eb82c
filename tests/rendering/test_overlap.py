import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from recycle.rendering.overlap import ahead


def test_items_come_in_order_and_no_thread_stays() -> None:
    before = threading.active_count()
    assert list(ahead(range(100), 3)) == list(range(100))
    assert threading.active_count() == before


def test_it_runs_ahead_but_not_further_than_the_depth() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    with closing(ahead(source(), 4)) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 5
        while len(taken) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(taken) == 6  # one given, four waiting, one in hand


def test_an_exception_arrives_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    items = ahead(source(), 2)
    assert next(items) == 1
    with pytest.raises(KeyError, match="gone"):
        next(items)
    assert list(items) == []


def test_closing_early_ends_a_chain_of_threads() -> None:
    before = threading.active_count()
    first = ahead(iter(range(10**9)), 2)
    second = ahead((item * 2 for item in first), 2)
    with closing(first), closing(second):
        assert [next(second) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert threading.active_count() == before


def test_large_items_are_taken_fewer_at_a_time() -> None:
    held = most = 0
    changed = threading.Condition()

    def source() -> Iterator[int]:
        nonlocal held, most
        for item in range(40):
            with changed:
                held += 1
                most = max(most, held)
            yield item

    def used(size: int) -> int:
        nonlocal held, most
        held = most = 0
        got = []
        for item in ahead(source(), 8, size=lambda _: size, most=1000):
            with changed:
                held -= 1
            time.sleep(0.002)  # the source is quicker
            got.append(item)
        assert got == list(range(40))
        return most

    assert used(5000) <= 2  # one ahead, and one that was just given
    assert used(400) <= 3
    assert used(1) > 4


def test_closing_ends_a_thread_that_waits_for_room() -> None:
    before = threading.active_count()
    with closing(ahead(iter(range(100)), 8, size=lambda _: 600, most=1000)) as items:
        assert next(items) == 0
    assert threading.active_count() == before
